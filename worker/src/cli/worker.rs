//! `flota worker`: run jobs until told to stop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use clap::Parser;
use flota_engine::QueuePolicy;
use flota_producer::Producer;
use flota_providers::pipeline::{CircuitPolicy, Pipeline};
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::{
    additions::Both,
    assemble::{self, Ground},
    checks::{self, Severity},
    config::Environment,
    database,
    exit::{Done, Exit, Stop},
    http::{self, Health, Pulse, connections, exposure},
    limits,
    process::{Process, Setup},
    schedules::Scheduler,
    service_manager,
    shutdown::Shutdown,
    telemetry,
};

use super::{
    Global,
    context::{self, Redis},
};

/// Connections to Postgres beside those of the recorders.
const CONNECTIONS: u32 = 4 + OUTBOX_CONNECTIONS;
/// The outbox's: one listens, one moves rows, two search for lost jobs.
const OUTBOX_CONNECTIONS: u32 = 4;

#[derive(Debug, Parser)]
#[command(after_help = "Example: flota worker --queue email --queue webhook --drain-timeout 25s")]
pub(super) struct Args {
    /// Work on this queue only; may be given several times
    #[arg(long = "queue", value_name = "NAME")]
    only: Vec<String>,
    /// How long the worker may take to end after SIGTERM; what still runs a fifth of it (at most 5 s) before that is released
    #[arg(long, value_parser = humantime::parse_duration, default_value = "25s")]
    drain_timeout: Duration,
    /// Address for health checks and metrics; `FLOTA_ADMIN_ADDR` unless given
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Let other machines reach health and metrics, which have no password; `FLOTA_ADMIN_PUBLIC` unless given
    #[arg(long)]
    admin_public: bool,
}

pub(super) async fn run(global: &Global, environment: Environment, args: Args) -> Done {
    let registry = global.additions.registry();
    let file = context::queues(global)?;
    for note in file.notes(&registry) {
        tracing::info!("{note}");
    }
    let queues = chosen(file.policies, &args.only)?;
    let redis = Redis::new(&environment)?;
    let url = environment.database_url.as_ref();
    let url = url.ok_or_else(|| {
        Stop::new(
            Exit::Unreachable,
            "a worker records outcomes in Postgres: set DATABASE_URL, for example postgres://user@host/flota",
        )
    })?;
    let pool = database::connect(url, CONNECTIONS + queues.len() as u32)?;
    let listener = listener(&environment, &args).await?;
    look_around(&redis, &environment, &pool).await?;

    let shutdown = Shutdown::on_signals()?;
    let metrics = telemetry::install_recorder();
    telemetry::begin_rare_events(queues.iter().map(|queue| &*queue.name));
    let limits = limits::shared(redis.link.again(), redis.prefix.clone(), file.limits);
    let calls = Arc::new(telemetry::CallMetrics::default());
    let pipeline = Pipeline::new(limits, calls, CircuitPolicy::default());
    let (link, prefix) = (&redis.link, &redis.prefix);
    let (timeouts, llm, speech) = (&file.timeouts, file.llm, file.speech);
    let ground = Ground { pool: &pool, pipeline: &pipeline, link, prefix, timeouts, llm, speech };
    let services =
        assemble::services(&environment, ground).map_err(|error| Stop::usage(error.to_string()))?;
    let producer = Producer::new(environment.redis.clone())?;
    let scheduler = Scheduler::new(file.schedules, redis.link.again(), redis.prefix.clone(), producer);
    let names = queues.iter().map(|queue| queue.name.to_string()).collect::<Vec<_>>().join(", ");
    let (pulse, link, prefix) = (Arc::new(Pulse::default()), redis.link.again(), redis.prefix.clone());
    info!("Working on {names} with Redis {}", environment.redis);
    let kinds: Vec<&str> = registry.names().collect();
    let counting = telemetry::EventMetrics::new(queues.iter().map(|queue| &*queue.name), kinds);
    let observer = Arc::new(Both(counting, global.additions.observer.clone()));
    let process = Process::start(Setup {
        link: redis.link,
        prefix: redis.prefix,
        queues,
        handlers: registry.bind(services),
        observer,
        pool: pool.clone(),
        outbox: global.additions.outbox,
        scheduler: Some(scheduler),
        ages: Some(file.ages),
        pulse: pulse.clone(),
    })?;
    if let Some(listener) = listener {
        info!("Serving /livez, /readyz, /startupz and /metrics on http://{}", listener.local_addr()?);
        let (fleet, ending) = (Some(process.fleet()), shutdown.stop.clone());
        let (queues, pool) = (Vec::new(), Some(pool));
        let health = Health { link, prefix, queues, pool, metrics, pulse, fleet, ending };
        tokio::spawn(connections::serve(listener, http::pages(health), shutdown.hurry.clone()));
    }
    service_manager::attend(format!("Working on {names}"), &shutdown.stop);
    if process.run(&shutdown, args.drain_timeout).await {
        return Ok(Exit::Ok);
    }
    Err(Stop::new(
        Exit::Failed,
        "a loop of this worker ended by itself; see the log, and start the worker again",
    ))
}

/// Listens for probes before anything starts, so that an address that cannot be used is told at once.
async fn listener(environment: &Environment, args: &Args) -> Result<Option<TcpListener>, Stop> {
    let Some(address) = args.admin.or(environment.admin_addr) else { return Ok(None) };
    exposure::check_admin(address, args.admin_public || environment.admin_public)?;
    exposure::listen(address, "health checks", "--admin").await.map(Some)
}

fn chosen(queues: Vec<QueuePolicy>, only: &[String]) -> Result<Vec<QueuePolicy>, Stop> {
    let known = queues.iter().map(|queue| queue.name.to_string()).collect::<Vec<_>>().join(", ");
    if let Some(unknown) = only.iter().find(|name| queues.iter().all(|queue| *queue.name != ***name)) {
        return Err(Stop::usage(format!("--queue {unknown}: the queues file has {known}")));
    }
    let wanted = |queue: &QueuePolicy| only.is_empty() || only.iter().any(|name| **name == *queue.name);
    Ok(queues.into_iter().filter(wanted).collect())
}

/// Refuses to start where jobs would be lost; tells of the rest and goes on.
async fn look_around(redis: &Redis, environment: &Environment, pool: &sqlx::PgPool) -> Result<(), Stop> {
    for finding in checks::redis(&redis.link, environment).await {
        let fix = finding.fix.unwrap_or_default();
        match finding.severity {
            Severity::Ok => {}
            Severity::Error if finding.check == "redis" => {
                return Err(Stop::new(Exit::Unreachable, format!("{}; {fix}", finding.found)));
            }
            Severity::Error if environment.is_production() => {
                return Err(Stop::new(
                    Exit::Failed,
                    format!("Redis: {} {}; {fix}", finding.check, finding.found),
                ));
            }
            Severity::Error | Severity::Warning => warn!("Redis: {} {}; {fix}", finding.check, finding.found),
        }
    }
    match database::status(pool).await {
        // History may wait; work may not.
        Err(error) => {
            warn!("Postgres does not answer, outcomes wait in Redis: {}", crate::failure::chain(&error));
        }
        Ok(migrations) if migrations.iter().any(|migration| migration.applied.is_none()) => {
            return Err(Stop::new(
                Exit::Failed,
                "Postgres is not prepared for this release; run `flota db migrate`",
            ));
        }
        Ok(_) => {}
    }
    Ok(())
}
