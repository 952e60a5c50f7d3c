//! Limits of a queue over HTTP, set while workers are at work: rate and concurrency, for a time or until taken back.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use flota_engine::control::{self, Control, Note, Rate, Setting};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    Api,
    access::Caller,
    audited::{Intent, audited},
    input::JsonBody,
    problem::Problem,
    queues::terms,
};
use crate::view::ControlsView;

/// How fast a queue is worked on; at least one of `rate` and `concurrency`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitRequest {
    /// Starts in any window, in all workers together: `10/s`, `500/m`, `2000/h`, `10000/d`, one for each window.
    #[serde(default)]
    rate: Vec<String>,
    /// Jobs at once in each worker, 1 to 4096.
    concurrency: Option<usize>,
    /// For whoever looks at it later, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
    /// Take it back by itself after so many seconds; holds until somebody takes it back unless given.
    #[schema(minimum = 1)]
    for_seconds: Option<u64>,
}

/// What is in force for a queue.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LimitAnswer {
    /// The queue.
    queue: String,
    /// What people have set (`pause`, `rate`, `concurrency`), by whom, why and until when.
    #[schema(value_type = Object)]
    controls: ControlsView,
}

impl LimitRequest {
    fn settings(&self) -> Result<Vec<Setting>, Problem> {
        let mut settings = Vec::new();
        if let Some(most) = self.concurrency {
            let wrong = |bad: control::BadSetting| Problem::invalid("/concurrency", bad.to_string());
            settings.push(Setting::concurrency(most).map_err(wrong)?);
        }
        if !self.rate.is_empty() {
            let read = |(at, text): (usize, &String)| {
                text.parse::<Rate>().map_err(|bad| Problem::invalid(format!("/rate/{at}"), bad.to_string()))
            };
            let rates = self.rate.iter().enumerate().map(read).collect::<Result<_, _>>()?;
            settings.push(Setting::rate(rates).map_err(|bad| Problem::invalid("/rate", bad.to_string()))?);
        }
        if settings.is_empty() {
            return Err(Problem::invalid("/rate", "or `concurrency` must be given"));
        }
        Ok(settings)
    }
}

/// Run a queue slower or faster
///
/// In every worker, within two seconds, in place of what queues.toml says. What runs goes on.
#[utoipa::path(
    post, path = "/api/v1/queues/{queue}/limit", operation_id = "limitQueue", tag = "queues",
    params(("queue" = String, Path, description = "Name of the queue")),
    request_body = LimitRequest,
    responses((status = 200, description = "What is in force now", body = LimitAnswer)),
    security(("token" = ["operator", "fleet"]))
)]
pub(super) async fn limit(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(queue): Path<String>,
    JsonBody(request): JsonBody<LimitRequest>,
) -> Result<Json<LimitAnswer>, Problem> {
    let lasting = terms(&request.reason, request.for_seconds)?;
    let settings = request.settings()?;
    let keys = api.known_queue(&queue).await?;
    let LimitRequest { rate, concurrency, reason, for_seconds } = request;
    let detail =
        json!({ "rate": rate, "concurrency": concurrency, "reason": reason, "for_seconds": for_seconds });
    let intent = Intent { action: "queue.limit", subject: &queue, detail };
    let actor = caller.actor();
    let note = Note { by: &actor, reason: &reason, lasting };
    let work = async {
        for setting in &settings {
            control::set(&api.link, &keys, setting, &note).await?;
        }
        Ok(control::read(&api.link, &keys).await?)
    };
    let controls = audited(&api, &caller, intent, work).await?.into();
    Ok(Json(LimitAnswer { queue, controls }))
}

/// Run a queue as queues.toml says again
///
/// Takes back its rate and its concurrency. A pause stays.
#[utoipa::path(
    post, path = "/api/v1/queues/{queue}/unlimit", operation_id = "unlimitQueue", tag = "queues",
    params(("queue" = String, Path, description = "Name of the queue")),
    responses((status = 200, description = "What is in force now", body = LimitAnswer)),
    security(("token" = ["operator", "fleet"]))
)]
pub(super) async fn unlimit(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(queue): Path<String>,
) -> Result<Json<LimitAnswer>, Problem> {
    let keys = api.known_queue(&queue).await?;
    let intent = Intent { action: "queue.unlimit", subject: &queue, detail: json!({}) };
    let work = async {
        for control in [Control::Rate, Control::Concurrency] {
            control::unset(&api.link, &keys, control).await?;
        }
        Ok(control::read(&api.link, &keys).await?)
    };
    let controls = audited(&api, &caller, intent, work).await?.into();
    Ok(Json(LimitAnswer { queue, controls }))
}
