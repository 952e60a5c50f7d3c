//! Decisions about many letters over HTTP: make one, watch it, stop it, let it go on.
//!
//! A request makes the operation and answers; the [`Carrier`] of a server carries it out. It also takes up what was
//! asked of a server that is gone: operations of the API that are running and that nobody holds. One that is held is
//! known by a lock in Postgres, so that several servers do not share one operation and double its rate.

mod carrier;

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

pub(super) use self::carrier::Carrier;
use super::{
    Api,
    access::Caller,
    dead_letters::{Reason, checked, may_search, rows_of_page},
    input::{JsonBody, Params},
    problem::Problem,
    redact,
};
use crate::{
    clock::now,
    dead::{self, Filter, Group, Kind, NewOperation, Operation, filter::Words},
    outcomes::DeadRow,
};

/// Operations on a page, unless said otherwise.
const PAGE: u32 = 20;
/// Letters and groups that a dry run shows.
const SAMPLE: (u32, u32) = (10, 10);
/// Most ids in a selection; more letters are chosen by what they have in common.
const MAX_IDS: usize = 1_000;

/// Which letters; at least one of these must be given.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Selection {
    /// These letters, at most 1,000.
    ids: Vec<Uuid>,
    /// Of this queue.
    queue: Option<String>,
    /// Of this kind.
    kind: Option<String>,
    /// Of this tenant; the token's own where it has one.
    tenant: Option<String>,
    /// With this class of error.
    class: Option<String>,
    /// With this code of the other side.
    code: Option<String>,
    /// That failed alike: a fingerprint.
    group: Option<String>,
    /// Tried so often: `3`, `2..5`, `3..` or `..3`.
    attempts: Option<String>,
    /// That died since: `2h`, `7d`, `2026-11-21` or `2026-11-21T18:00:00Z`.
    since: Option<String>,
    /// That died before.
    until: Option<String>,
    /// With this text in error, code or payload; for tokens that may see payloads.
    text: Option<String>,
    /// With these values in the payload, by path: `{"to": "ana@example.com"}`; for tokens that may see payloads.
    payload: BTreeMap<String, String>,
}

/// A decision about many letters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BulkRequest {
    /// What is done.
    decision: Kind,
    /// With which letters. The selection is frozen when the operation is made.
    filter: Selection,
    /// Why, for whoever looks at it later.
    reason: String,
    /// Most letters a second; as fast as it goes unless given.
    rate: Option<f64>,
    /// After so many letters wait until their replays have ended.
    stage_size: Option<u32>,
    /// Stop when more replays than this have died; needs `stage_size`, 0 with it unless given.
    max_failures: Option<u32>,
    /// Only show what would be done.
    #[serde(default)]
    dry_run: bool,
}

/// What a decision would be about.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DryRun {
    /// How many letters fit.
    matched: i64,
    /// The newest of them.
    sample: Vec<DeadRow>,
    /// The largest groups among them.
    groups: Vec<Group>,
}

impl Selection {
    fn filter(self, caller: &Caller) -> Result<Filter, Problem> {
        let Self { ids, queue, kind, tenant, class, code, group, attempts, since, until, text, payload } =
            self;
        if MAX_IDS < ids.len() {
            return Err(Problem::invalid("/filter/ids", format!("must hold at most {MAX_IDS} ids")));
        }
        let named = Words { queue, kind, tenant, class, code, group, attempts, since, until, text };
        let unread =
            |error: dead::UnknownFilter| Problem::invalid("/filter", format!("cannot be read: {error}"));
        let mut filter = named.filter(Some("dead"), now()).map_err(unread)?;
        filter.ids = ids.into_iter().map(Into::into).collect();
        for (path, value) in payload {
            filter.payload.push(format!("payload.{path}={value}").parse().map_err(unread)?);
        }
        // A token's own tenant chooses nothing by itself: all of a tenant's letters are named as such.
        if filter.is_empty() {
            return Err(Problem::invalid("/filter", "would take every dead letter; choose some"));
        }
        may_search(&filter, caller)?;
        filter.tenant = caller.meant(filter.tenant)?;
        Ok(filter)
    }
}

/// Decide about many letters
///
/// Makes an operation with a frozen selection, which this server then carries out. With `dry_run` it only shows how many
/// letters fit, the newest of them and the largest groups.
#[utoipa::path(
    post, path = "/api/v1/bulk-operations", operation_id = "createBulkOperation", tag = "bulk operations",
    request_body = BulkRequest,
    responses(
        (status = 202, description = "The operation; `Location` leads to it", body = Operation),
        (status = 200, description = "A dry run, or no letter fits", body = DryRun),
    ),
    security(("token" = ["admin"]))
)]
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    JsonBody(request): JsonBody<BulkRequest>,
) -> Result<Response, Problem> {
    let (pool, dry_run) = (api.letters()?, request.dry_run);
    let new = operation(request, &caller)?;
    if !dry_run && let Some(operation) = dead::create(pool, &new).await? {
        api.carrier.take_up(operation.id);
        let location = format!("/api/v1/bulk-operations/{}", operation.id);
        return Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(operation)).into_response());
    }
    let answer = DryRun {
        matched: dead::count(pool, &new.filter).await?,
        sample: dead::page(pool, &new.filter, None, SAMPLE.0).await?,
        groups: dead::groups(pool, &new.filter, SAMPLE.1).await?,
    };
    Ok(Json(answer).into_response())
}

