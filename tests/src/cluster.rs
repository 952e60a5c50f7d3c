//! Servers and worker processes of one story's own, to be killed as it pleases.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::bail;
use flota_producer::{JobId, NewJob, Producer, Settings, keys::Prefix, link::Link};
use flota_worker::{
    database,
    dev::{
        PostgresOptions, PostgresServer, RedisOptions, RedisServer, private_directory::PrivateDirectory,
        worker_process::WorkerProcess,
    },
};
use sqlx::{PgPool, Row};
use tokio::time::sleep;

use crate::{fleet::QUEUE, program::built, toys::Ledger};

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// How the worker processes of a story are set.
#[derive(Debug, Clone, Copy)]
pub struct Leases {
    /// How long a run keeps its job without a heartbeat.
    pub lease: Duration,
    /// How often leases are lengthened.
    pub heartbeat: Duration,
}

/// As short as a queues file may set them.
pub const SHORT: Leases = Leases { lease: Duration::from_secs(3), heartbeat: Duration::from_millis(500) };
/// What a queues file has unless it says otherwise.
pub const DEFAULT: Leases = Leases { lease: Duration::from_secs(30), heartbeat: Duration::from_secs(5) };

/// A fleet with servers of its own.
pub struct Cluster {
    /// Redis.
    pub redis: RedisServer,
    /// Postgres.
    pub postgres: PostgresServer,
    /// For enqueueing.
    pub producer: Producer,
    /// For looking.
    pub link: Link,
    /// What every process did.
    pub ledger: Ledger,
    /// Threads that run jobs in workers started from now on; as many as the machine has cores unless it is said.
    pub threads: Option<usize>,
    /// How long workers started from now on are given to end.
    pub grace: Duration,
    /// When workers started from now on take a job of the outbox for lost.
    pub lost_after: Duration,
    directory: PrivateDirectory,
    ledger_file: PathBuf,
    started: usize,
}

/// What Postgres has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Rows of ended jobs.
    pub rows: usize,
    /// Different jobs among them.
    pub jobs: usize,
    /// How many of them succeeded.
    pub succeeded: usize,
}

