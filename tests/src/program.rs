//! The `flota` program as people and scripts run it: real processes with a clean environment.
//!
//! An [`Installation`] is what one person would have set up: variables, a folder with a queues file, a key prefix and
//! a database of its own. Commands run to their end and everything they said is kept ([`Said`]); workers and servers
//! run until they are stopped ([`Running`]).

mod said;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::Context;
use flota_producer::{NewJob, Producer, Settings, keys::Prefix, link::Link};
use flota_worker::dev::{
    SmtpSink, private_directory::PrivateDirectory, stack::LOOPBACK, worker_process::WorkerProcess,
};
use serde_json::{Value, value::RawValue};
use sqlx::PgPool;
use tokio::{process::Command, time::sleep};

pub use self::said::Said;
use self::said::finish;
use crate::{PATIENCE, servers};

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Everything as quick as a queues file may set it.
const QUEUES: &str = r#"
[defaults]
lease = "3s"
heartbeat = "500ms"
park = "100ms"
backoff = { base = "10ms", cap = "50ms" }

[queues.email]
[queues.webhook]
[queues.notification]
[queues.llm]
[queues.transcription]
[queues.ocr]
"#;

/// One fleet's settings and files.
pub struct Installation {
    variables: BTreeMap<String, String>,
    directory: PrivateDirectory,
    started: AtomicUsize,
}

impl Installation {
    /// On the shared servers, with a key prefix and a prepared database of its own.
    pub async fn new() -> Self {
        Self::on(&servers::redis_url().await, &servers::prepared_database().await).await
    }

    /// On these servers.
    pub async fn on(redis_url: &str, database_url: &str) -> Self {
        let directory = PrivateDirectory::open(None, None).await.expect("a temporary directory");
        let mut installation =
            Self { variables: BTreeMap::new(), directory, started: AtomicUsize::default() };
        let queues = installation.write("quick.toml", QUEUES);
        installation
            .set("REDIS_URL", redis_url)
            .set("DATABASE_URL", database_url)
            .set("FLOTA_KEY_PREFIX", servers::unique_name())
            .set("FLOTA_QUEUES_FILE", queues);
        installation
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: impl ToString) -> &mut Self {
        self.variables.insert(name.to_owned(), value.to_string());
        self
    }

    /// Takes a variable away.
    pub fn unset(&mut self, name: &str) -> &mut Self {
        self.variables.remove(name);
        self
    }

    /// What a variable is set to.
    pub fn variable(&self, name: &str) -> &str {
        &self.variables[name]
    }

    /// Sends mail to this receiver.
    pub fn mail_to(&mut self, sink: &SmtpSink) -> &mut Self {
        self.set("SMTP_HOST", "127.0.0.1")
            .set("SMTP_PORT", sink.port())
            .set("SMTP_TLS", "none")
            .set("SMTP_FROM_EMAIL", "noreply@flota.example")
    }

    /// Lets webhooks go to receivers on this machine.
    pub fn webhooks_inside(&mut self) -> &mut Self {
        self.set("FLOTA_WEBHOOK_ALLOW_CIDRS", LOOPBACK).set("FLOTA_FETCH_ALLOW_CIDRS", LOOPBACK)
    }

    /// Makes the key that endpoints need, as the manual tells people to.
    pub async fn make_keys(&mut self) -> &mut Self {
        let key = self.flota(&["keys", "encryption", "-o", "id"]).await.expect(0).stdout;
        self.set("FLOTA_ENCRYPTION_KEYS", key.trim())
    }

