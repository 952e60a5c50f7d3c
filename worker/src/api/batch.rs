//! Up to five hundred jobs in one request, each with an answer of its own.

use std::sync::Arc;

use axum::{Json, extract::State, http::HeaderMap};
use flota_producer::NewJob;
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use utoipa::ToSchema;

use super::{
    Api,
    access::Caller,
    input::{LargeBody, decode},
    new_job::{Accepted, JobRequest, trace},
    problem::Problem,
};
use crate::audit::{self, Deed};

/// Most jobs of one request: one script call each queue.
const MOST: usize = flota_producer::BATCH;

/// Jobs to be enqueued.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchRequest {
    /// 1 to 500 jobs. Each may have its own `key`.
    #[schema(value_type = Vec<JobRequest>, min_items = 1, max_items = 500)]
    jobs: Vec<Box<RawValue>>,
}

/// What became of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BatchAnswer {
    /// How many were accepted, those that were there already included.
    accepted: usize,
    /// How many were not.
    refused: usize,
    /// One result per job, in the order of the request.
    results: Vec<ItemResult>,
}

/// What became of one job of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ItemResult {
    /// The status that the job would have had in a request of its own: 202, 200, or that of the problem.
    status: u16,
    /// The job, if it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<Accepted>,
    /// Why it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

/// Enqueue up to 500 jobs
///
/// Every job is accepted or refused by itself. Jobs with a `key` may be sent again after a lost answer; the header
/// `Idempotency-Key` is refused here, because it could not stand for all of them.
#[utoipa::path(
    post, path = "/api/v1/jobs:batch", operation_id = "enqueueJobs", tag = "jobs",
    request_body = BatchRequest,
    responses((status = 200, description = "What became of each", body = BatchAnswer)),
    security(("token" = ["operator"]))
)]
pub(super) async fn enqueue(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    body: LargeBody<BatchRequest>,
) -> Result<Json<BatchAnswer>, Problem> {
    let request = &body.value;
    if headers.contains_key("idempotency-key") {
        return Err(Problem::malformed("a batch takes no Idempotency-Key; give each job its own `key`"));
    }
    if !(1..=MOST).contains(&request.jobs.len()) {
        return Err(Problem::invalid("/jobs", format!("must hold 1 to {MOST} jobs")));
    }
    let (queues, trace) = (api.queue_names().await?, trace(&headers));
    let jobs = request.jobs.iter().map(|job| {
        let job: JobRequest = decode(job.get().as_bytes())?;
        let job = job.into_job(&api, &caller, &queues)?;
        Ok(match &trace {
            Some(trace) => job.trace(trace.clone()),
            None => job,
        })
    });
    let results = send(&api, jobs.collect()).await;
    let refused = results.iter().filter(|result| result.problem.is_some()).count();
    let answer = BatchAnswer { accepted: results.len() - refused, refused, results };
    note(&api, &caller, &answer).await;
    Ok(Json(answer))
}

/// Sends those that could be read. One result per job, in order.
async fn send(api: &Api, jobs: Vec<Result<NewJob, Problem>>) -> Vec<ItemResult> {
    let mut places = Vec::with_capacity(jobs.len());
    let mut sent = Vec::new();
    for job in jobs {
        places.push(job.map(|job| sent.push(job)));
    }
    let mut outcomes = api.producer.enqueue_all(sent).await.into_iter();
    let results = places.into_iter().enumerate().map(|(place, read)| {
        let outcome = read.and_then(|()| match outcomes.next() {
            Some(outcome) => outcome.map(Accepted::from).map_err(Problem::from),
            None => Err(Problem::overloaded()),
        });
        result(outcome.map_err(|problem| problem.below(&format!("/jobs/{place}"))))
    });
    results.collect()
}

fn result(outcome: Result<Accepted, Problem>) -> ItemResult {
    match outcome {
        Ok(job) => {
            let status = if job.deduplicated { 200 } else { 202 };
            ItemResult { status, job: Some(job), problem: None }
        }
        Err(problem) => ItemResult { status: problem.status(), job: None, problem: Some(problem) },
    }
}

async fn note(api: &Api, caller: &Caller, answer: &BatchAnswer) {
    let ids: Vec<String> =
        answer.results.iter().filter_map(|result| Some(result.job.as_ref()?.subject())).collect();
    let detail = json!({ "accepted": answer.accepted, "refused": answer.refused, "ids": ids });
    let (actor, tenant) = (caller.actor(), caller.tenant());
    let deed = Deed { actor: &actor, action: "job.enqueue", subject: "batch", tenant, detail };
    audit::note(api.pool.as_ref(), &deed).await;
}
