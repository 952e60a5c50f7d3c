//! The admin pages: health for probes, numbers for Prometheus and for scalers.
//!
//! `/livez` says that the process answers, and depends on nothing else: an outage of Redis must not restart a fleet.
//! `/readyz` and `/startupz` make a round trip to Redis and Postgres and look at what the loops last heard.
//! `/metrics` reads the queues when it is asked, and so does the scaling page, which `flota serve` has.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use flota_engine::{FleetHandle, inspect};
use flota_producer::{keys::Prefix, link::Link};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{Beat, Pulse};
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
    /// What the loops of this process last heard; none in `flota serve`.
    pub pulse: Arc<Pulse>,
    /// How busy this worker is, where it is one.
    pub fleet: Option<FleetHandle>,
    /// Cancelled once this process has been told to end: it takes nothing more.
    pub ending: CancellationToken,
}

/// The pages.
pub fn pages(health: Health) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/startupz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(health))
}

async fn ready(State(health): State<Arc<Health>>) -> impl IntoResponse {
    let (redis, postgres) = tokio::join!(health.redis(), health.postgres());
    let beats = health.pulse.beats(Instant::now());
    let loops_are_well = beats.iter().all(|beat| beat.well || health.need_not_fetch(beat));
    let ending = health.ending.is_cancelled();
    let ready = redis.is_ok() && postgres.is_ok() && loops_are_well && !ending;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = |answer: Result<(), String>| answer.map_or_else(Value::String, |()| json!("ok"));
    let mut answer = json!({ "ready": ready, "redis": word(redis), "postgres": word(postgres) });
    if ending {
        answer["ending"] = json!(true);
    }
    for step in ["fetch", "record"] {
        let of_step = beats.iter().filter(|beat| beat.step == step);
        let of_step: Map<String, Value> = of_step.map(beat).collect();
        if !of_step.is_empty() {
            answer[step] = Value::Object(of_step);
        }
    }
    (status, Json(answer))
}

fn beat(beat: &Beat) -> (String, Value) {
    (beat.queue.clone(), json!({ "age_ms": beat.age_ms, "well": beat.well }))
}

async fn metrics(State(health): State<Arc<Health>>) -> impl IntoResponse {
    // Old gauges are worse than none: when Redis is away only the counters are shown.
    let _known = timeout(PROBE, health.measure()).await;
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], health.metrics.render())
}

impl Health {
    /// A worker with a job in every slot does not fetch, and neither does one that was told to be quiet; that Redis answers
    /// has been seen then.
    fn need_not_fetch(&self, beat: &Beat) -> bool {
        let is_quiet = self.fleet.as_ref().is_some_and(FleetHandle::is_quiet);
        let load = self.fleet.as_ref().map(FleetHandle::load).unwrap_or_default();
        let is_full = || load.iter().any(|queue| queue.queue == beat.queue && queue.slots <= queue.busy);
        beat.step == "fetch" && (is_quiet || is_full())
    }

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
