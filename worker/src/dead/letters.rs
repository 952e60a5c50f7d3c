//! Reading dead letters: a page of them, how many there are, one with everything that is known of it.

use chrono::{DateTime, Utc};
use flota_producer::JobId;
use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder, Row, postgres::PgRow};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Filter;
use crate::outcomes::{self, AttemptRow, DeadRow, Position};

/// Columns of a [`DeadRow`].
const COLUMNS: &str = "job_id, queue, kind, tenant, error_class, error, attempts, died_at, state";

/// Everything that is known of one letter.
#[derive(Debug, Serialize, ToSchema)]
pub struct Letter {
    /// As it is listed.
    #[serde(flatten)]
    pub row: DeadRow,
    /// The other side's own code.
    pub code: Option<String>,
    /// What it has in common with those that failed alike.
    pub fingerprint: String,
    /// Since when it is in its state, where somebody decided about it.
    pub state_changed_at: Option<DateTime<Utc>>,
    /// The letter that it repeated.
    #[schema(value_type = Option<Uuid>)]
    pub replay_of: Option<JobId>,
    /// The job that repeats it.
    #[schema(value_type = Option<Uuid>)]
    pub replayed_as: Option<JobId>,
    /// The input that it died with; `None` where the envelope cannot be read.
    #[schema(value_type = Option<Object>)]
    pub payload: Option<Value>,
    /// Its runs, oldest first; `attempts` is how many of them were charged.
    pub runs: Vec<AttemptRow>,
    /// The first job of its line and every repetition after it, this one included.
    pub lineage: Vec<Lineage>,
    /// Who decided what about it.
    pub operations: Vec<Touched>,
    /// The envelope, byte for byte.
    #[serde(skip)]
    pub envelope: Vec<u8>,
}

/// One job of a line of repetitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Lineage {
    /// The job.
    #[schema(value_type = Uuid)]
    pub id: JobId,
    /// How it ended; `None` while it has not, or where history forgot it.
    pub status: Option<String>,
}

/// One decision about a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Touched {
    /// The bulk operation.
    pub operation: Uuid,
    /// `replay` or `discard`.
    pub kind: String,
    /// `pending`, `queued` (carried out), `failed` or `skipped`.
    pub state: String,
    /// Who decided.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// Why it failed or was skipped.
    pub note: Option<String>,
    /// When it was decided.
    pub at: DateTime<Utc>,
}

/// Letters, newest first, behind a position, at most `limit`.
pub async fn page(
    pool: &PgPool,
    filter: &Filter,
    before: Option<Position>,
    limit: u32,
) -> Result<Vec<DeadRow>, sqlx::Error> {
    let mut query = page_query("", filter, before, limit);
    // Planned for these values and not for any.
    query.build_query_as().persistent(false).fetch_all(pool).await
}

fn page_query(
    explain: &str,
    filter: &Filter,
    before: Option<Position>,
    limit: u32,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(format!("{explain}SELECT {COLUMNS} FROM dead_letters"));
    filter.push(&mut query);
    if let Some(before) = before {
        query.push(" AND (died_at, job_id) < (").push_bind(before.at).push(", ");
        query.push_bind(before.id.uuid()).push(")");
    }
    query.push(" ORDER BY died_at DESC, job_id DESC LIMIT ").push_bind(i64::from(limit));
    query
}

/// How Postgres finds the first page: its plan, for those who tune it.
pub async fn explain_page(pool: &PgPool, filter: &Filter, limit: u32) -> Result<Vec<String>, sqlx::Error> {
    let mut query = page_query(super::EXPLAIN, filter, None, limit);
    query.build_query_scalar().persistent(false).fetch_all(pool).await
}

/// How many letters fit.
pub async fn count(pool: &PgPool, filter: &Filter) -> Result<i64, sqlx::Error> {
    let mut query = QueryBuilder::new("SELECT count(*) FROM dead_letters");
    filter.push(&mut query);
    query.build_query_scalar().persistent(false).fetch_one(pool).await
}

/// Where a letter is in the list; `None` when there is no such letter.
pub async fn position_of(pool: &PgPool, id: JobId) -> Result<Option<Position>, sqlx::Error> {
    let at = sqlx::query_scalar("SELECT died_at FROM dead_letters WHERE job_id = $1");
    let at: Option<DateTime<Utc>> = at.bind(id.uuid()).fetch_optional(pool).await?;
    Ok(at.map(|at| Position { at, id }))
}

