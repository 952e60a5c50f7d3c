//! Dead letters over HTTP: find them, look at one, replay or discard one. Many at once are a bulk operation.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use flota_producer::JobId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    Api,
    access::Caller,
    input::{JsonBody, Params},
    jobs::job_id,
    problem::Problem,
    redact,
};
use crate::{
    audit::{self, Deed},
    clock::now,
    dead::{self, Filter, Group, Kind, Letter, NewOperation, filter::Words},
    outcomes::DeadRow,
};

/// Most letters, or operations, on a page.
const MAX_PAGE: u32 = 200;
/// Letters on a page, and groups, unless said otherwise.
const PAGE: u32 = 50;

/// Which letters; what is not given does not matter.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Of this queue
    queue: Option<String>,
    /// Of this kind
    kind: Option<String>,
    /// Of this tenant; the token's own where it has one
    tenant: Option<String>,
    /// With this class of error, for example `network`
    class: Option<String>,
    /// With this code of the other side, for example `550`
    code: Option<String>,
    /// That failed alike: a fingerprint of `GET /api/v1/dead-letter-groups`
    group: Option<String>,
    /// Tried so often: `3`, `2..5`, `3..` or `..3`
    attempts: Option<String>,
    /// That died since: `2h`, `7d`, `2026-11-21` or `2026-11-21T18:00:00Z`
    since: Option<String>,
    /// That died before
    until: Option<String>,
    /// With this text in error, code or payload; for tokens that may see payloads
    text: Option<String>,
    /// With this value in the payload, `to=ana@example.com`; for tokens that may see payloads
    payload: Option<String>,
    /// In this state: `dead` (unless given), `replaying`, `replayed`, `discarded`, `all`
    state: Option<String>,
    /// Most rows, 1 to 200; 50 unless given
    limit: Option<u32>,
    /// Continue behind this letter: the last one of the page before
    before: Option<Uuid>,
}

impl Wanted {
    fn filter(&self, caller: &Caller) -> Result<Filter, Problem> {
        let state = Filter::state(self.state.as_deref().unwrap_or("dead"))?;
        let words = Words {
            queue: self.queue.clone(),
            kind: self.kind.clone(),
            tenant: caller.meant(self.tenant.clone())?,
            class: self.class.clone(),
            code: self.code.clone(),
            group: self.group.clone(),
            attempts: self.attempts.clone(),
            since: self.since.clone(),
            until: self.until.clone(),
            text: self.text.clone(),
        };
        let mut filter = words.filter(state, now())?;
        if let Some(payload) = &self.payload {
            filter.payload.push(format!("payload.{payload}").parse()?);
        }
        may_search(&filter, caller)?;
        Ok(filter)
    }

    fn limit(&self) -> Result<u32, Problem> {
        rows_of_page(self.limit.unwrap_or(PAGE))
    }
}

/// How many rows a page has.
pub(super) fn rows_of_page(limit: u32) -> Result<u32, Problem> {
    if (1..=MAX_PAGE).contains(&limit) {
        Ok(limit)
    } else {
        Err(Problem::malformed(format!("`limit` is 1 to {MAX_PAGE}")))
    }
}

/// Whoever may not see payloads must not find out about them by searching, either.
pub(super) fn may_search(filter: &Filter, caller: &Caller) -> Result<(), Problem> {
    if caller.may_see_payloads() || (filter.text.is_none() && filter.payload.is_empty()) {
        return Ok(());
    }
    Err(Problem::forbidden("`text` and `payload` look into payloads, and this token may not see them"))
}

/// Dead letters, newest first
#[utoipa::path(
    get, path = "/api/v1/dead-letters", operation_id = "listDeadLetters", tag = "dead letters",
    params(Wanted),
    responses((status = 200, description = "A page; the next one is `before` the last letter of this one", body = [DeadRow])),
    security(("token" = ["viewer"]))
)]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Params(wanted): Params<Wanted>,
) -> Result<Json<Vec<DeadRow>>, Problem> {
    let (filter, limit, pool) = (wanted.filter(&caller)?, wanted.limit()?, api.letters()?);
    let before = match wanted.before {
        None => None,
        Some(id) => Some(position(&api, &caller, id.into()).await?),
    };
    Ok(Json(dead::page(pool, &filter, before, limit).await?))
}

async fn position(api: &Api, caller: &Caller, id: JobId) -> Result<crate::outcomes::Position, Problem> {
    own(api, caller, id).await?;
    dead::position_of(api.letters()?, id).await?.ok_or_else(|| no_letter(id))
}

/// Dead letters by how they failed, largest group first
#[utoipa::path(
    get, path = "/api/v1/dead-letter-groups", operation_id = "listDeadLetterGroups", tag = "dead letters",
    params(Wanted),
    responses((status = 200, description = "The groups", body = [Group])),
    security(("token" = ["viewer"]))
)]
pub(super) async fn groups(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Params(wanted): Params<Wanted>,
) -> Result<Json<Vec<Group>>, Problem> {
    if wanted.before.is_some() {
        return Err(Problem::malformed("groups have no pages: `before` is for letters"));
    }
    Ok(Json(dead::groups(api.letters()?, &wanted.filter(&caller)?, wanted.limit()?).await?))
}

