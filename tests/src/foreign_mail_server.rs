//! A mail server that is not ours: aiosmtpd, in a Python process.
//!
//! Our own receiver and our own client might share a misunderstanding of SMTP or MIME. This server speaks STARTTLS and
//! AUTH by somebody else's reading of the RFCs, and takes messages apart with Python's parser. It shows the test
//! certificate for `localhost`.

use crate::PATIENCE;
use std::{
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::{sleep, timeout},
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/mail_server.py");
/// Certificates of the providers' tests: a CA, and what it signed for `localhost`.
const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../worker/providers/tests/data");
/// Debian installs aiosmtpd for its own Python, which need not be the first one in PATH.
const PYTHONS: [&str; 2] = ["/usr/bin/python3", "python3"];
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// The only user name that is let in.
pub const USER: &str = "flota";
/// The password that goes with it.
pub const PASSWORD: &str = "correct horse";

/// A running server. It ends when this is dropped, or when this process does.
pub struct ForeignMailServer {
    /// The port on 127.0.0.1.
    pub port: u16,
    told: Arc<Mutex<Vec<Value>>>,
    _process: Child,
}

impl ForeignMailServer {
    /// A server that asks for STARTTLS and for the login.
    ///
    /// # Errors
    /// When aiosmtpd is not installed.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// A server that offers no STARTTLS, and asks for nothing.
    ///
    /// # Errors
    /// When aiosmtpd is not installed.
    pub async fn start_without_tls() -> anyhow::Result<Self> {
        Self::start_with(&["--without-tls"]).await
    }

    /// The certificate that its own was signed with.
    pub fn ca_file() -> String {
        format!("{CERTIFICATES}/test_ca.pem")
    }

    /// Everything that it has told so far: commands it heard, logins, mails.
    pub fn told(&self) -> Vec<Value> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The mails it has accepted so far.
    pub fn mails(&self) -> Vec<Value> {
        self.told().into_iter().filter_map(|told| told.get("mail").cloned()).collect()
    }

    /// Waits for its first mail.
    ///
    /// # Errors
    /// When none comes.
    pub async fn first_mail(&self) -> anyhow::Result<Value> {
        let began = Instant::now();
        loop {
            if let Some(mail) = self.mails().into_iter().next() {
                return Ok(mail);
            }
            if PATIENCE < began.elapsed() {
                bail!("no mail within {PATIENCE:?}; the server tells {:?}", self.told());
            }
            sleep(LOOK).await;
        }
    }

    async fn start_with(options: &[&str]) -> anyhow::Result<Self> {
        let mut process = python()
            .await?
            .arg(SCRIPT)
            .args(["--user", USER, "--password", PASSWORD, "--certificates", CERTIFICATES])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = process.stdout.take().context("its output is piped")?;
        let mut lines = BufReader::new(output).lines();
        let first =
            timeout(PATIENCE, lines.next_line()).await.context("the mail server does not start")??;
        let first: Value = serde_json::from_str(&first.context("the mail server ended at once")?)?;
        let port = first["port"].as_u64().context("no port")? as u16;
        let told = Arc::<Mutex<Vec<Value>>>::default();
        tokio::spawn(listen(lines, Arc::clone(&told)));
        Ok(Self { port, told, _process: process })
    }
}

async fn listen(mut lines: Lines<BufReader<ChildStdout>>, told: Arc<Mutex<Vec<Value>>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
        told.lock().unwrap_or_else(PoisonError::into_inner).push(value);
    }
}

/// A Python that has aiosmtpd.
async fn python() -> anyhow::Result<Command> {
    for name in PYTHONS {
        let mut ask = Command::new(name);
        ask.args(["-c", "import aiosmtpd"]).stdin(Stdio::null()).stderr(Stdio::null());
        if ask.status().await.is_ok_and(|status| status.success()) {
            return Ok(Command::new(name));
        }
    }
    bail!(
        "aiosmtpd is not installed: run `apt-get install python3-aiosmtpd`, or `cargo xtask test`, which does so"
    )
}
