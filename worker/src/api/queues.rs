//! Queues over HTTP: how they are, pause and resume.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, State},
};
use flota_engine::control::{self, Control, Note, Setting};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    Api,
    access::Caller,
    audited::{Intent, audited},
    input::JsonBody,
    problem::Problem,
};
use crate::view::{self, QueueDetail, QueueView};

/// Longest reason for a pause or a limit, in characters.
const MAX_REASON: usize = 200;

/// Every queue with its counts
#[utoipa::path(
    get, path = "/api/v1/queues", operation_id = "listQueues", tag = "queues",
    responses((status = 200, description = "The queues, by name", body = [QueueView])),
    security(("token" = ["viewer", "fleet"]))
)]
pub(super) async fn list(State(api): State<Arc<Api>>) -> Result<Json<Vec<QueueView>>, Problem> {
    let names = api.queue_names().await?;
    Ok(Json(view::queues(&api.link, &api.prefix, api.letters.as_ref(), &names).await?))
}

/// One queue in full
#[utoipa::path(
    get, path = "/api/v1/queues/{queue}", operation_id = "getQueue", tag = "queues",
    params(("queue" = String, Path, description = "Name of the queue")),
    responses((status = 200, description = "The queue", body = QueueDetail)),
    security(("token" = ["viewer", "fleet"]))
)]
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    Path(queue): Path<String>,
) -> Result<Json<QueueDetail>, Problem> {
    api.known_queue(&queue).await?;
    let (link, prefix, pool) = (&api.link, &api.prefix, api.letters.as_ref());
    Ok(Json(view::queue(link, prefix, pool, &api.registry, &queue).await?))
}

/// Why a queue is paused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PauseRequest {
    /// For whoever looks at it later, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
    /// Take it back by itself after so many seconds; holds until somebody takes it back unless given.
    #[schema(minimum = 1)]
    for_seconds: Option<u64>,
}

/// Whether a queue is fetched.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PauseAnswer {
    /// The queue.
    queue: String,
    /// True when nothing is fetched.
    paused: bool,
}

/// Stop fetching from a queue
///
/// In every worker. Jobs are accepted and wait; what runs goes on.
#[utoipa::path(
    post, path = "/api/v1/queues/{queue}/pause", operation_id = "pauseQueue", tag = "queues",
    params(("queue" = String, Path, description = "Name of the queue")),
    request_body = PauseRequest,
    responses((status = 200, description = "It is paused", body = PauseAnswer)),
    security(("token" = ["operator", "fleet"]))
)]
pub(super) async fn pause(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(queue): Path<String>,
    JsonBody(PauseRequest { reason, for_seconds }): JsonBody<PauseRequest>,
) -> Result<Json<PauseAnswer>, Problem> {
    let lasting = terms(&reason, for_seconds)?;
    let keys = api.known_queue(&queue).await?;
    let detail = json!({ "reason": reason, "for_seconds": for_seconds });
    let intent = Intent { action: "queue.pause", subject: &queue, detail };
    let actor = caller.actor();
    let note = Note { by: &actor, reason: &reason, lasting };
    let work = async { Ok(control::set(&api.link, &keys, &Setting::Pause, &note).await?) };
    audited(&api, &caller, intent, work).await?;
    Ok(Json(PauseAnswer { queue, paused: true }))
}

/// Checks why something is set, and for how long.
pub(super) fn terms(reason: &str, for_seconds: Option<u64>) -> Result<Option<Duration>, Problem> {
    let fits = (1..=MAX_REASON).contains(&reason.chars().count()) && !reason.chars().any(char::is_control);
    if !fits {
        return Err(Problem::invalid("/reason", "must be 1 to 200 characters without control characters"));
    }
    for_seconds.map(lasting).transpose()
}

fn lasting(seconds: u64) -> Result<Duration, Problem> {
    let wrong = || Problem::invalid("/for_seconds", "must be 1 to 31536000 (a year)");
    (1..=31_536_000).contains(&seconds).then(|| Duration::from_secs(seconds)).ok_or_else(wrong)
}

/// Fetch from a queue again
#[utoipa::path(
    post, path = "/api/v1/queues/{queue}/resume", operation_id = "resumeQueue", tag = "queues",
    params(("queue" = String, Path, description = "Name of the queue")),
    responses((status = 200, description = "It is fetched", body = PauseAnswer)),
    security(("token" = ["operator", "fleet"]))
)]
pub(super) async fn resume(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(queue): Path<String>,
) -> Result<Json<PauseAnswer>, Problem> {
    let keys = api.known_queue(&queue).await?;
    let intent = Intent { action: "queue.resume", subject: &queue, detail: json!({}) };
    audited(&api, &caller, intent, async { Ok(control::unset(&api.link, &keys, Control::Pause).await?) })
        .await?;
    Ok(Json(PauseAnswer { queue, paused: false }))
}
