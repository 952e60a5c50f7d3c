//! A real worker process with the toy processor, for stories that kill it.

use std::{env, process::ExitCode, sync::Arc, time::Duration};

use flota_producer::{Settings, link::Link};
use flota_tests::{fleet::quick_policy, toys};
use flota_worker::{
    config::env::LogFormat,
    database,
    outbox::Pace,
    process::{Process, Setup},
    shutdown::Shutdown,
    telemetry,
};

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    env::var(name).ok().and_then(|value| value.parse().ok())
}

fn main() -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let exit = runtime.block_on(work());
    runtime.shutdown_timeout(Duration::from_secs(1));
    exit
}

async fn work() -> anyhow::Result<ExitCode> {
    telemetry::init(LogFormat::Json, None, None);
    let settings = Settings::from_env()?;
    let mut policy = quick_policy();
    policy.concurrency = variable("TOY_CONCURRENCY").unwrap_or(policy.concurrency);
    policy.lease = variable("TOY_LEASE_MS").map_or(policy.lease, Duration::from_millis);
    policy.heartbeat = variable("TOY_HEARTBEAT_MS").map_or(policy.heartbeat, Duration::from_millis);
    policy.timeout = Duration::from_mins(10);
    let url: String = variable("DATABASE_URL").unwrap_or_default();
    let ledger = toys::Ledger::File(Arc::new(env::var("TOY_LEDGER")?.into()));
    let mut outbox = Pace::default();
    outbox.lost_after = variable("TOY_LOST_AFTER_MS").map_or(outbox.lost_after, Duration::from_millis);
    outbox.search_every = outbox.search_every.min(outbox.lost_after / 3);
    let shutdown = Shutdown::on_signals()?;
    let process = Process::start(Setup {
        pulse: Arc::default(),
        link: Link::new(settings.address())?,
        prefix: settings.prefix.clone(),
        queues: vec![policy],
        handlers: toys::registry().bind(ledger),
        observer: Arc::new(()),
        pool: database::connect(&url.into(), 8)?,
        outbox,
        scheduler: None,
        ages: None,
    })?;
    let grace = variable("TOY_GRACE_MS").map_or(Duration::from_secs(5), Duration::from_millis);
    Ok(if process.run(&shutdown, grace).await { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