    /// Writes a file into the folder where commands run. Answers its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).expect("the folder can be written to");
        path.display().to_string()
    }

    /// Connections to the database.
    pub fn pool(&self) -> PgPool {
        let url = self.variable("DATABASE_URL").to_owned();
        flota_worker::database::connect(&url.into(), 2).expect("an address of Postgres")
    }

    /// A command that has not been started yet, with nothing on its standard input.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(built("flota").expect("the program is built"));
        command
            .args(arguments)
            .env_clear()
            .envs(&self.variables)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub async fn flota(&self, arguments: &[&str]) -> Said {
        finish(self.command(arguments), "", arguments).await
    }

    /// The same with this text on its standard input.
    pub async fn flota_reading(&self, input: &str, arguments: &[&str]) -> Said {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped());
        finish(command, input, arguments).await
    }

    /// Enqueues a job that must be accepted. Answers its id.
    pub async fn enqueue(&self, kind: &str, payload: &Value, options: &[&str]) -> String {
        let payload = payload.to_string();
        let arguments = [&["enqueue", kind, "--data", &payload, "-o", "id"], options].concat();
        self.flota(&arguments).await.expect(0).stdout.trim().to_owned()
    }

    /// Enqueues a job as a producer does that checks nothing, perhaps in another language. Answers its id.
    pub async fn enqueue_unchecked(&self, kind: &str, queue: &str, payload: &Value) -> String {
        let payload = RawValue::from_string(payload.to_string()).expect("JSON");
        let lookup = |name: &str| Ok(self.variables.get(name).cloned());
        let settings = Settings::from_lookup(&lookup).expect("an address of Redis");
        let producer = Producer::new(settings).expect("a producer");
        let job = NewJob::untyped(kind, queue, payload);
        producer.enqueue(job).await.expect("the job is accepted").id.to_string()
    }

    /// Registers an endpoint that must be accepted. Answers its id.
    pub async fn add_endpoint(&self, url: &str, options: &[&str]) -> String {
        let arguments = [&["endpoint", "add", "--url", url, "-o", "id"], options].concat();
        self.flota(&arguments).await.expect(0).stdout.trim().to_owned()
    }

    /// What `flota job get` prints of a job that is there.
    pub async fn job(&self, id: &str) -> Value {
        self.flota(&["job", "get", id]).await.expect(0).json()
    }

    /// Waits until a job is in this state. Answers what `flota job get` prints then.
    ///
    /// # Panics
    /// When it takes longer than [`PATIENCE`] or the job ends otherwise, with what was last said.
    pub async fn wait_for(&self, id: &str, state: &str) -> Value {
        let began = Instant::now();
        loop {
            // While Postgres is away an ended job is nowhere to be seen.
            let said = self.flota(&["job", "get", id]).await;
            let job = if said.code == Some(0) { said.json() } else { Value::Null };
            if job["state"] == state {
                return job;
            }
            let in_vain = PATIENCE < began.elapsed() || !job["outcome"].is_null();
            assert!(!in_vain, "it is not {state} after {:.1?}: {said:#?}", began.elapsed());
            sleep(LOOK).await;
        }
    }

    /// Makes every delayed job of a queue due at once, as if the time had passed.
    pub async fn make_due(&self, queue: &str) {
        let link = Link::new(self.variable("REDIS_URL")).expect("a Redis URL");
        let prefix = Prefix::new(self.variable("FLOTA_KEY_PREFIX")).expect("a usable prefix");
        let delayed = prefix.queue(queue).delayed();
        let mut all = redis::cmd("ZRANGE");
        let members: Vec<Vec<u8>> =
            link.query(all.arg(&delayed).arg(0).arg(-1)).await.expect("Redis answers");
        for member in members {
            let mut due = redis::cmd("ZADD");
            due.arg(&delayed).arg("XX").arg(1).arg(member);
            link.query::<()>(&due).await.expect("Redis answers");
        }
    }

    /// Forgets what providers have refused and announced, as if the time had passed.
    pub async fn end_waits_of_providers(&self) {
        let link = Link::new(self.variable("REDIS_URL")).expect("a Redis URL");
        let pattern = format!("{}:{{limit:*", self.variable("FLOTA_KEY_PREFIX"));
        let names: Vec<String> = link.query(redis::cmd("KEYS").arg(pattern)).await.expect("Redis answers");
        for name in names {
            link.query::<()>(redis::cmd("DEL").arg(name)).await.expect("Redis answers");
        }
    }

    /// Starts a command that runs until it is stopped.
    pub async fn start(&self, arguments: &[&str]) -> Running {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}.log", arguments[0]);
        let program = built("flota").expect("the program is built");
        let variables: Vec<_> = self.variables.clone().into_iter().collect();
        let process = WorkerProcess::start(&program, arguments, &variables, &self.directory, &name).await;
        Running { process: process.expect("a process can be started"), log: self.directory.path().join(name) }
    }
}

/// A command that runs until it is stopped.
pub struct Running {
    /// Its process.
    pub process: WorkerProcess,
    log: PathBuf,
}

impl Running {
    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The address at which it says that it serves its pages.
    ///
    /// # Panics
    /// When it does not say so within [`PATIENCE`].
    pub async fn address(&self) -> String {
        self.said_address("/metrics on http://", "\"").await
    }

    /// The address at which it says that it serves the API.
    ///
    /// # Panics
    /// When it does not say so within [`PATIENCE`].
    pub async fn api_address(&self) -> String {
        self.said_address("the API on http://", "/").await
    }

    async fn said_address(&self, before: &str, after: &str) -> String {
        let began = Instant::now();
        loop {
            if let Some((_, rest)) = self.log().split_once(before)
                && let Some((address, _)) = rest.split_once(after)
            {
                return format!("http://{address}");
            }
            assert!(began.elapsed() < PATIENCE, "it serves nothing:\n{}", self.log());
            sleep(LOOK).await;
        }
    }

    /// Asks it to stop; it must end well.
    pub async fn stop(self) {
        self.stop_and_read().await;
    }

    /// The same. Answers all that it has logged.
    pub async fn stop_and_read(self) -> String {
        let well = self.process.stop().await.expect("it stops");
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        assert!(well, "it did not end well:\n{log}");
        log
    }
}

/// A program of this workspace, beside the running one (or above it, for a test).
///
/// # Errors
/// When it has not been built.
pub fn built(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let folders = this.ancestors().skip(1).take(2);
    let found = folders.map(|folder: &Path| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| {
        format!("the program {name} is not built; run `cargo build --workspace --bins` first")
    })
}
