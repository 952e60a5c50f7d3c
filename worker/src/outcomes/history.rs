//! Reading history back: one job from its first run to its end, or the newest jobs of all.

use chrono::{DateTime, Utc};
use flota_producer::JobId;
use serde::{Serialize, Serializer, ser::SerializeStruct};
use serde_json::Value;
use sqlx::{FromRow, PgPool, Row, postgres::PgRow};
use utoipa::ToSchema;
use uuid::Uuid;

/// The end of a job, with its last run.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct OutcomeRow {
    /// The job.
    #[schema(value_type = Uuid)]
    pub id: JobId,
    /// Its queue.
    pub queue: String,
    /// Its kind; empty when the envelope could not be read.
    pub kind: String,
    /// Whose it was.
    pub tenant: Option<String>,
    /// `succeeded`, `dead`, `cancelled` or `expired`.
    pub status: String,
    /// Number of its last run; 0 when it never ran.
    pub run: u32,
    /// Number of its last try.
    pub attempt: u32,
    /// Kind of trouble.
    pub error_class: Option<String>,
    /// The other side's own code.
    pub code: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// Who was asked.
    pub provider: Option<String>,
    /// The provider's name for what was done.
    pub provider_ref: Option<String>,
    /// A small result.
    #[schema(value_type = Option<Object>)]
    pub result: Option<Value>,
    /// By the producer's clock.
    pub enqueued_at: Option<DateTime<Utc>>,
    /// `None` when no processor ran, or its worker vanished.
    pub started_at: Option<DateTime<Utc>>,
    /// By the clock of Redis.
    pub finished_at: DateTime<Utc>,
    /// How long the last run took; 0 when no processor ran.
    pub duration_ms: f64,
    /// The worker that ran it, or who cancelled it.
    pub worker: String,
    /// The dead letter that this job repeated.
    #[schema(value_type = Option<Uuid>)]
    pub replay_of: Option<JobId>,
}

/// One run of a job.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AttemptRow {
    /// Number of the run; numbers may be missing, because a run that was released or lost is not recorded.
    pub run: u32,
    /// Number of the try.
    pub attempt: u32,
    /// `retried` for an earlier run, otherwise how the job ended.
    pub status: String,
    /// Kind of trouble.
    pub error_class: Option<String>,
    /// The other side's own code; not part of the JSON form.
    #[serde(skip)]
    pub code: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// `None` when its worker vanished.
    pub started_at: Option<DateTime<Utc>>,
    /// By the clock of Redis.
    pub finished_at: DateTime<Utc>,
    /// How long it took; 0 when its worker vanished.
    pub duration_ms: f64,
    /// Who was asked.
    pub provider: Option<String>,
    /// The provider's name for what was done.
    pub provider_ref: Option<String>,
    /// What was answered to a run that failed, where that is kept. A success has it in its outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub result: Option<Value>,
}

/// What is known of one job.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Its end; `None` while it is alive.
    pub outcome: Option<OutcomeRow>,
    /// Failed runs after which it was tried again, in their order.
    pub earlier: Vec<AttemptRow>,
}

impl History {
    /// Every recorded run in order, the last one included once the job ended by it.
    pub fn attempts(&self) -> Vec<AttemptRow> {
        let last = self.outcome.as_ref().and_then(OutcomeRow::last_run);
        self.earlier.iter().cloned().chain(last).collect()
    }
}

impl Serialize for History {
    /// `{"outcome": null | {…}, "attempts": […]}`
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("History", 2)?;
        object.serialize_field("outcome", &self.outcome)?;
        object.serialize_field("attempts", &self.attempts())?;
        object.end()
    }
}

/// Which finished jobs to list. What is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this queue.
    pub queue: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this tenant.
    pub tenant: Option<String>,
    /// That ended like this.
    pub status: Option<String>,
    /// Most rows.
    pub limit: u32,
    /// Older than this.
    pub before: Option<Position>,
}

/// A place in a list that goes from new to old. Pages continue behind the position of their last row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Its time.
    pub at: DateTime<Utc>,
    /// Its job: many share a time.
    pub id: JobId,
}

impl Position {
    /// In front of everything.
    pub(super) fn newest() -> Self {
        Self { at: DateTime::from_timestamp_secs(10_000_000_000).unwrap_or_default(), id: Uuid::max().into() }
    }
}

