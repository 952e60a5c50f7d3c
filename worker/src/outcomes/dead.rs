//! Dead letters in short: one line of a list, and how many wait. Finding and deciding is in `crate::dead`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use flota_producer::JobId;
use serde::Serialize;
use sqlx::{FromRow, PgPool, Row, postgres::PgRow};
use utoipa::ToSchema;
use uuid::Uuid;

use super::history::Position;

/// One dead letter, as it is listed.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DeadRow {
    /// The job that died.
    #[schema(value_type = Uuid)]
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

impl DeadRow {
    /// Its place in the list.
    pub fn position(&self) -> Position {
        Position { at: self.died_at, id: self.id }
    }
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
