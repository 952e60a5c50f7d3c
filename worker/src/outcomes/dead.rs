//! Looking at dead letters: which wait for a decision, and how many.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use flota_producer::JobId;
use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, PgPool, Row, postgres::PgRow};
use uuid::Uuid;

use super::history::Position;

/// One dead letter, as it is listed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeadRow {
    /// The job that died.
    pub id: JobId,
    /// Its queue.
    pub queue: String,
    /// Its kind; empty when the envelope could not be read.
    pub kind: String,
    /// Whose it was.
    pub tenant: Option<String>,
    /// Kind of trouble.
    pub error_class: Option<String>,
    /// What went wrong at last.
    pub error: Option<String>,
    /// How often it was tried.
    pub attempts: i32,
    /// When it was buried.
    pub died_at: DateTime<Utc>,
    /// `dead`, `replaying`, `replayed` or `discarded`.
    pub state: String,
}

/// Which dead letters to list. What is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct DeadFilter {
    /// Of this queue.
    pub queue: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this tenant.
    pub tenant: Option<String>,
    /// That died of this class.
    pub error_class: Option<String>,
    /// In this state; `dead` for those that wait for a decision.
    pub state: Option<String>,
    /// That failed in this way.
    pub fingerprint: Option<String>,
    /// Whose payload contains this, as `jsonb @>` means it.
    pub payload: Option<Value>,
    /// Older than this.
    pub before: Option<Position>,
}

impl DeadRow {
    /// Its place in [`dead`].
    pub fn position(&self) -> Position {
        Position { at: self.died_at, id: self.id }
    }
}

/// Dead letters, newest first, at most `limit`.
pub async fn dead(pool: &PgPool, filter: &DeadFilter, limit: u32) -> Result<Vec<DeadRow>, sqlx::Error> {
    let before = filter.before.unwrap_or_else(Position::newest);
    sqlx::query_as(include_str!("dead.sql"))
        .bind(&filter.queue)
        .bind(&filter.kind)
        .bind(&filter.tenant)
        .bind(&filter.error_class)
        .bind(&filter.state)
        .bind(&filter.fingerprint)
        .bind(&filter.payload)
        .bind(before.at)
        .bind(before.id.uuid())
        .bind(i64::from(limit))
        // Planned for these values and not for any, so that an absent filter costs nothing.
        .persistent(false)
        .fetch_all(pool)
        .await
}

/// How many dead letters of each queue wait for a decision; queues without any are not in the map.
pub async fn dead_count(pool: &PgPool) -> Result<BTreeMap<String, u64>, sqlx::Error> {
    let counts: Vec<(String, i64)> = sqlx::query_as(include_str!("dead_count.sql")).fetch_all(pool).await?;
    Ok(counts.into_iter().map(|(queue, count)| (queue, count as u64)).collect())
}

impl FromRow<'_, PgRow> for DeadRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get::<Uuid, _>("job_id")?.into(),
            queue: row.try_get("queue")?,
            kind: row.try_get("kind")?,
            tenant: row.try_get("tenant")?,
            error_class: row.try_get("error_class")?,
            error: row.try_get("error")?,
            attempts: row.try_get("attempts")?,
            died_at: row.try_get("died_at")?,
            state: row.try_get("state")?,
        })
    }
}
