//! Jobs over HTTP: enqueue one, look at one or wait for its end, cancel one.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use flota_engine::{inspect, store::Cancelled};
use flota_producer::{Envelope, JobId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    Api,
    access::Caller,
    audited::{Intent, audited},
    input::{JsonBody, Params},
    new_job::{Accepted, JobRequest, trace},
    problem::Problem,
    redact,
};
use crate::{
    audit::{self, Deed},
    view::{self, JobView},
};

/// Longest that a request waits for a job to end.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// Pauses between two looks at a job that is waited for: the first, and the longest.
const LOOK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// A job that just ended is for a moment neither in Redis nor yet in Postgres: pauses between the looks at it.
const RECORDING: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(500)];

/// Enqueue a job
///
/// When this answers, Redis has the job. With an `Idempotency-Key` the same request may be sent again after a lost answer:
/// it answers 200 with the job of the first time, and 422 when kind or payload are others. Two such requests at once are
/// one job, too, so there is no 409.
#[utoipa::path(
    post, path = "/api/v1/jobs", operation_id = "enqueueJob", tag = "jobs",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 200 characters, in quotation marks or not; remembered for a day")),
    request_body = JobRequest,
    responses(
        (status = 202, description = "Accepted; `Location` leads to the job", body = Accepted),
        (status = 200, description = "A job with the same idempotency or unique key is there already", body = Accepted),
    ),
    security(("token" = ["operator"]))
)]
pub(super) async fn enqueue(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(mut request): JsonBody<JobRequest>,
) -> Result<Response, Problem> {
    request.key = key(&headers, request.key)?;
    let queues = if request.queue.is_some() { api.queue_names().await? } else { Vec::new() };
    let mut job = request.into_job(&api, &caller, &queues)?;
    if let Some(trace) = trace(&headers) {
        job = job.trace(trace);
    }
    let accepted = Accepted::from(api.producer.enqueue(job).await?);
    let detail = json!({ "deduplicated": accepted.deduplicated });
    let (actor, subject) = (caller.actor(), accepted.subject());
    let deed =
        Deed { actor: &actor, action: "job.enqueue", subject: &subject, tenant: caller.tenant(), detail };
    audit::note(api.pool.as_ref(), &deed).await;
    let status = if accepted.deduplicated { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, [(header::LOCATION, accepted.location())], Json(accepted)).into_response())
}

/// The idempotency key: of the header, plain or as a structured field's string, or of the body.
fn key(headers: &HeaderMap, in_body: Option<String>) -> Result<Option<String>, Problem> {
    let mut given = headers.get_all("idempotency-key").iter();
    let Some(value) = given.next() else { return Ok(in_body) };
    let wrong = || Problem::malformed("Idempotency-Key must be one value of 1 to 200 printable characters");
    let text = value.to_str().map_err(|_| wrong())?.trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if text.is_empty() || 200 < text.len() || given.next().is_some() {
        return Err(wrong());
    }
    match in_body {
        Some(other) if other != text => {
            Err(Problem::invalid("/key", "is not what the header Idempotency-Key says; give one of them"))
        }
        _ => Ok(Some(text.to_owned())),
    }
}

/// How to look at a job.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Look {
    /// Wait until it has ended, for this long at most: `10s`, up to `30s`. Then answer with how it stands.
    wait: Option<String>,
}

/// Look at a job, or wait for its end
///
/// Live state from Redis, history from Postgres. What a kind marks as secret in its result is shown to tokens that may
/// see payloads only.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}", operation_id = "getJob", tag = "jobs",
    params(("id" = Uuid, Path, description = "The job's id"), Look),
    responses((status = 200, description = "The job", body = JobView)),
    security(("token" = ["viewer"]))
)]
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Params(look): Params<Look>,
) -> Result<Json<JobView>, Problem> {
    let id = job_id(&id)?;
    let wait = look.wait.as_deref().map_or(Ok(Duration::ZERO), wait_of)?;
    let _place = if wait.is_zero() { None } else { Some(api.limits.waiting_place()?) };
    let until = Instant::now() + wait;
    let mut found = find(&api, &caller, id).await?;
    if found.outcome.is_none() && wait_for_end(&api, &found.queue, id, until).await? {
        found = find(&api, &caller, id).await?;
    }
    Ok(Json(redact::job(found, &api.registry, caller.may_see_payloads())))
}

/// Waits while a job is alive. Answers whether it has ended.
async fn wait_for_end(api: &Api, queue: &str, id: JobId, until: Instant) -> Result<bool, Problem> {
    let (keys, mut pause) = (api.keys(queue), LOOK.0);
    loop {
        if !inspect::is_alive(&api.link, &keys, id).await? {
            return Ok(true);
        }
        if until <= Instant::now() {
            return Ok(false);
        }
        sleep_until((Instant::now() + pause).min(until)).await;
        pause = (pause * 2).min(LOOK.1);
    }
}

fn wait_of(text: &str) -> Result<Duration, Problem> {
    let wait = humantime::parse_duration(text).ok().filter(|wait| *wait <= MAX_WAIT);
    wait.ok_or_else(|| Problem::malformed("`wait` is a time of at most 30 s, for example 10s"))
}

