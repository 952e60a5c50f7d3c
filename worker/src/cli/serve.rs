//! `flota serve`: the HTTP API for applications and people, and admin pages for probes, Prometheus and scalers.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use clap::Parser;
use flota_producer::Producer;
use tokio::net::TcpListener;
use tracing::info;

use crate::{
    api,
    config::{Environment, Queues},
    database,
    exit::{Done, Exit},
    http::{self, Health, Scalers, connections, exposure},
    service_manager,
    shutdown::Shutdown,
    telemetry,
};

use super::{
    Global,
    context::{self, Redis},
};

/// Connections to Postgres for tokens, health and whatever else takes milliseconds, and longest time of a statement.
const QUICK: (u32, Duration) = (4, Duration::from_secs(5));
/// The same for questions about dead letters, which may have to read a million of them: they wait for each other, and
/// nobody's token waits for them. A statement ends when most requests do.
const LETTERS: (u32, Duration) = (8, Duration::from_secs(15));

#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  flota serve
  flota serve --listen 0.0.0.0:8080 --admin 0.0.0.0:9090 --admin-public")]
pub(super) struct Args {
    /// Address of the API; `FLOTA_API_ADDR` unless given, or else 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Address for health checks, metrics and scalers; `FLOTA_ADMIN_ADDR` unless given, or else 127.0.0.1:9090
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Let other machines reach health and metrics, which have no password; `FLOTA_ADMIN_PUBLIC` unless given
    #[arg(long)]
    admin_public: bool,
}

pub(super) async fn run(global: &Global, environment: Environment, args: Args) -> Done {
    let redis = Redis::new(&environment)?;
    let queues = context::queues(global)?;
    let url = environment.database_url.as_ref();
    let connect =
        |(most, longest)| url.map(|url| database::connect_for_answers(url, most, longest)).transpose();
    let (pool, letters) = (connect(QUICK)?, connect(LETTERS)?);
    let admin = args.admin.or(environment.admin_addr).unwrap_or(([127, 0, 0, 1], 9090).into());
    let public = args.listen.or(environment.api_addr).unwrap_or(([127, 0, 0, 1], 8080).into());
    exposure::check_admin(admin, args.admin_public || environment.admin_public)?;
    exposure::check_api(public, pool.as_ref()).await?;
    let admin = exposure::listen(admin, "health checks", "--admin").await?;
    let public = exposure::listen(public, "the API", "--listen").await?;
    info!("Serving /livez, /readyz, /startupz and /metrics on http://{}", admin.local_addr()?);
    info!("Serving the API on http://{}/api/v1/", public.local_addr()?);
    let shutdown = Shutdown::on_signals()?;
    let slots = slots(&queues);
    let health = Health {
        link: redis.link.again(),
        prefix: redis.prefix.clone(),
        queues: slots.keys().cloned().collect(),
        pool: pool.clone(),
        metrics: telemetry::install_recorder(),
        pulse: Arc::default(),
        fleet: None,
        ending: shutdown.stop.clone(),
    };
    let scalers = Scalers { link: redis.link.again(), prefix: redis.prefix.clone(), queues: slots.clone() };
    let pages = http::pages(health).merge(http::scalers(scalers));
    let api = api::router(api::Parts {
        producer: Producer::new(environment.redis.clone())?,
        link: redis.link,
        prefix: redis.prefix,
        pool,
        letters,
        registry: global.additions.registry(),
        queues: slots,
        rate: environment.api_rate,
        stop: shutdown.stop.clone(),
    });
    service_manager::attend("Serving".to_owned(), &shutdown.stop);
    serve_both((admin, pages), (public, api), &shutdown).await;
    Ok(Exit::Ok)
}

/// How many jobs of each queue one worker runs at once.
fn slots(queues: &Queues) -> BTreeMap<String, usize> {
    queues.policies.iter().map(|queue| (queue.name.to_string(), queue.concurrency)).collect()
}

/// The admin pages are there until requests to the API have ended, so that a probe sees the end coming.
async fn serve_both(
    admin: (TcpListener, axum::Router),
    api: (TcpListener, axum::Router),
    shutdown: &Shutdown,
) {
    let drained = tokio_util::sync::CancellationToken::new();
    let pages = connections::serve(admin.0, admin.1, drained.clone());
    let api = async {
        connections::serve(api.0, api.1, shutdown.stop.clone()).await;
        drained.cancel();
    };
    tokio::join!(pages, api);
}
