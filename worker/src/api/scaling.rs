//! How many workers a queue needs: the page that scalers such as KEDA's `metrics-api` read.
//!
//! It is served twice: by the API with a token, and by the admin pages of `flota serve` without one, beside `/metrics`,
//! which says the same. While Redis is away the answer is 503, so that a scaler keeps what there is.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, State},
    response::IntoResponse,
};
use flota_engine::scaling::{Backlog, backlog};
use flota_producer::{keys::Prefix, link::Link};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use super::{Api, input::Params, problem::Problem};

/// What is due within this time counts: about as long as a new worker takes to be there.
const SOON: Duration = Duration::from_secs(60);
/// Longest wait for Redis: scalers ask every few seconds and must not pile up.
const ANSWER: Duration = Duration::from_secs(2);

/// How to count workers.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PerReplica {
    /// Jobs that one worker is to have; the queue's `concurrency` unless given.
    per_replica: Option<u32>,
}

/// What a queue needs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Scaling {
    /// The queue.
    queue: String,
    /// Jobs that workers have something to do with: `valueLocation` of a `metrics-api` trigger.
    backlog: u64,
    /// Workers that the backlog is worth; 0 when there is nothing to do.
    replicas: u64,
    /// Waiting for a worker.
    ready: u64,
    /// Being run.
    in_flight: u64,
    /// Put off, and due within a minute.
    due_soon: u64,
    /// True when nothing is fetched; only what runs counts then.
    paused: bool,
}

/// How much work a queue has for workers
///
/// Counts what is ready, what runs and what is due within a minute; of a paused queue only what runs.
#[utoipa::path(
    get, path = "/api/v1/queues/{queue}/scaling", operation_id = "getScaling", tag = "queues",
    params(("queue" = String, Path, description = "Name of the queue"), PerReplica),
    responses((status = 200, description = "What the queue needs", body = Scaling)),
    security(("token" = ["viewer", "fleet"]))
)]
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    Path(queue): Path<String>,
    Params(per): Params<PerReplica>,
) -> Result<Json<Scaling>, Problem> {
    api.known_queue(&queue).await?;
    let slots = api.queues.get(&queue).copied();
    read(&api.link, &api.prefix, &queue, slots, &per).await.map(Json)
}

/// What this queue needs. `slots` is how many of its jobs one worker runs at once, where that is known.
pub(crate) async fn read(
    link: &Link,
    prefix: &Prefix,
    queue: &str,
    slots: Option<usize>,
    per: &PerReplica,
) -> Result<Scaling, Problem> {
    let each = per.per_replica.map_or(slots.unwrap_or(1) as u64, u64::from);
    if each == 0 {
        return Err(Problem::malformed("`per_replica` is at least 1"));
    }
    let backlog = timeout(ANSWER, backlog(link, &prefix.queue(queue), SOON)).await;
    let away = || Problem::away("redis-away", "Redis is away", "Redis does not answer; keep what there is");
    let backlog = backlog.map_err(|_| away())??;
    Ok(scaling(queue, backlog, each))
}

/// What a scaler is told that asks for a queue which is not in the file.
pub(crate) fn unknown_queue(queue: &str) -> impl IntoResponse + use<> {
    let queue: String = queue.chars().take(80).collect();
    Problem::not_found(format!("there is no queue `{queue}` in the queues file"))
}

fn scaling(queue: &str, backlog: Backlog, each: u64) -> Scaling {
    let Backlog { ready, in_flight, due_soon, paused } = backlog;
    let jobs = backlog.jobs();
    let queue = queue.to_owned();
    Scaling { queue, backlog: jobs, replicas: jobs.div_ceil(each), ready, in_flight, due_soon, paused }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_job_is_worth_a_worker_and_none_is_worth_none() {
        let needs = |ready| {
            let backlog = Backlog { ready, in_flight: 0, due_soon: 0, paused: false };
            scaling("email", backlog, 32).replicas
        };

        assert_eq!([0, 1, 32, 33].map(needs), [0, 1, 1, 2]);
    }
}
