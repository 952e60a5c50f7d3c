//! A storm of 429 on one key: what it costs others, and Redis.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use flota_engine::Fleet;
use flota_producer::{DeliverWebhook, NewJob, link::Link};
use flota_providers::{
    Receipt,
    pipeline::{Caller, CircuitPolicy, Client, Pipeline, Provider, Target},
};
use flota_worker::{
    assemble::{self, Ground},
    config::Environment,
    database,
    dev::{RedisOptions, RedisServer},
    limits::{self, CallTimeouts, ProviderLimits, Window},
    llm::LlmSettings,
    processors,
    transcription::SpeechSettings,
};
use sqlx::PgPool;
use tokio::time::sleep;

use crate::{
    endpoint_register::{RING, register},
    fleet::{QUEUE, TestQueue, drain},
    limited_provider::{Allowance, LimitedProvider},
    servers,
};

/// Jobs that the worker runs at once.
const SLOTS: usize = 64;
/// How long the provider of the others takes: long enough that slots are what is scarce, and not this machine.
const CALM_LATENCY: Duration = Duration::from_millis(100);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// Longest for any step.
const PATIENCE: Duration = Duration::from_mins(5);

/// What came of a storm.
#[derive(Debug)]
pub struct Storm {
    /// Others' jobs per second without it: before it, and after it where it was waited for, whichever was less. What
    /// else the machine does changes from one to the other.
    pub alone: f64,
    /// Others' jobs per second while it waits.
    pub beside: f64,
    /// How long it took until every job of the storm waited for its turn.
    pub parked_after: Duration,
    /// Requests that the provider refused.
    pub refused: u64,
    /// Requests that the provider took.
    pub taken: u64,
    /// Times that a job asked for its turn, per job of the storm.
    pub asks_per_job: f64,
    /// Calls of the script, per job of the storm: many ask in one.
    pub calls_per_job: f64,
}

/// Lets `calm` jobs of others pass, then again while `busy` jobs wait for a provider that refuses them. With `to_the_end`
/// the storm is waited for.
///
/// # Errors
/// When a step takes too long.
pub async fn storm(
    busy: usize,
    calm: usize,
    closed_for: Duration,
    to_the_end: bool,
) -> anyhow::Result<Storm> {
    let stage = Stage::set(closed_for).await?;
    let mut alone = stage.pass_calm(calm).await?;
    let began = Instant::now();
    stage.enqueue(busy, &stage.busy).await;
    stage.wait_until_parked().await?;
    let parked_after = began.elapsed();
    let beside = stage.pass_calm(calm).await?;
    if to_the_end {
        stage.wait_for(|stage| busy as u64 <= stage.busy.provider.taken()).await?;
    }
    let (asks, calls) = stage.asked().await?;
    if to_the_end {
        alone = alone.min(stage.pass_calm(calm).await?);
    }
    let storm = Storm {
        alone,
        beside,
        parked_after,
        refused: stage.busy.provider.refused(),
        taken: stage.busy.provider.taken(),
        asks_per_job: asks / busy as f64,
        calls_per_job: calls / busy as f64,
    };
    drain(stage.fleet, Duration::from_secs(5)).await;
    Ok(storm)
}

struct Stage {
    redis: RedisServer,
    queue: TestQueue,
    fleet: Fleet,
    busy: Receiver,
    calm: Receiver,
}

/// A receiver of webhooks, and the endpoint that leads to it.
struct Receiver {
    provider: LimitedProvider,
    endpoint: String,
}

impl Receiver {
    async fn register(pool: &PgPool, provider: LimitedProvider) -> anyhow::Result<Self> {
        let url = format!("http://127.0.0.1:{}/hook", provider.port);
        let (endpoint, _) = register(pool, &url).await?;
        Ok(Self { provider, endpoint })
    }
}

impl Stage {
    async fn set(closed_for: Duration) -> anyhow::Result<Self> {
        let redis = RedisServer::start(RedisOptions::default()).await?;
        let quick = Duration::from_millis(5);
        let allowance = Allowance { per_second: 200, closed_for, retry_after: 1, latency: quick };
        let busy = LimitedProvider::start(allowance).await?;
        let closed_for = Duration::ZERO;
        let latency = CALM_LATENCY;
        let calm =
            LimitedProvider::start(Allowance { per_second: u32::MAX, closed_for, retry_after: 0, latency })
                .await?;
        let mut queue = TestQueue::on(&redis.url());
        queue.policy.concurrency = SLOTS;
        let limits = limits::shared(queue.link.again(), queue.prefix().clone(), ProviderLimits::default());
        let pipeline = Pipeline::new(limits, Arc::new(()), CircuitPolicy::default());
        let lookup = |name: &str| {
            Ok(match name {
                "FLOTA_ENCRYPTION_KEYS" => Some(RING.to_owned()),
                "FLOTA_WEBHOOK_ALLOW_CIDRS" => Some("127.0.0.0/8".to_owned()),
                _ => None,
            })
        };
        let names = ["FLOTA_ENCRYPTION_KEYS", "FLOTA_WEBHOOK_ALLOW_CIDRS"];
        let environment =
            Environment::from_lookup(&lookup, names).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
        let pool = database::connect(&servers::prepared_database().await.into(), 2)?;
        let ground = Ground {
            pool: &pool,
            pipeline: &pipeline,
            link: &queue.link,
            prefix: queue.prefix(),
            timeouts: &CallTimeouts::default(),
            llm: LlmSettings::built_in(),
            speech: SpeechSettings::built_in(),
        };
        let services = assemble::services(&environment, ground)?;
        let fleet = queue.start_with(processors::registry().bind(services));
        let busy = Receiver::register(&pool, busy).await?;
        let calm = Receiver::register(&pool, calm).await?;
        Ok(Self { redis, queue, fleet, busy, calm })
    }