/// One letter: its input, every run, its line of repetitions, who decided what
///
/// Payload fields that the kind marks as secret are shown to tokens that may see payloads; each such look is in the
/// audit log.
#[utoipa::path(
    get, path = "/api/v1/dead-letters/{id}", operation_id = "getDeadLetter", tag = "dead letters",
    params(("id" = Uuid, Path, description = "The letter's id: that of the job that died")),
    responses((status = 200, description = "The letter", body = Letter)),
    security(("token" = ["viewer"]))
)]
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Letter>, Problem> {
    let (id, pool) = (job_id(&id)?, api.letters()?);
    let letter = dead::get(pool, id).await?.filter(|letter| caller.sees(letter.row.tenant.as_deref()));
    let mut letter = letter.ok_or_else(|| no_letter(id))?;
    if caller.may_see_payloads() {
        let (actor, subject) = (caller.actor(), id.to_string());
        let (tenant, detail) = (letter.row.tenant.as_deref(), json!({}));
        let deed = Deed { actor: &actor, action: "payload.read", subject: &subject, tenant, detail };
        audit::write(api.postgres()?, &deed).await?;
    } else {
        let secret = redact::secrets_of(&api.registry, &letter.row.kind);
        if let Some(payload) = &mut letter.payload {
            redact::hide(payload, secret.payload);
        }
        redact::attempts(&mut letter.runs, secret);
    }
    Ok(Json(letter))
}

fn no_letter(id: JobId) -> Problem {
    Problem::not_found(format!("there is no dead letter {id}"))
}

/// Why something is decided.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    /// For whoever looks at it later, 1 to 500 characters.
    #[schema(min_length = 1, max_length = 500)]
    pub(super) reason: String,
}

/// What became of a letter.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Decided {
    /// The letter.
    letter: Uuid,
    /// `replaying` or `discarded`; `dead` where it could not be carried out.
    state: String,
    /// The job that repeats it.
    replayed_as: Option<Uuid>,
    /// The bulk operation of one letter that did it.
    operation: Uuid,
}

/// Enqueue one letter once more, byte for byte
///
/// Under a new id. A letter that somebody has decided about already is 409; a replay that dies is a letter of its own.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/{id}/replay", operation_id = "replayDeadLetter", tag = "dead letters",
    params(("id" = Uuid, Path, description = "The letter's id")),
    request_body = Reason,
    responses((status = 202, description = "It is on its way", body = Decided)),
    security(("token" = ["operator"]))
)]
pub(super) async fn replay(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(reason): JsonBody<Reason>,
) -> Result<Response, Problem> {
    let decided = decide(&api, &caller, job_id(&id)?, Kind::Replay, reason).await?;
    Ok((StatusCode::ACCEPTED, Json(decided)).into_response())
}

/// Take one letter off the list for good
///
/// It stays in the database with the reason.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/{id}/discard", operation_id = "discardDeadLetter", tag = "dead letters",
    params(("id" = Uuid, Path, description = "The letter's id")),
    request_body = Reason,
    responses((status = 200, description = "It is discarded", body = Decided)),
    security(("token" = ["admin"]))
)]
pub(super) async fn discard(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(reason): JsonBody<Reason>,
) -> Result<Json<Decided>, Problem> {
    decide(&api, &caller, job_id(&id)?, Kind::Discard, reason).await.map(Json)
}

async fn decide(
    api: &Api,
    caller: &Caller,
    id: JobId,
    kind: Kind,
    reason: Reason,
) -> Result<Decided, Problem> {
    let reason = checked(reason)?;
    own(api, caller, id).await?;
    let pool = api.letters()?;
    let tenant = caller.tenant().map(str::to_owned);
    let filter = Filter { ids: vec![id], tenant, ..Filter::default() };
    let (actor, rate, stage_size, max_failures, edited) = (caller.actor(), None, None, None, None);
    let new =
        NewOperation { kind, filter, reason: Some(reason), actor, rate, stage_size, max_failures, edited };
    let Some(operation) = dead::create(pool, &new).await? else { return Err(decided_before(api, id).await?) };
    dead::carry_out(pool, operation.id, &new.actor, &CancellationToken::new(), |_| {}).await?;
    let (state, again) = state_of(api, id).await?;
    Ok(Decided { letter: id.uuid(), state, replayed_as: again.map(JobId::uuid), operation: operation.id })
}

/// The reason, which stands in the audit log.
pub(super) fn checked(Reason { reason }: Reason) -> Result<String, Problem> {
    if (1..=500).contains(&reason.chars().count()) && !reason.chars().any(char::is_control) {
        Ok(reason)
    } else {
        Err(Problem::invalid("/reason", "must be 1 to 500 characters without control characters"))
    }
}

/// Refuses letters that the caller may not see.
async fn own(api: &Api, caller: &Caller, id: JobId) -> Result<(), Problem> {
    let Some(tenant) = caller.tenant() else { return Ok(()) };
    let filter = Filter { ids: vec![id], tenant: Some(tenant.to_owned()), ..Filter::default() };
    if dead::count(api.letters()?, &filter).await? == 0 { Err(no_letter(id)) } else { Ok(()) }
}

async fn state_of(api: &Api, id: JobId) -> Result<(String, Option<JobId>), Problem> {
    let states = dead::states(api.letters()?, &[id]).await?;
    states.into_iter().next().map(|(_, state, again)| (state, again)).ok_or_else(|| no_letter(id))
}

async fn decided_before(api: &Api, id: JobId) -> Result<Problem, Problem> {
    let (state, again) = state_of(api, id).await?;
    let again = again.map_or_else(String::new, |again| format!(" as job {again}"));
    Ok(Problem::conflict(format!("letter {id} is {state}{again} already; nothing was done")))
}
