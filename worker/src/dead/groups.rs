//! Dead letters by how they failed: a thousand letters of one cause show as one line.

use chrono::{DateTime, Utc};
use flota_producer::JobId;
use serde::Serialize;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder, Row, postgres::PgRow};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Filter;

/// Letters that failed alike.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Group {
    /// What they have in common; `--group` takes it.
    pub fingerprint: String,
    /// How many.
    pub count: i64,
    /// Kind of trouble.
    pub error_class: Option<String>,
    /// The other side's own code.
    pub code: Option<String>,
    /// Kind of the sample.
    pub kind: String,
    /// Queue of the sample.
    pub queue: String,
    /// When the first of them died.
    pub first_at: DateTime<Utc>,
    /// When the last of them died.
    pub last_at: DateTime<Utc>,
    /// The newest of them.
    #[schema(value_type = Uuid)]
    pub sample: JobId,
    /// What the newest died of.
    pub error: Option<String>,
}

/// The largest groups, at most `limit`.
pub async fn groups(pool: &PgPool, filter: &Filter, limit: u32) -> Result<Vec<Group>, sqlx::Error> {
    groups_query("", filter, limit).build_query_as().persistent(false).fetch_all(pool).await
}

/// How Postgres counts the groups: its plan, for those who tune it.
pub async fn explain_groups(pool: &PgPool, filter: &Filter, limit: u32) -> Result<Vec<String>, sqlx::Error> {
    groups_query(super::EXPLAIN, filter, limit).build_query_scalar().persistent(false).fetch_all(pool).await
}

fn groups_query(explain: &str, filter: &Filter, limit: u32) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(explain);
    query.push("SELECT g.fingerprint, g.count, first.died_at AS first_at, last.* FROM (");
    query.push("SELECT fingerprint, count(*) AS count FROM dead_letters");
    filter.push(&mut query);
    query.push(" GROUP BY fingerprint ORDER BY count DESC, fingerprint LIMIT ").push_bind(i64::from(limit));
    query.push(") AS g CROSS JOIN LATERAL (SELECT job_id, error_class, code, kind, queue, error, ");
    query.push("died_at AS last_at FROM dead_letters");
    filter.push(&mut query);
    query.push(" AND fingerprint = g.fingerprint ORDER BY died_at DESC, job_id DESC LIMIT 1) AS last");
    query.push(" CROSS JOIN LATERAL (SELECT died_at FROM dead_letters");
    filter.push(&mut query);
    query.push(" AND fingerprint = g.fingerprint ORDER BY died_at, job_id LIMIT 1) AS first");
    query.push(" ORDER BY g.count DESC, g.fingerprint");
    query
}

impl FromRow<'_, PgRow> for Group {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            fingerprint: row.try_get("fingerprint")?,
            count: row.try_get("count")?,
            error_class: row.try_get("error_class")?,
            code: row.try_get("code")?,
            kind: row.try_get("kind")?,
            queue: row.try_get("queue")?,
            first_at: row.try_get("first_at")?,
            last_at: row.try_get("last_at")?,
            sample: row.try_get::<Uuid, _>("job_id")?.into(),
            error: row.try_get("error")?,
        })
    }
}