/// The states of these letters; letters that do not exist are left out.
pub async fn states(
    pool: &PgPool,
    ids: &[JobId],
) -> Result<Vec<(JobId, String, Option<JobId>)>, sqlx::Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let query = sqlx::query_as("SELECT job_id, state, replayed_as FROM dead_letters WHERE job_id = ANY($1)");
    let rows: Vec<(Uuid, String, Option<Uuid>)> = query.bind(ids).fetch_all(pool).await?;
    Ok(rows.into_iter().map(|(id, state, again)| (id.into(), state, again.map(JobId::from))).collect())
}

/// One letter with its runs, its line of repetitions and the decisions about it.
pub async fn get(pool: &PgPool, id: JobId) -> Result<Option<Letter>, sqlx::Error> {
    let row = sqlx::query(include_str!("get.sql")).bind(id.uuid()).fetch_optional(pool).await?;
    let Some(row) = row else { return Ok(None) };
    let history = outcomes::find(pool, id).await?;
    let lineage = sqlx::query_as(include_str!("lineage.sql")).bind(id.uuid()).fetch_all(pool).await?;
    let operations = sqlx::query_as(include_str!("touched.sql")).bind(id.uuid()).fetch_all(pool).await?;
    let job = |column: &str| Ok::<_, sqlx::Error>(row.try_get::<Option<Uuid>, _>(column)?.map(JobId::from));
    let envelope: Vec<u8> = row.try_get("envelope")?;
    Ok(Some(Letter {
        row: DeadRow::from_row(&row)?,
        code: row.try_get("code")?,
        fingerprint: row.try_get("fingerprint")?,
        state_changed_at: row.try_get("state_changed_at")?,
        replay_of: job("replay_of")?,
        replayed_as: job("replayed_as")?,
        payload: payload_of(&envelope),
        runs: history.map(|history| history.attempts()).unwrap_or_default(),
        lineage,
        operations,
        envelope,
    }))
}

/// The payload of an envelope of whatever version.
fn payload_of(envelope: &[u8]) -> Option<Value> {
    let mut envelope: Value = serde_json::from_slice(envelope).ok()?;
    envelope.get_mut("payload").map(Value::take)
}

/// One letter as it is exported.
#[derive(Debug, Serialize)]
pub struct LetterRow {
    /// As it is listed.
    #[serde(flatten)]
    pub row: DeadRow,
    /// The other side's own code.
    pub code: Option<String>,
    /// What it has in common with those that failed alike.
    pub fingerprint: String,
    /// The letter that it repeated.
    pub replay_of: Option<JobId>,
    /// The job that repeats it.
    pub replayed_as: Option<JobId>,
    /// The input that it died with.
    pub payload: Option<Value>,
}

/// Letters with their payloads, like [`page`].
pub(super) async fn page_in_full(
    pool: &PgPool,
    filter: &Filter,
    before: Option<Position>,
    limit: u32,
) -> Result<Vec<LetterRow>, sqlx::Error> {
    let mut query = QueryBuilder::new(format!(
        "SELECT {COLUMNS}, code, fingerprint, replay_of, replayed_as, envelope FROM dead_letters"
    ));
    filter.push(&mut query);
    if let Some(before) = before {
        query.push(" AND (died_at, job_id) < (").push_bind(before.at).push(", ");
        query.push_bind(before.id.uuid()).push(")");
    }
    query.push(" ORDER BY died_at DESC, job_id DESC LIMIT ").push_bind(i64::from(limit));
    query.build_query_as().persistent(false).fetch_all(pool).await
}

impl FromRow<'_, PgRow> for LetterRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let job =
            |column: &str| Ok::<_, sqlx::Error>(row.try_get::<Option<Uuid>, _>(column)?.map(JobId::from));
        Ok(Self {
            row: DeadRow::from_row(row)?,
            code: row.try_get("code")?,
            fingerprint: row.try_get("fingerprint")?,
            replay_of: job("replay_of")?,
            replayed_as: job("replayed_as")?,
            payload: payload_of(row.try_get("envelope")?),
        })
    }
}

impl FromRow<'_, PgRow> for Lineage {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { id: row.try_get::<Uuid, _>("id")?.into(), status: row.try_get("status")? })
    }
}

impl FromRow<'_, PgRow> for Touched {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            operation: row.try_get("operation")?,
            kind: row.try_get("kind")?,
            state: row.try_get("state")?,
            actor: row.try_get("actor")?,
            reason: row.try_get("reason")?,
            note: row.try_get("note")?,
            at: row.try_get("at")?,
        })
    }
}
