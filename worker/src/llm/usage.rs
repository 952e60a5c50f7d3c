//! What questions and transcriptions took, added up from history: the result of every job and failed run has a row for
//! each call, or for several that are alike and then their number.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgPool, Row, postgres::PgRow};

/// How rows are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// For each model.
    Model,
    /// For each kind of job.
    Kind,
    /// For each tenant.
    Tenant,
    /// For each day, in UTC.
    Day,
}

impl By {
    const fn word(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Kind => "kind",
            Self::Tenant => "tenant",
            Self::Day => "day",
        }
    }
}

/// One sum.
#[derive(Debug, PartialEq, Serialize)]
pub struct Sum {
    /// The model, kind, tenant or day.
    pub name: String,
    /// Calls that were made.
    pub calls: i64,
    /// Those that brought no answer.
    pub failed: i64,
    /// Tokens of questions.
    pub prompt_tokens: i64,
    /// Tokens of answers.
    pub completion_tokens: i64,
    /// Seconds of sound that were transcribed.
    pub audio_seconds: i64,
    /// Dollars.
    pub cost_usd: f64,
}

/// What questions and transcriptions took since a moment, dearest first.
///
/// # Errors
/// When Postgres does not answer.
pub async fn usage(
    pool: &PgPool,
    since: DateTime<Utc>,
    tenant: Option<&str>,
    by: By,
) -> Result<Vec<Sum>, sqlx::Error> {
    let query = sqlx::query(include_str!("usage.sql")).bind(since).bind(tenant).bind(by.word());
    query.fetch_all(pool).await?.iter().map(sum).collect()
}

fn sum(row: &PgRow) -> Result<Sum, sqlx::Error> {
    Ok(Sum {
        name: row.try_get("name")?,
        calls: row.try_get("calls")?,
        failed: row.try_get("failed")?,
        prompt_tokens: row.try_get("prompt_tokens")?,
        completion_tokens: row.try_get("completion_tokens")?,
        audio_seconds: row.try_get("audio_seconds")?,
        cost_usd: row.try_get("cost_usd")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcomes::tests::servers;

    #[tokio::test]
    async fn calls_of_jobs_and_of_failed_runs_are_added_up() {
        let pool = servers().database().await;
        sqlx::raw_sql(include_str!("tests/history.sql")).execute(&pool).await.unwrap();
        let since = "2026-11-01T00:00:00Z".parse().unwrap();

        let by_model = usage(&pool, since, None, By::Model).await.unwrap();
        let of_acme = usage(&pool, since, Some("acme"), By::Tenant).await.unwrap();
        let later = usage(&pool, "2026-12-01T00:00:00Z".parse().unwrap(), None, By::Day).await.unwrap();

        let told: Vec<_> =
            by_model.iter().map(|sum| (&*sum.name, sum.calls, sum.failed, sum.cost_usd)).collect();
        assert_eq!(told, [("sonnet", 1, 0, 0.5), ("haiku", 3, 1, 0.25), ("whisper-1", 41, 1, 0.0625)]);
        let expected = Sum {
            name: "acme".into(),
            calls: 3,
            failed: 1,
            prompt_tokens: 20,
            completion_tokens: 4,
            audio_seconds: 0,
            cost_usd: 0.625,
        };
        assert_eq!(of_acme, [expected]);
        assert_eq!(later, []);
        let by_kind = usage(&pool, since, Some("globex"), By::Kind).await.unwrap();
        let told: Vec<_> =
            by_kind.iter().map(|sum| (&*sum.name, sum.calls, sum.audio_seconds, sum.cost_usd)).collect();
        assert_eq!(told, [("complete_chat", 1, 0, 0.125), ("transcribe_audio", 41, 14, 0.0625)]);
    }
}
