//! Where one story plays: servers of its own, real worker processes, a provider with a ledger, and what everybody did.
//!
//! A story opens a scene, enqueues, does harm, and closes it. Closing heals what still hurts, waits until everything has
//! come to rest, stops the workers, and hands the evidence to the checker.

mod close;
mod enqueue;
mod people;
mod redis_faults;
mod stage;
mod workers;

use std::{path::Path, time::Duration};

use flota_producer::{
    Producer, Settings,
    keys::{Prefix, QueueKeys},
    link::Link,
};
use flota_worker::{
    database,
    dev::{PostgresServer, RedisServer, private_directory::PrivateDirectory},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::PgPool;
use tokio::time::sleep;

pub use self::{
    close::Told,
    enqueue::Load,
    stage::{Proxied, Stage},
    workers::{Worker, WorkerOptions},
};
use super::{
    conservation::Conservation,
    history::{History, What},
    mutants::Mutant,
    provider::Provider,
    proxy::Proxy,
};

/// The queue that toys go to.
pub const QUEUE: &str = "toys";
/// Name of the database.
const DATABASE: &str = "flota";

/// A fleet with everything around it, for one story.
pub struct Scene {
    /// Chooses what happens; the same seed chooses the same.
    pub rng: StdRng,
    /// Redis itself.
    pub redis: RedisServer,
    /// Postgres itself.
    pub postgres: PostgresServer,
    /// Between the workers and Redis, where the stage asks for it.
    pub redis_proxy: Option<Proxy>,
    /// Between the workers and Postgres.
    pub postgres_proxy: Option<Proxy>,
    /// Between the workers and the provider.
    pub provider_proxy: Option<Proxy>,
    /// What jobs act upon.
    pub provider: Provider,
    /// For enqueueing; goes through the proxy where there is one.
    pub producer: Producer,
    /// For looking; goes past the proxy.
    pub link: Link,
    /// What the story itself did.
    pub history: History,
    /// The worker processes that were started, by their place; those that ended stay on the list.
    pub workers: Vec<Worker>,
    stage: Stage,
    conservation: Conservation,
    directory: PrivateDirectory,
    figures: Vec<(String, String)>,
}

impl Scene {
    /// Starts the servers; no worker yet.
    ///
    /// # Errors
    /// When a server cannot be started.
    pub async fn open(seed: u64, mut stage: Stage) -> anyhow::Result<Self> {
        let (redis, postgres) = tokio::join!(
            RedisServer::start(stage.redis.clone()),
            PostgresServer::start(stage.postgres.clone())
        );
        let (redis, postgres) = (redis?, postgres?);
        postgres.create_database(DATABASE, None).await?;
        let pool = database::connect(&postgres.url(DATABASE).into(), 1)?;
        database::migrate(&pool).await?;
        let directory = PrivateDirectory::open(None, None).await?;
        if let Some(mutant) = Mutant::chosen() {
            mutant.change_database(&pool).await?;
            stage.environment.extend(mutant.variables(directory.path())?);
        }
        pool.close().await;
        let provider = Provider::start(directory.path()).await?;
        let redis_proxy = before(stage.proxied.redis, redis.port()).await?;
        let postgres_proxy = before(stage.proxied.postgres, postgres.port()).await?;
        let provider_proxy = before(stage.proxied.provider, provider.port()).await?;
        let link = Link::new(redis.url())?;
        let address = redis_proxy.as_ref().map_or_else(|| redis.url(), |proxy| redis_url(proxy.port()));
        Ok(Self {
            rng: StdRng::seed_from_u64(seed),
            conservation: Conservation::watch(link.again(), &stage.queue_names()),
            producer: Producer::new(Settings::from_url(&address)?)?,
            history: History::open(directory.path(), "story")?,
            workers: Vec::new(),
            figures: Vec::new(),
            redis,
            postgres,
            redis_proxy,
            postgres_proxy,
            provider_proxy,
            provider,
            link,
            stage,
            directory,
        })
    }

    /// Waits for a random time.
    pub async fn pause_between(&mut self, shortest_ms: u64, longest_ms: u64) {
        let pause = self.rng.random_range(shortest_ms..=longest_ms);
        sleep(Duration::from_millis(pause)).await;
    }

    /// Writes down that a fault begins; `target` is a worker's name or [`super::history::EVERYTHING`].
    pub fn fault_began(&self, fault: &str, target: &str) {
        self.history.tell(What::FaultBegan { fault: fault.to_owned(), target: target.to_owned() });
    }

    /// Writes down that it is over.
    pub fn fault_ended(&self, fault: &str, target: &str) {
        self.history.tell(What::FaultEnded { fault: fault.to_owned(), target: target.to_owned() });
    }

    /// Keeps a figure for the report.
    pub fn figure(&mut self, name: impl Into<String>, value: impl std::fmt::Display) {
        self.figures.push((name.into(), value.to_string()));
    }

    /// Connections to the database, past the proxy.
    ///
    /// # Errors
    /// When the address cannot be read, which is never.
    pub fn pool(&self) -> anyhow::Result<PgPool> {
        Ok(database::connect(&self.postgres.url(DATABASE).into(), 2)?)
    }

    /// Address of the database, past the proxy.
    pub fn database_url(&self) -> String {
        self.postgres.url(DATABASE)
    }

    /// Keys of the queue of toys.
    pub fn keys(&self) -> QueueKeys {
        Prefix::default().queue(QUEUE)
    }

    /// Where histories, logs and other files are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

async fn before(wanted: bool, port: u16) -> std::io::Result<Option<Proxy>> {
    if wanted { Proxy::before(port).await.map(Some) } else { Ok(None) }
}

fn redis_url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}/")
}