fn operation(request: BulkRequest, caller: &Caller) -> Result<NewOperation, Problem> {
    let BulkRequest { decision: kind, filter, reason, rate, stage_size, max_failures, .. } = request;
    if rate.is_some_and(|rate| !(0.01..=100_000.0).contains(&rate)) {
        return Err(Problem::invalid("/rate", "must be 0.01 to 100000 letters a second"));
    }
    if stage_size.is_some_and(|size| !(1..=100_000).contains(&size)) {
        return Err(Problem::invalid("/stage_size", "must be 1 to 100000"));
    }
    if max_failures.is_some() && stage_size.is_none() {
        return Err(Problem::invalid(
            "/max_failures",
            "needs `stage_size`: without stages nobody waits for ends",
        ));
    }
    if kind == Kind::Discard && stage_size.is_some() {
        return Err(Problem::invalid("/stage_size", "is for replays: what is discarded does not run"));
    }
    Ok(NewOperation {
        kind,
        filter: filter.filter(caller)?,
        reason: Some(checked(Reason { reason })?),
        actor: caller.actor(),
        rate,
        stage_size,
        max_failures: max_failures.or(stage_size.map(|_| 0)),
        edited: None,
    })
}

/// How many operations.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// Most operations, 1 to 200; 20 unless given
    limit: Option<u32>,
}

/// Operations, newest first
#[utoipa::path(
    get, path = "/api/v1/bulk-operations", operation_id = "listBulkOperations", tag = "bulk operations",
    params(Page),
    responses((status = 200, description = "The operations", body = [Operation])),
    security(("token" = ["viewer", "fleet"]))
)]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Params(Page { limit }): Params<Page>,
) -> Result<Json<Vec<Operation>>, Problem> {
    let limit = rows_of_page(limit.unwrap_or(PAGE))?;
    let operations = dead::list(api.letters()?, limit).await?.into_iter();
    Ok(Json(operations.map(|operation| shown(operation, &caller)).collect()))
}

/// How far an operation has come
#[utoipa::path(
    get, path = "/api/v1/bulk-operations/{id}", operation_id = "getBulkOperation", tag = "bulk operations",
    params(("id" = Uuid, Path, description = "The operation's id")),
    responses((status = 200, description = "The operation", body = Operation)),
    security(("token" = ["viewer"]))
)]
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Operation>, Problem> {
    find(&api, &caller, &id).await.map(Json)
}

/// Give up what an operation has not done yet
///
/// What it has done stays. One that has ended is 409.
#[utoipa::path(
    post, path = "/api/v1/bulk-operations/{id}/abort", operation_id = "abortBulkOperation", tag = "bulk operations",
    params(("id" = Uuid, Path, description = "The operation's id")),
    responses((status = 200, description = "The operation as it stands", body = Operation)),
    security(("token" = ["admin"]))
)]
pub(super) async fn abort(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Operation>, Problem> {
    let operation = find(&api, &caller, &id).await?;
    if !dead::abort(api.letters()?, operation.id, &caller.actor()).await? {
        return Err(ended(&operation));
    }
    find(&api, &caller, &id).await.map(Json)
}

/// Let an operation go on from where it stopped
///
/// One that has ended is 409.
#[utoipa::path(
    post, path = "/api/v1/bulk-operations/{id}/resume", operation_id = "resumeBulkOperation", tag = "bulk operations",
    params(("id" = Uuid, Path, description = "The operation's id")),
    responses((status = 202, description = "The operation as it stands", body = Operation)),
    security(("token" = ["admin"]))
)]
pub(super) async fn resume(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let operation = find(&api, &caller, &id).await?;
    if !dead::reopen(api.letters()?, operation.id, &caller.actor()).await? {
        return Err(ended(&operation));
    }
    api.carrier.take_up(operation.id);
    Ok((StatusCode::ACCEPTED, Json(find(&api, &caller, &id).await?)).into_response())
}

async fn find(api: &Api, caller: &Caller, id: &str) -> Result<Operation, Problem> {
    let gone = || Problem::not_found("there is no such operation");
    let id: Uuid = id.parse().map_err(|_| gone())?;
    let operation = dead::find(api.letters()?, id).await?.ok_or_else(gone)?;
    let tenant = operation.filter["tenant"].as_str();
    if caller.sees(tenant) { Ok(shown(operation, caller)) } else { Err(gone()) }
}

/// What somebody looked for in payloads is hidden from those who may not see payloads.
fn shown(mut operation: Operation, caller: &Caller) -> Operation {
    if !caller.may_see_payloads() {
        redact::filter(&mut operation.filter);
    }
    operation
}

fn ended(operation: &Operation) -> Problem {
    let word = operation.state.word();
    Problem::conflict(format!("operation {} is {word} and stays so; nothing was changed", operation.id))
}