impl Cluster {
    /// Starts the servers and prepares the database.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(RedisOptions::default()).await
    }

    /// The same with a Redis set up differently.
    pub async fn start_with(options: RedisOptions) -> anyhow::Result<Self> {
        let (redis, postgres) =
            tokio::join!(RedisServer::start(options), PostgresServer::start(PostgresOptions::default()));
        let (redis, postgres) = (redis?, postgres?);
        postgres.create_database("flota", None).await?;
        let pool = database::connect(&postgres.url("flota").into(), 1)?;
        database::migrate(&pool).await?;
        pool.close().await;
        let directory = PrivateDirectory::open(None, None).await?;
        let ledger_file = directory.path().join("ledger");
        Ok(Self {
            producer: Producer::new(Settings::from_url(&redis.url())?)?,
            link: Link::new(redis.url())?,
            ledger: Ledger::File(Arc::new(ledger_file.clone())),
            threads: None,
            grace: Duration::from_secs(5),
            lost_after: flota_worker::outbox::Pace::default().lost_after,
            ledger_file,
            redis,
            postgres,
            directory,
            started: 0,
        })
    }

    /// Starts one worker process.
    pub async fn worker(&mut self, concurrency: usize, leases: Leases) -> anyhow::Result<WorkerProcess> {
        self.started += 1;
        let pairs = [
            ("REDIS_URL", self.redis.url()),
            ("DATABASE_URL", self.postgres.url("flota")),
            ("TOY_LEDGER", self.ledger_file.display().to_string()),
            ("TOY_CONCURRENCY", concurrency.to_string()),
            ("TOY_LEASE_MS", leases.lease.as_millis().to_string()),
            ("TOY_GRACE_MS", self.grace.as_millis().to_string()),
            ("TOY_LOST_AFTER_MS", self.lost_after.as_millis().to_string()),
            ("TOY_HEARTBEAT_MS", leases.heartbeat.as_millis().to_string()),
        ];
        let threads = self.threads.map(|threads| ("TOKIO_WORKER_THREADS", threads.to_string()));
        let environment: Vec<_> =
            pairs.into_iter().chain(threads).map(|(name, value)| (name.to_owned(), value)).collect();
        let program = built("toy_worker")?;
        let log = format!("worker-{}.log", self.started);
        Ok(WorkerProcess::start(&program, &[], &environment, &self.directory, &log).await?)
    }

    /// A file that is not there until [`Self::open_gate`], for jobs that run until they are told to finish.
    pub fn gate(&self) -> PathBuf {
        self.directory.path().join("gate")
    }

    /// Lets every job go on that waits at the gate.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn open_gate(&self) -> std::io::Result<()> {
        std::fs::write(self.gate(), "")
    }

    /// The command line, set up for these servers; SIGKILL when dropped.
    pub fn flota(&self, arguments: &[&str]) -> anyhow::Result<tokio::process::Command> {
        let mut command = tokio::process::Command::new(built("flota")?);
        command.args(arguments).env_clear().env("USER", "story").kill_on_drop(true);
        command.env("REDIS_URL", self.redis.url()).env("DATABASE_URL", self.postgres.url("flota"));
        command.stdin(std::process::Stdio::null());
        Ok(command)
    }

    /// Connections to the database.
    pub fn pool(&self) -> anyhow::Result<PgPool> {
        Ok(database::connect(&self.postgres.url("flota").into(), 2)?)
    }

    /// Enqueues the same job many times; every one must be accepted.
    pub async fn enqueue_many(&self, count: usize, job: &NewJob) -> anyhow::Result<Vec<JobId>> {
        let outcomes = self.producer.enqueue_all(vec![job.clone(); count]).await;
        outcomes.into_iter().map(|outcome| Ok(outcome?.id)).collect()
    }

    /// How many jobs are where in Redis.
    pub async fn counts(&self) -> anyhow::Result<flota_engine::inspect::Counts> {
        let keys = Prefix::default().queue(QUEUE);
        Ok(flota_engine::inspect::counts(&self.link, &keys).await?)
    }

    /// What Postgres has by now.
    pub async fn recorded(&self, pool: &PgPool) -> anyhow::Result<Recorded> {
        let sql = "SELECT count(*), count(DISTINCT job_id), count(*) FILTER (WHERE status = 'succeeded') FROM outcomes";
        let row = sqlx::query(sql).fetch_one(pool).await?;
        let count = |column: usize| row.get::<i64, _>(column) as usize;
        Ok(Recorded { rows: count(0), jobs: count(1), succeeded: count(2) })
    }

    /// Waits until Postgres has a row for this many jobs. Answers how long that took.
    pub async fn wait_for_rows(&self, jobs: usize, patience: Duration) -> anyhow::Result<Duration> {
        let pool = self.pool()?;
        let began = Instant::now();
        loop {
            let recorded = self.recorded(&pool).await;
            match recorded {
                Ok(recorded) if jobs <= recorded.jobs => return Ok(began.elapsed()),
                recorded if patience < began.elapsed() => {
                    bail!("{jobs} jobs expected, got {recorded:?} after {patience:?}\n{}", self.logs())
                }
                _ => sleep(LOOK).await,
            }
        }
    }

    /// Waits until this many jobs run at once.
    pub async fn wait_for_running(&self, jobs: u64, patience: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.counts().await?.running < jobs {
            if patience < began.elapsed() {
                bail!("{jobs} running jobs expected, got {:?}\n{}", self.counts().await, self.logs());
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// The ends of the workers' logs.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for number in 1..=self.started {
            let log = self.directory.path().join(format!("worker-{number}.log"));
            let lines = std::fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<&str> = lines.lines().collect();
            let end = lines[lines.len().saturating_sub(10)..].join("\n");
            text.push_str(&format!("worker {number}:\n{end}\n"));
        }
        text
    }
}
