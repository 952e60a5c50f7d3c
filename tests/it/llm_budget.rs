//! A tenant's budget is spent at noon: its jobs wait until the day turns, and then run. The clock of Redis is moved, since
//! windows and due times follow it.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};
use flota_engine::Fleet;
use flota_producer::{CompleteChat, JobId, NewJob, clock};
use flota_providers::pipeline::{CircuitPolicy, NoLimits, Pipeline};
use flota_tests::{
    PATIENCE,
    chaos::shims::{Clock, Preload, redis_under},
    fleet::{QUEUE, TestQueue, drain, eventually},
};
use flota_worker::{
    assemble::{self, Ground},
    config::Environment,
    database,
    dev::{RedisOptions, RedisServer},
    limits::CallTimeouts,
    llm::{Budget, Budgets, Dollars, LlmSettings, WhenSpent},
    processors,
    sandbox::Sandbox,
    suppressions::Suppressions,
    transcription::SpeechSettings,
};
use tempfile::TempDir;

/// What one question of one word costs in the sandbox.
const QUESTION: f64 = 4e-6;
/// Questions that a tenant may ask in a day.
const A_DAY: usize = 6;

/// A fleet whose Redis says that it is noon.
struct Noon {
    at: DateTime<Utc>,
    queue: TestQueue,
    fleet: Fleet,
    clock: Clock,
    _sandbox: Sandbox,
    _redis: RedisServer,
    _directory: TempDir,
}

impl Noon {
    async fn set() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let clock = Preload::clock(directory.path()).await?;
        let now = DateTime::from_timestamp_millis(clock::unix_now_ms() as i64).unwrap_or_default();
        let at = noon_after(now);
        clock.jump((at - now).num_seconds())?;
        let programs = redis_under(&[clock.preload()], directory.path())?;
        let redis = RedisServer::start(RedisOptions { programs, ..RedisOptions::default() }).await?;
        let mut queue = TestQueue::on(&redis.url());
        // One after the other: what is held for others must not decide who waits.
        queue.policy.concurrency = 1;
        let sandbox = Sandbox::start().await?;
        let mut variables: BTreeMap<_, _> = sandbox.environment().into_iter().collect();
        variables.insert("LLM_MAX_TOKENS", "1".to_owned());
        let lookup = |name: &str| Ok(variables.get(name).cloned());
        let environment = Environment::from_lookup(&lookup, variables.keys().copied())
            .map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
        // Nothing here asks Postgres, and a pool connects when it is first asked.
        let pool = database::connect(&"postgres://nobody@127.0.0.1:1/none".into(), 1)?;
        let pipeline = Pipeline::new(Arc::new(NoLimits), Arc::new(()), CircuitPolicy::default());
        let (link, prefix) = (&queue.link, queue.prefix());
        let timeouts = &CallTimeouts::default();
        let (llm, speech) = (settings(), SpeechSettings::built_in());
        let ground = Ground { pool: &pool, pipeline: &pipeline, link, prefix, timeouts, llm, speech };
        let mut services = assemble::services(&environment, ground)?;
        services.suppressions = Suppressions::empty();
        let fleet = queue.start_with(processors::registry().bind(services));
        Ok(Self { at, queue, fleet, clock, _sandbox: sandbox, _redis: redis, _directory: directory })
    }

    async fn ask(&self, tenant: &str, count: usize) -> Vec<JobId> {
        let job = NewJob::new(CompleteChat::ask("Why?")).queue(QUEUE).tenant(tenant);
        self.queue.enqueue_many(count, &job).await
    }

    async fn wait_until_delayed(&self, count: u64) {
        let rest = async || {
            let counts = self.queue.counts().await;
            (counts.ready, counts.running, counts.delayed) == (0, 0, count)
        };
        eventually(PATIENCE, &format!("{count} jobs wait and nothing else is left to do"), rest).await;
    }

    /// When the first of the jobs that wait is due.
    async fn first_due(&self) -> DateTime<Utc> {
        let mut command = redis::cmd("ZRANGE");
        command.arg(self.queue.keys.delayed()).arg(0).arg(0).arg("WITHSCORES");
        let first: Vec<(Vec<u8>, i64)> = self.queue.link.query(&command).await.expect("Redis answers");
        DateTime::from_timestamp_millis(first[0].1).expect("a time")
    }
}

fn settings() -> LlmSettings {
    let budget = Budget {
        per_day: Some(Dollars::new(QUESTION * A_DAY as f64)),
        per_month: None,
        timezone: chrono_tz::UTC,
        when_spent: WhenSpent::Wait,
    };
    let named = BTreeMap::from([("acme".to_owned(), budget)]);
    LlmSettings { budgets: Budgets { each: None, named }, ..LlmSettings::built_in() }
}

/// The first noon that is more than a minute away.
fn noon_after(now: DateTime<Utc>) -> DateTime<Utc> {
    let tomorrow = now.date_naive() + Days::new(1);
    tomorrow.and_time(NaiveTime::from_hms_opt(12, 0, 0).expect("a time")).and_utc()
}

#[tokio::test]
async fn jobs_of_a_tenant_whose_budget_is_spent_at_noon_run_after_midnight_and_none_is_lost_or_charged() {
    let noon = Noon::set().await.unwrap();

    let own = noon.ask("acme", 2 * A_DAY).await;
    let others = noon.ask("globex", 5).await;
    noon.wait_until_delayed(A_DAY as u64).await;
    let due = noon.first_due().await;
    let done_by_noon = noon.queue.records().await.len();
    noon.clock.jump(12 * 3_600 + 90).unwrap();
    noon.wait_until_delayed(0).await;

    let late = due - (noon.at + TimeDelta::hours(12));
    assert!((0..=75).contains(&late.num_seconds()), "the first is due {late} after midnight");
    assert_eq!(done_by_noon, A_DAY + others.len());
    let records = noon.queue.records().await;
    assert_eq!(records.len(), own.len() + others.len());
    for (_, record) in &records {
        assert_eq!((record.status.word(), record.attempt), ("succeeded", 1), "{record:?}");
    }
    drain(noon.fleet, PATIENCE).await;
}
