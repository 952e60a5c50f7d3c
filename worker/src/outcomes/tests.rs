//! Stories about history, told with a real Redis and a real Postgres.
//!
//! One server of each kind serves all tests of the process; a test has a key prefix and a database of its own, copied
//! from a migrated template. Tests that stop or fill a server start one for themselves.

mod copying;
mod reading;
mod recording;
mod throughput;
mod trouble;

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use flota_engine::{ErrorClass, Record, Status};
use flota_producer::{
    JobId,
    keys::{Prefix, QueueKeys},
    link::Link,
};
use serde_json::Value;
use sqlx::PgPool;
use tokio::time::{Instant, sleep};

use super::Recorder;
use crate::{
    database,
    dev::{PostgresOptions, PostgresServer, RedisOptions, RedisServer},
};

/// A Saturday evening in November 2026, Unix ms.
pub(super) const NOW_MS: u64 = 1_795_280_202_384;
/// How long to wait for what must happen.
const SOON: Duration = Duration::from_secs(30);
const TEMPLATE: &str = "flota_template";

/// The servers that all tests share.
pub(crate) struct Servers {
    redis: RedisServer,
    postgres: PostgresServer,
}

/// Started by the first test that needs them, on a runtime that outlives every test; they end with the process.
pub(crate) fn servers() -> &'static Servers {
    static SERVERS: LazyLock<Servers> = LazyLock::new(|| {
        let (started, servers) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                started.send(Servers::start().await).unwrap();
                std::future::pending::<()>().await;
            });
        });
        servers.recv().expect("the private servers start")
    });
    &SERVERS
}

impl Servers {
    async fn start() -> Self {
        let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
        let postgres = PostgresServer::start(PostgresOptions::default()).await.unwrap();
        postgres.create_database(TEMPLATE, None).await.unwrap();
        let servers = Self { redis, postgres };
        let pool = servers.connect_to(TEMPLATE);
        database::migrate(&pool).await.unwrap();
        pool.close().await;
        servers
    }

    /// Address of the Redis.
    pub(crate) fn redis_url(&self) -> String {
        self.redis.url()
    }

    /// A database of one's own, with every table.
    pub(crate) async fn database(&self) -> PgPool {
        self.create(Some(TEMPLATE)).await
    }

    /// A database of one's own, with nothing in it.
    pub(crate) async fn empty_database(&self) -> PgPool {
        self.create(None).await
    }

    /// A pool for the database of this name.
    pub(crate) fn connect_to(&self, name: &str) -> PgPool {
        database::connect(&self.postgres.url(name).into(), 5).unwrap()
    }

    async fn create(&self, template: Option<&str>) -> PgPool {
        let name = format!("flota_{}", next());
        self.postgres.create_database(&name, template).await.unwrap();
        self.connect_to(&name)
    }
}

fn next() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// One queue with its stream and its history.
pub(super) struct Story {
    pub(super) link: Link,
    pub(super) keys: QueueKeys,
    pub(super) pool: PgPool,
}

impl Story {
    pub(super) async fn new() -> Self {
        Self::with(&servers().redis.url(), servers().database().await)
    }

    pub(super) fn with(redis: &str, pool: PgPool) -> Self {
        let keys = Prefix::new(&format!("story{}", next())).unwrap().queue("email");
        Self { link: Link::new(redis).unwrap(), keys, pool }
    }

    pub(super) fn recorder(&self) -> Recorder {
        Recorder::new(self.link.again(), self.keys.clone(), "email", self.pool.clone())
    }

    /// One entry, as settle.lua appends it.
    pub(super) async fn settled(&self, finished_ms: u64, records: &[Record]) {
        let lines: Vec<String> = records.iter().map(Record::encode).collect();
        self.append(finished_ms, &lines.join("\n")).await;
    }

    pub(super) async fn append(&self, finished_ms: u64, lines: &str) {
        let mut add = redis::cmd("XADD");
        add.arg(self.keys.outcomes()).arg("*").arg("t").arg(finished_ms);
        add.arg("w").arg("host:1:abc").arg("o").arg(lines);
        let _id: String = self.link.query(&add).await.unwrap();
    }

    pub(super) async fn waiting(&self) -> u64 {
        self.link.query(redis::cmd("XLEN").arg(self.keys.outcomes())).await.unwrap()
    }

    /// The records kept aside.
    pub(super) async fn refused(&self) -> Vec<Value> {
        let list = redis::cmd("LRANGE").arg(self.keys.refused()).arg(0).arg(-1).to_owned();
        let texts: Vec<String> = self.link.query(&list).await.unwrap();
        texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    }

    pub(super) async fn rows(&self, table: &'static str) -> i64 {
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(count).fetch_one(&self.pool).await.unwrap()
    }

    /// Everything in history, as one number.
    pub(super) async fn hash(&self) -> i64 {
        let hash = "SELECT coalesce(sum(hashtextextended(row::text, 0) / 1000000), 0)::bigint FROM ( \
                    SELECT o::text AS row FROM outcomes o UNION ALL SELECT a::text FROM attempts a \
                    UNION ALL SELECT d::text FROM dead_letters d) AS everything";
        sqlx::query_scalar(hash).fetch_one(&self.pool).await.unwrap()
    }
}

/// Asks until the answer is yes.
pub(super) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {SOON:?}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// A record with only what every record has.
pub(super) fn plain(status: Status) -> Record {
    Record {
        kind: "send_email".into(),
        run: 1,
        attempt: 1,
        at: NOW_MS - 5_000,
        ran_us: 1_500,
        ..Record::unreadable(JobId::mint(), status)
    }
}

pub(super) fn failed(status: Status) -> Record {
    Record {
        class: Some(ErrorClass::ServerError),
        code: Some("503".into()),
        error: Some("the provider is busy".into()),
        provider: Some("smtp".into()),
        ..plain(status)
    }
}

pub(super) fn succeeded(count: usize) -> Vec<Record> {
    (0..count).map(|_| plain(Status::Succeeded)).collect()
}
