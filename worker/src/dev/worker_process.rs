//! A `flota` process of our own: a real worker, started with a known environment, and killed like one.
//!
//! It dies with us, as the private servers do.

use std::{ffi::OsString, io, path::Path, process::Stdio, time::Duration};

use super::{
    private_directory::PrivateDirectory,
    supervise::{Supervised, Supervision},
};

/// How long a worker may drain before it is killed.
const GRACE: Duration = Duration::from_secs(30);

/// A running program, stopped gracefully when dropped.
pub struct WorkerProcess {
    supervised: Supervised,
}

impl WorkerProcess {
    /// Starts a program with these arguments and exactly this environment. What it prints goes into `log`, a file in
    /// `directory`.
    ///
    /// # Errors
    /// When no process can be started.
    pub async fn start(
        program: &Path,
        arguments: &[&str],
        environment: &[(String, String)],
        directory: &PrivateDirectory,
        log: &str,
    ) -> io::Result<Self> {
        let mut command: Vec<OsString> = vec!["-i".into()];
        command.extend(environment.iter().map(|(name, value)| format!("{name}={value}").into()));
        command.push(program.into());
        command.extend(arguments.iter().map(Into::into));
        let supervised = Supervised::spawn(Supervision {
            program: Path::new("/usr/bin/env"),
            arguments: command,
            directory: directory.path(),
            log: directory.path().join(log),
            stop_signal: "TERM",
            grace: GRACE,
            user: None,
            held_until_gone: directory.hold().unwrap_or_else(|_| Stdio::null()),
        })
        .await?;
        Ok(Self { supervised })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.supervised.pid()
    }

    /// Sends a signal, by its name without `SIG`.
    pub async fn signal(&self, name: &str) -> io::Result<()> {
        self.supervised.signal(name).await
    }

    /// Returns when it has ended, for whatever reason. Safe to cancel.
    pub async fn gone(&mut self) {
        self.supervised.gone().await;
    }

    /// Ends it as a crash would.
    pub async fn kill(self) -> io::Result<()> {
        self.supervised.kill().await
    }

    /// Asks it to drain. Answers whether it ended well.
    pub async fn stop(self) -> io::Result<bool> {
        Ok(self.supervised.stop().await?.success())
    }
}
