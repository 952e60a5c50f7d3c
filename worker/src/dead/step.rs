//! One step of an operation: some of its letters, in one transaction.
//!
//! The operation's row is locked first, so two processes that carry out the same operation take turns. Then the
//! letters, always in the order of their ids, so two operations that chose the same letters wait for each other and
//! never lock each other up. Whoever comes second finds the letters no longer `dead`, and skips them. All writes that
//! belong to a letter are one statement: it is enqueued and marked, or neither.

use flota_engine::failpoint;
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::operation::{Kind, Operation, State};
use crate::audit::{self, Deed};

/// Carries out at most `most` letters. Answers the operation as it stands then; it is `done` when nothing was left.
pub(super) async fn step(pool: &PgPool, id: Uuid, most: i64) -> Result<Option<Operation>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let Some(operation) = lock(&mut transaction, id).await? else { return Ok(None) };
    if operation.state != State::Running {
        return Ok(Some(operation));
    }
    let items: Vec<Uuid> = sqlx::query_scalar(include_str!("next_items.sql"))
        .bind(id)
        .bind(most)
        .fetch_all(&mut *transaction)
        .await?;
    if !items.is_empty() {
        sqlx::query(include_str!("lock_letters.sql")).bind(&items).execute(&mut *transaction).await?;
        failpoint!("bulk-locked", crate::chaos::cut_off());
        carry_out(&mut transaction, operation.kind, id, &items).await?;
    } else if awaited(&mut transaction, &operation).await? == 0 {
        finish(&mut transaction, &operation).await?;
    }
    let operation = lock(&mut transaction, id).await?;
    failpoint!("bulk-stepped", crate::chaos::cut_off());
    transaction.commit().await?;
    failpoint!("bulk-committed", crate::chaos::cut_off());
    Ok(operation)
}

/// Writes down which replays of the current stage have ended, and stops the operation when too many of them died.
/// Answers the operation, and how many are still on their way.
pub(super) async fn judge(pool: &PgPool, id: Uuid) -> Result<Option<(Operation, i64)>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let Some(operation) = lock(&mut transaction, id).await? else { return Ok(None) };
    if operation.state != State::Running || operation.stage_size.is_none() {
        return Ok(Some((operation, 0)));
    }
    sqlx::query(include_str!("judge.sql")).bind(id).execute(&mut *transaction).await?;
    sqlx::query(include_str!("stop.sql")).bind(id).execute(&mut *transaction).await?;
    let waiting = awaited(&mut transaction, &operation).await?;
    let now = lock(&mut transaction, id).await?;
    if let Some(stopped) = now.as_ref().filter(|now| now.state == State::Failed) {
        let (subject, detail) = (id.to_string(), json!({ "note": stopped.note }));
        let deed =
            Deed { actor: &stopped.actor, action: "bulk.failed", subject: &subject, tenant: None, detail };
        audit::write(&mut *transaction, &deed).await?;
    }
    transaction.commit().await?;
    Ok(now.map(|operation| (operation, waiting)))
}

async fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Option<Operation>, sqlx::Error> {
    let query = sqlx::query_as("SELECT * FROM bulk_operations WHERE id = $1 FOR NO KEY UPDATE");
    query.bind(id).fetch_optional(connection).await
}

async fn carry_out(
    connection: &mut PgConnection,
    kind: Kind,
    operation: Uuid,
    letters: &[Uuid],
) -> Result<(), sqlx::Error> {
    let query = match kind {
        Kind::Replay => {
            let ids: Vec<Uuid> = letters.iter().map(|_| Uuid::now_v7()).collect();
            sqlx::query(include_str!("replay.sql")).bind(operation).bind(letters).bind(ids)
        }
        Kind::Discard => sqlx::query(include_str!("discard.sql")).bind(operation).bind(letters),
    };
    query.execute(connection).await.map(drop)
}

/// How many replays a stage still waits for.
async fn awaited(connection: &mut PgConnection, operation: &Operation) -> Result<i64, sqlx::Error> {
    if operation.stage_size.is_none() {
        return Ok(0);
    }
    sqlx::query_scalar(include_str!("awaited.sql")).bind(operation.id).fetch_one(connection).await
}

async fn finish(connection: &mut PgConnection, operation: &Operation) -> Result<(), sqlx::Error> {
    let done = sqlx::query("UPDATE bulk_operations SET state = 'done', changed_at = now() WHERE id = $1");
    done.bind(operation.id).execute(&mut *connection).await?;
    let detail =
        json!({ "queued": operation.queued, "skipped": operation.skipped, "failed": operation.failed });
    let subject = operation.id.to_string();
    let deed = Deed { actor: &operation.actor, action: "bulk.done", subject: &subject, tenant: None, detail };
    audit::write(connection, &deed).await
}