    async fn enqueue(&self, count: usize, receiver: &Receiver) {
        let data = serde_json::json!({ "order": 42 });
        let job = DeliverWebhook::to_endpoint(&receiver.endpoint, "order.paid", data);
        self.queue.enqueue_many(count, &NewJob::new(job).queue(QUEUE)).await;
    }

    /// Others' jobs per second.
    async fn pass_calm(&self, count: usize) -> anyhow::Result<f64> {
        let (before, began) = (self.calm.provider.taken(), Instant::now());
        self.enqueue(count, &self.calm).await;
        self.wait_for(|stage| before + count as u64 <= stage.calm.provider.taken()).await?;
        Ok(count as f64 / began.elapsed().as_secs_f64())
    }

    async fn wait_until_parked(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        while 0 < self.queue.counts().await.ready {
            anyhow::ensure!(began.elapsed() < PATIENCE, "the storm is not parked");
            sleep(LOOK).await;
        }
        Ok(())
    }

    async fn wait_for(&self, done: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let began = Instant::now();
        while !done(self) {
            anyhow::ensure!(began.elapsed() < PATIENCE, "{:?}", self.queue.counts().await);
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// How often turns were asked for, and in how many calls. Nothing else uses these two commands here.
    async fn asked(&self) -> anyhow::Result<(f64, f64)> {
        let link = Link::new(self.redis.url())?;
        let stats: String = link.query(redis::cmd("INFO").arg("commandstats")).await?;
        let calls = |command: &str| {
            let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
            line.and_then(|line| line.split(',').next()?.parse::<f64>().ok()).unwrap_or_default()
        };
        Ok((calls("zscore"), calls("zremrangebyscore")))
    }
}

/// What the pipeline adds to a call that takes no time.
#[derive(Debug)]
pub struct Added {
    /// In the middle.
    pub median: Duration,
    /// All but one of a hundred take less.
    pub p99: Duration,
}

struct Nothing;

impl Client for Nothing {
    fn target(&self) -> Target {
        Target {
            provider: "whatsapp",
            operation: "send",
            host: "127.0.0.1:1".into(),
            deadline: Some(Duration::from_secs(1)),
            may_double: false,
        }
    }
}

/// Times calls that do nothing, `at_once` of them at a time, with a window in Redis or without any.
///
/// # Errors
/// When Redis does not start.
pub async fn what_the_pipeline_adds(calls: usize, at_once: usize, limited: bool) -> anyhow::Result<Added> {
    let redis = RedisServer::start(RedisOptions::default()).await?;
    let queue = TestQueue::on(&redis.url());
    let mut windows = ProviderLimits::default();
    let window = Window::with_tenth(Duration::from_secs(1), 10_000_000);
    windows.set("whatsapp", if limited { vec![window] } else { Vec::new() });
    let limits = limits::shared(queue.link.again(), queue.prefix().clone(), windows);
    let pipeline = Pipeline::new(limits, Arc::new(()), CircuitPolicy::default());
    let provider = Arc::new(Provider::global(Nothing, &pipeline));
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..at_once {
        let provider = Arc::clone(&provider);
        tasks.spawn(async move {
            let mut took = Vec::new();
            for call in 0..calls / at_once {
                let began = Instant::now();
                let ticket = format!("{task}-{call}").into();
                let caller = Caller { tenant: Some("acme"), ticket, place: None };
                let done = provider.call(caller, |_| async {
                    Ok(Receipt { provider: "whatsapp", provider_ref: None, detail: None })
                });
                done.await.map_err(anyhow::Error::from)?;
                took.push(began.elapsed());
            }
            anyhow::Ok(took)
        });
    }
    let mut took = Vec::new();
    while let Some(of_task) = tasks.join_next().await {
        took.extend(of_task??);
    }
    took.sort_unstable();
    Ok(Added { median: took[took.len() / 2], p99: took[took.len() * 99 / 100] })
}