/// A job that the caller may see.
async fn find(api: &Api, caller: &Caller, id: JobId) -> Result<JobView, Problem> {
    let names = api.queue_names().await?;
    if let Some(job) = look(api, caller, &names, id).await? {
        return Ok(job);
    }
    let missed = Instant::now();
    for pause in RECORDING {
        // It may have been recorded since the look, so the last one is at the job.
        if !view::is_recording(&api.link, &api.prefix, &names).await? {
            return look(api, caller, &names, id).await?.ok_or_else(|| no_job(id));
        }
        sleep(pause).await;
        if let Some(job) = look(api, caller, &names, id).await? {
            return Ok(job);
        }
    }
    // Where there is always something to record, only what has been there since the first look may be about this job.
    let behind = view::is_behind(&api.link, &api.prefix, &names, missed.elapsed()).await?;
    match look(api, caller, &names, id).await? {
        Some(job) => Ok(job),
        None if behind => {
            let detail = "outcomes are on their way to Postgres, perhaps its own; ask again soon";
            Err(Problem::away("recording", "Its outcome may be on its way", detail))
        }
        None => Err(no_job(id)),
    }
}

/// One look at a job; somebody else's is answered like one that does not exist.
async fn look(api: &Api, caller: &Caller, names: &[String], id: JobId) -> Result<Option<JobView>, Problem> {
    let found = view::job(&api.link, &api.prefix, api.pool.as_ref(), names, id).await?;
    match found {
        Some(job) if !caller.sees(job.tenant.as_deref()) => Err(no_job(id)),
        found => Ok(found),
    }
}

fn no_job(id: JobId) -> Problem {
    Problem::not_found(format!("there is no job {id}"))
}

/// Reads a job's id. What is none names no job.
pub(super) fn job_id(text: &str) -> Result<JobId, Problem> {
    text.parse().map_err(|_| {
        let text: String = text.chars().take(80).collect();
        Problem::not_found(format!(
            "`{text}` is no job's id; one looks like 0199a7c2-9c1e-7cc3-98c4-dc0c0c07398f"
        ))
    })
}

/// What became of a cancel.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CancelAnswer {
    /// The job.
    id: Uuid,
    /// Its queue.
    queue: String,
    /// `cancelled`, or `requested` for a job that runs and ends with its next heartbeat.
    result: String,
}

/// Cancel a job
///
/// At once while it waits; a job that runs is asked to stop. A job that has ended is not there any more: 404.
#[utoipa::path(
    delete, path = "/api/v1/jobs/{id}", operation_id = "cancelJob", tag = "jobs",
    params(("id" = Uuid, Path, description = "The job's id")),
    responses(
        (status = 200, description = "It is cancelled", body = CancelAnswer),
        (status = 202, description = "It runs and is asked to stop", body = CancelAnswer),
    ),
    security(("token" = ["operator"]))
)]
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = job_id(&id)?;
    let gone = || Problem::not_found(format!("there is no live job {id}; it may have ended"));
    let queue = live_queue(&api, &caller, id).await?.ok_or_else(gone)?;
    let (keys, actor, subject) = (api.keys(&queue), caller.actor(), id.to_string());
    let work = async {
        match inspect::cancel(&api.link, &keys, id, &actor).await? {
            Cancelled::Unknown => Err(gone()),
            Cancelled::Now => Ok((StatusCode::OK, "cancelled")),
            Cancelled::Requested => Ok((StatusCode::ACCEPTED, "requested")),
        }
    };
    let intent = Intent { action: "job.cancel", subject: &subject, detail: json!({ "queue": queue }) };
    let (status, word) = audited(&api, &caller, intent, work).await?;
    let answer = CancelAnswer { id: id.uuid(), queue, result: word.to_owned() };
    Ok((status, Json(answer)).into_response())
}

/// The queue that a live job is in, if the caller may see it.
async fn live_queue(api: &Api, caller: &Caller, id: JobId) -> Result<Option<String>, Problem> {
    for queue in api.queue_names().await? {
        if let Some(found) = inspect::find(&api.link, &api.keys(&queue), id).await? {
            let tenant = Envelope::decode(&found.bytes).ok().and_then(|envelope| envelope.tenant);
            return Ok(caller.sees(tenant.as_deref()).then_some(queue));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idempotency_key_is_read_plain_and_quoted() {
        let of = |value: &str, in_body: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert("idempotency-key", value.parse().unwrap());
            key(&headers, in_body.map(str::to_owned)).map_err(|problem| problem.status())
        };

        assert_eq!(of("order-42", None), Ok(Some("order-42".to_owned())));
        assert_eq!(of("\"order-42\"", Some("order-42")), Ok(Some("order-42".to_owned())));
        assert_eq!(of("order-42", Some("order-43")), Err(422));
        assert_eq!((of("\"\"", None), of(&"x".repeat(201), None)), (Err(400), Err(400)));
        assert_eq!(key(&HeaderMap::new(), Some("k".to_owned())).unwrap().as_deref(), Some("k"));
    }

    #[test]
    fn a_wait_has_an_end() {
        assert_eq!(wait_of("10s").unwrap(), Duration::from_secs(10));
        for wrong in ["31s", "1h", "", "soon", "-1s"] {
            assert_eq!(wait_of(wrong).unwrap_err().status(), 400, "{wrong}");
        }
    }
}
