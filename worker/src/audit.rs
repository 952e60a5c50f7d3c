//! Who did what by hand, and what the fleet removed by itself: rows of `audit_log`, only ever added.

use serde_json::Value;
use sqlx::{PgExecutor, PgPool};
use tracing::warn;

use crate::failure::chain;

/// One deed.
#[derive(Debug)]
pub struct Deed<'a> {
    /// Who: `cli:ana`, or the name of a worker.
    pub actor: &'a str,
    /// What, noun and verb: `queue.purge`.
    pub action: &'a str,
    /// On what: a queue, a job's id, a worker.
    pub subject: &'a str,
    /// Whose work it concerns, when it is one tenant's.
    pub tenant: Option<&'a str>,
    /// Everything else that is worth knowing.
    pub detail: Value,
}

/// Writes it down; with a transaction, as part of what it tells of.
///
/// # Errors
/// When Postgres does not take it.
pub async fn write<'e>(postgres: impl PgExecutor<'e>, deed: &Deed<'_>) -> Result<(), sqlx::Error> {
    let row = sqlx::query(include_str!("audit/add.sql"));
    let row = row.bind(deed.actor).bind(deed.action).bind(deed.subject).bind(deed.tenant).bind(&deed.detail);
    row.execute(postgres).await.map(drop)
}

/// Writes it down where Postgres is configured. What was done in Redis is done: a log that cannot be written is told
/// and does not undo it.
pub async fn note(pool: Option<&PgPool>, deed: &Deed<'_>) {
    let Some(pool) = pool else { return };
    if let Err(error) = write(pool, deed).await {
        warn!("{} of {} is done, but not in the audit log: {}", deed.action, deed.subject, chain(&error));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::outcomes::tests::servers;

    #[tokio::test]
    async fn a_deed_is_written_down() {
        let pool = servers().database().await;
        let detail = json!({ "cancelled": 3 });

        let deed = Deed { actor: "cli:ana", action: "queue.purge", subject: "email", tenant: None, detail };
        write(&pool, &deed).await.unwrap();

        let sql =
            "SELECT actor || ' ' || action || ' ' || subject || ' ' || (detail->>'cancelled') FROM audit_log";
        let row: String = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
        assert_eq!(row, "cli:ana queue.purge email 3");
    }
}
