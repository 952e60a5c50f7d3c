//! What `flota doctor` says of endpoints: those that have been failing for a while, before they are given up.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Row};

use crate::checks::Finding;

/// How long an endpoint may fail before it is worth a word: longer than a deploy of its owner takes.
const TOLERANCE: Duration = Duration::from_hours(1);

/// Says nothing when no endpoint is in trouble, or without a prepared Postgres, which is another finding.
pub async fn trouble(pool: Option<&PgPool>, now: DateTime<Utc>) -> Vec<Finding> {
    let Some(pool) = pool else { return Vec::new() };
    let Ok((failing, Some(since))) = failing(pool, now).await else { return Vec::new() };
    let since = since.format("%Y-%m-%d %H:%M");
    let found = format!("no delivery to {failing} of them succeeds, the first since {since} UTC");
    let fix = "look at `flota endpoint list` and tell their owners; after 5 days they are disabled";
    vec![Finding::warning("webhook endpoints", found, fix)]
}

async fn failing(pool: &PgPool, now: DateTime<Utc>) -> Result<(i64, Option<DateTime<Utc>>), sqlx::Error> {
    let row = sqlx::query(include_str!("trouble.sql")).bind(now - TOLERANCE).fetch_one(pool).await?;
    Ok((row.try_get("failing")?, row.try_get("since")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcomes::tests::servers;

    #[tokio::test]
    async fn endpoints_that_fail_for_a_while_are_told_and_others_are_not() {
        let (pool, now) = (servers().database().await, "2026-11-16T12:00:00Z".parse().unwrap());
        let insert = "INSERT INTO webhook_endpoints (id, url, secret_ciphertext, secret_key_id, failing_since, disabled_at)
                      VALUES ($1, 'https://example.com/', '', 'k1', $2::timestamptz, $3::timestamptz)";
        let rows = [
            ("well", None, None),
            ("a moment", Some("2026-11-16T11:30:00Z"), None),
            ("disabled", Some("2026-11-01T00:00:00Z"), Some("2026-11-06T00:00:00Z")),
        ];
        let add = async |(id, since, disabled): (&str, Option<&str>, Option<&str>)| {
            sqlx::query(insert).bind(id).bind(since).bind(disabled).execute(&pool).await.unwrap();
        };
        for row in rows {
            add(row).await;
        }

        let before = trouble(Some(&pool), now).await;
        add(("down", Some("2026-11-16T10:00:00Z"), None)).await;
        let after = trouble(Some(&pool), now).await;

        assert!(before.is_empty(), "{before:?}");
        assert_eq!(after[0].found, "no delivery to 1 of them succeeds, the first since 2026-11-16 10:00 UTC");
    }
}
