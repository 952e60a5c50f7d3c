//! Where runs take place: private servers, emptied before each run.
//!
//! Postgres has its own durability settings here and not those of the tests: an outcome counts as committed when a crash
//! of the machine would not undo it.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::Context;
use flota_producer::link::Link;
use flota_worker::{
    clock::now,
    database,
    dev::{
        Durability, PostgresOptions, PostgresServer, RedisOptions, RedisServer,
        private_directory::PrivateDirectory,
    },
    retention,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::{Instant, sleep};

/// The database of a run.
const DATABASE: &str = "bench";
/// Our tables, to be copied.
const PREPARED: &str = "prepared";
/// Longest that Redis may take for anything, its file written anew included.
const PATIENCE: Duration = Duration::from_secs(60);

/// When Redis writes to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Every second, as production is asked to.
    EverySecond,
    /// Before it answers.
    Always,
}

/// The servers of all runs.
pub struct Ground {
    every_second: RedisServer,
    always: RedisServer,
    postgres: PostgresServer,
    /// Logs, tallies, queues files.
    pub directory: PrivateDirectory,
    runs: AtomicUsize,
}

/// Empty servers, for one run.
pub struct Field<'a> {
    /// The servers.
    pub ground: &'a Ground,
    /// For looking at Redis.
    pub link: Link,
    /// Address of Redis.
    pub redis_url: String,
    /// Address of the run's own database.
    pub database_url: String,
    /// The postmaster.
    pub postgres_pid: u32,
    /// Begins the names of the run's files.
    pub name: String,
    /// Bytes that Redis used at the beginning.
    pub empty: f64,
}

impl Ground {
    /// Starts the servers.
    ///
    /// # Errors
    /// When a server is not installed or does not start.
    pub async fn start() -> anyhow::Result<Self> {
        let always = RedisOptions {
            extra_arguments: vec!["--appendfsync".to_owned(), "always".to_owned()],
            ..RedisOptions::default()
        };
        let postgres = PostgresOptions { durability: Durability::Real, ..PostgresOptions::default() };
        let (every_second, always, postgres) = tokio::join!(
            RedisServer::start(RedisOptions::default()),
            RedisServer::start(always),
            PostgresServer::start(postgres)
        );
        let postgres = postgres?;
        postgres.create_database(PREPARED, None).await?;
        let pool = database::connect(&postgres.url(PREPARED).into(), 1)?;
        // As `flota db migrate` does it.
        database::migrate(&pool).await?;
        retention::make_days(&pool, now()).await?;
        // Nobody may be connected to a database that is copied.
        pool.close().await;
        Ok(Self {
            every_second: every_second?,
            always: always?,
            postgres,
            directory: PrivateDirectory::open(None, None).await?,
            runs: AtomicUsize::default(),
        })
    }

    /// Empties the servers. `prepared` for a database with our tables, otherwise it has none.
    ///
    /// # Errors
    /// When a server does not answer.
    pub async fn empty(&self, fsync: Fsync, prepared: bool) -> anyhow::Result<Field<'_>> {
        let redis = match fsync {
            Fsync::EverySecond => &self.every_second,
            Fsync::Always => &self.always,
        };
        // A large queue takes its time to be thrown away.
        let link = Link::new(redis.url())?.with_response_timeout(PATIENCE);
        empty_redis(&link).await?;
        self.statement(&format!("DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")).await?;
        self.postgres.create_database(DATABASE, prepared.then_some(PREPARED)).await?;
        // What earlier runs left to be written is not written during this one.
        self.statement("CHECKPOINT").await?;
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let mut field = Field {
            ground: self,
            redis_url: redis.url(),
            link,
            database_url: self.postgres.url(DATABASE),
            postgres_pid: self.postgres.pid().context("Postgres is not running")?,
            name: format!("run-{number}"),
            empty: 0.0,
        };
        field.empty = field.redis_memory().await?;
        Ok(field)
    }

    /// Versions of Redis and Postgres.
    ///
    /// # Errors
    /// When a server does not answer.
    pub async fn versions(&self) -> anyhow::Result<(String, String)> {
        let link = Link::new(self.every_second.url())?;
        let redis = info(&link, "server", "redis_version:").await?;
        let mut connection = PgConnection::connect(&self.postgres.url("postgres")).await?;
        let postgres: String = sqlx::query_scalar("SHOW server_version").fetch_one(&mut connection).await?;
        Ok((redis, postgres.split(' ').next().unwrap_or_default().to_owned()))
    }

    async fn statement(&self, sql: &str) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(&self.postgres.url("postgres")).await?;
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }
}

impl Field<'_> {
    /// Waits until Redis does not write its file anew, which a load of jobs may have begun.
    ///
    /// # Errors
    /// When it takes more than a minute.
    pub async fn quiet(&self) -> anyhow::Result<()> {
        rewritten(&self.link).await
    }

    /// A file of this run.
    pub fn file(&self, name: &str) -> PathBuf {
        self.ground.directory.path().join(format!("{}-{name}", self.name))
    }

    /// Bytes that Redis uses.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn redis_memory(&self) -> anyhow::Result<f64> {
        Ok(info(&self.link, "memory", "used_memory:").await?.parse()?)
    }

    /// CPU time that Redis has used so far.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn redis_cpu(&self) -> anyhow::Result<Duration> {
        let user: f64 = info(&self.link, "cpu", "used_cpu_user:").await?.parse()?;
        let system: f64 = info(&self.link, "cpu", "used_cpu_sys:").await?.parse()?;
        Ok(Duration::from_secs_f64(user + system))
    }
}

/// Its file is written anew too, so that it does not grow so large during a run as to be rewritten for earlier ones.
async fn empty_redis(link: &Link) -> anyhow::Result<()> {
    link.query::<()>(&redis::cmd("FLUSHALL")).await?;
    link.query::<()>(&redis::cmd("BGREWRITEAOF")).await.ok();
    rewritten(link).await
}

async fn rewritten(link: &Link) -> anyhow::Result<()> {
    let began = Instant::now();
    for busy in ["aof_rewrite_in_progress:", "aof_rewrite_scheduled:"] {
        while info(link, "persistence", busy).await? != "0" {
            anyhow::ensure!(began.elapsed() < PATIENCE, "Redis writes its file for more than {PATIENCE:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

async fn info(link: &Link, section: &str, field: &str) -> anyhow::Result<String> {
    let info: String = link.query(redis::cmd("INFO").arg(section)).await?;
    let value = info.lines().find_map(|line| line.strip_prefix(field));
    Ok(value.with_context(|| format!("INFO {section} has no {field}"))?.trim().to_owned())
}
