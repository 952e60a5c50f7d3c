//! `flota serve`: health checks and the queues' metrics, apart from workers.

use std::net::SocketAddr;

use clap::Parser;
use tokio::net::TcpListener;
use tracing::info;

use crate::{
    config::Environment,
    exit::{Done, Exit, Stop},
    http::{self, Health},
    service_manager,
    shutdown::Shutdown,
    telemetry,
};

use super::{
    Global,
    context::{self, Redis, optional_postgres},
};

#[derive(Debug, Parser)]
#[command(after_help = "Example: flota serve --listen 127.0.0.1:9090")]
pub(super) struct Args {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:9090")]
    listen: SocketAddr,
}

pub(super) async fn run(global: &Global, environment: Environment, args: Args) -> Done {
    let redis = Redis::new(&environment)?;
    let queues = context::queues(global)?;
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        Stop::new(
            Exit::Failed,
            format!("{} cannot be listened on: {error}; choose another with --listen", args.listen),
        )
    })?;
    info!("Serving /livez, /readyz, /startupz and /metrics on http://{}", listener.local_addr()?);
    let shutdown = Shutdown::on_signals()?;
    let health = Health {
        link: redis.link,
        prefix: redis.prefix,
        queues: queues.policies.iter().map(|queue| queue.name.to_string()).collect(),
        pool: optional_postgres(&environment)?,
        metrics: telemetry::install_recorder(),
    };
    service_manager::attend("Serving".to_owned(), &shutdown.stop);
    http::serve(listener, health, shutdown.stop).await?;
    Ok(Exit::Ok)
}