impl From<DateTime<Utc>> for Position {
    /// In front of everything that is older than this.
    fn from(at: DateTime<Utc>) -> Self {
        Self { at, id: Uuid::nil().into() }
    }
}

impl OutcomeRow {
    /// Its place in [`recent`].
    pub fn position(&self) -> Position {
        Position { at: self.finished_at, id: self.id }
    }

    /// The run by which the job ended; `None` when it ended while it waited.
    fn last_run(&self) -> Option<AttemptRow> {
        let ran = self.started_at.is_some() || self.status == "dead";
        ran.then(|| AttemptRow {
            run: self.run,
            attempt: self.attempt,
            status: self.status.clone(),
            error_class: self.error_class.clone(),
            code: self.code.clone(),
            error: self.error.clone(),
            started_at: self.started_at,
            finished_at: self.finished_at,
            duration_ms: self.duration_ms,
            provider: self.provider.clone(),
            provider_ref: self.provider_ref.clone(),
            result: self.result.clone().filter(|_| self.status != "succeeded"),
        })
    }
}

/// What is known of this job; `None` when nothing is, which may also mean that it has not run yet.
pub async fn find(pool: &PgPool, id: JobId) -> Result<Option<History>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    // The end first: a job that ends in between then shows as alive and not with a run missing.
    let outcome = sqlx::query_as(include_str!("outcome.sql")).bind(id.uuid());
    let outcome: Option<OutcomeRow> = outcome.fetch_optional(&mut *connection).await?;
    let earlier = sqlx::query_as(include_str!("attempts.sql")).bind(id.uuid());
    let earlier: Vec<AttemptRow> = earlier.fetch_all(&mut *connection).await?;
    let nothing = outcome.is_none() && earlier.is_empty();
    Ok((!nothing).then_some(History { outcome, earlier }))
}

/// Finished jobs, newest first.
pub async fn recent(pool: &PgPool, filter: &Filter) -> Result<Vec<OutcomeRow>, sqlx::Error> {
    let before = filter.before.unwrap_or_else(Position::newest);
    sqlx::query_as(include_str!("recent.sql"))
        .bind(&filter.queue)
        .bind(&filter.kind)
        .bind(&filter.tenant)
        .bind(&filter.status)
        .bind(before.at)
        .bind(before.id.uuid())
        .bind(i64::from(filter.limit))
        // Planned for these values and not for any, so that an absent filter costs nothing.
        .persistent(false)
        .fetch_all(pool)
        .await
}

/// Counters are never negative in these tables; whatever a person wrote there by hand reads as zero.
fn count(row: &PgRow, column: &str) -> Result<u32, sqlx::Error> {
    row.try_get::<i32, _>(column).map(|count| u32::try_from(count).unwrap_or_default())
}

impl FromRow<'_, PgRow> for OutcomeRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get::<Uuid, _>("job_id")?.into(),
            queue: row.try_get("queue")?,
            kind: row.try_get("kind")?,
            tenant: row.try_get("tenant")?,
            status: row.try_get("status")?,
            run: count(row, "run")?,
            attempt: count(row, "attempt")?,
            error_class: row.try_get("error_class")?,
            code: row.try_get("code")?,
            error: row.try_get("error")?,
            provider: row.try_get("provider")?,
            provider_ref: row.try_get("provider_ref")?,
            result: row.try_get("result")?,
            enqueued_at: row.try_get("enqueued_at")?,
            started_at: row.try_get("started_at")?,
            finished_at: row.try_get("finished_at")?,
            duration_ms: row.try_get("duration_ms")?,
            worker: row.try_get("worker")?,
            replay_of: row.try_get::<Option<Uuid>, _>("replay_of")?.map(JobId::from),
        })
    }
}

impl FromRow<'_, PgRow> for AttemptRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            run: count(row, "run")?,
            attempt: count(row, "attempt")?,
            status: row.try_get("status")?,
            error_class: row.try_get("error_class")?,
            code: row.try_get("code")?,
            error: row.try_get("error")?,
            started_at: row.try_get("started_at")?,
            finished_at: row.try_get("finished_at")?,
            duration_ms: row.try_get("duration_ms")?,
            provider: row.try_get("provider")?,
            provider_ref: row.try_get("provider_ref")?,
            result: row.try_get("result")?,
        })
    }
}
