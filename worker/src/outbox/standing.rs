//! How the outbox stands, for `flota doctor` and metrics.

use std::time::Duration;

use sqlx::{PgPool, Row};

use crate::database::DatabaseError;

/// Numbers about the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Rows that no relay has put into Redis yet.
    pub waiting: u64,
    /// Age of the oldest of them.
    pub oldest: Option<Duration>,
    /// Rows that Redis did not take for now: among those that wait.
    pub refused: u64,
    /// Rows whose own fault it is: nobody tries them again before a person has mended them.
    pub given_up: u64,
    /// Why, for one of them.
    pub reason: Option<String>,
}

/// Reads the numbers.
///
/// # Errors
/// When Postgres does not answer.
pub async fn standing(pool: &PgPool) -> Result<Standing, DatabaseError> {
    let row = sqlx::query(include_str!("standing.sql")).fetch_one(pool).await?;
    let count = |column| row.try_get::<i64, _>(column).map(|count| count as u64);
    let oldest: Option<f64> = row.try_get("oldest_seconds")?;
    Ok(Standing {
        waiting: count("waiting")?,
        // The clock of Postgres may have been set back since, or a row come from the future.
        oldest: oldest.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default()),
        refused: count("refused")?,
        given_up: count("given_up")?,
        reason: row.try_get("reason")?,
    })
}
