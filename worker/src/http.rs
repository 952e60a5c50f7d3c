//! Health and metrics over HTTP, for probes and Prometheus.
//!
//! `/livez` says that the process answers, and depends on nothing else: an outage of Redis must not restart a fleet.
//! `/readyz` and `/startupz` make a round trip to Redis and Postgres. `/metrics` reads the queues when it is asked.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use flota_engine::inspect;
use flota_producer::{keys::Prefix, link::Link};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{failure::chain, outbox, outcomes, telemetry};

/// Longest that a probe waits for Redis or Postgres.
const PROBE: Duration = Duration::from_secs(1);

/// What the pages look at.
pub struct Health {
    /// Redis.
    pub link: Link,
    /// First part of every key.
    pub prefix: Prefix,
    /// Queues whose gauges are shown; none in workers, since every process would show the same.
    pub queues: Vec<String>,
    /// Postgres.
    pub pool: Option<PgPool>,
    /// What was counted in this process.
    pub metrics: PrometheusHandle,
}

/// Serves until `stop`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, health: Health, stop: CancellationToken) -> std::io::Result<()> {
    let app = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/startupz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(health));
    axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn ready(State(health): State<Arc<Health>>) -> impl IntoResponse {
    let (redis, postgres) = tokio::join!(health.redis(), health.postgres());
    let ready = redis.is_ok() && postgres.is_ok();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = |answer: Result<(), String>| answer.map_or_else(Value::String, |()| json!("ok"));
    (status, Json(json!({ "ready": ready, "redis": word(redis), "postgres": word(postgres) })))
}

async fn metrics(State(health): State<Arc<Health>>) -> impl IntoResponse {
    // Old gauges are worse than none: when Redis is away only the counters are shown.
    let _known = timeout(PROBE, health.measure()).await;
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], health.metrics.render())
}

impl Health {
    async fn redis(&self) -> Result<(), String> {
        let command = redis::cmd("TIME");
        match timeout(PROBE, self.link.query::<(u64, u64)>(&command)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(chain(&error)),
            Err(_) => Err(format!("no answer within {PROBE:?}")),
        }
    }

    async fn postgres(&self) -> Result<(), String> {
        let Some(pool) = &self.pool else { return Ok(()) };
        match timeout(PROBE, sqlx::query("SELECT 1").execute(pool)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(chain(&error)),
            Err(_) => Err(format!("no answer within {PROBE:?}")),
        }
    }

    /// Reads the queues into gauges.
    async fn measure(&self) {
        let dead = match &self.pool {
            Some(pool) if !self.queues.is_empty() => outcomes::dead_count(pool).await.ok(),
            _ => None,
        };
        if let Some(pool) = &self.pool
            && !self.queues.is_empty()
            && let Ok(standing) = outbox::standing(pool).await
        {
            telemetry::report_outbox(standing.waiting);
        }
        for queue in &self.queues {
            let Ok(counts) = inspect::counts(&self.link, &self.prefix.queue(queue)).await else { return };
            telemetry::report_queue(
                queue,
                &counts,
                dead.as_ref().map(|dead| dead.get(queue).copied().unwrap_or(0)),
            );
        }
    }
}
