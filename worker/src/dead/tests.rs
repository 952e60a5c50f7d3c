//! Stories about dead letters, told with a real Postgres.

mod deciding;
mod finding;

use flota_producer::JobId;
use sqlx::PgPool;
use uuid::Uuid;

use super::*;
use crate::outcomes::tests::servers;

/// A database with this many letters: one every second, the newest at [`NEWEST`].
pub(super) async fn letters(count: i64) -> PgPool {
    let pool = servers().database().await;
    sqlx::query(include_str!("tests/letters.sql")).bind(count).execute(&pool).await.unwrap();
    pool
}

/// The letter with this number, as tests/letters.sql made it.
pub(super) fn id(number: u128) -> JobId {
    Uuid::from_u128(number).into()
}

/// What every decision in these stories has in common.
pub(super) fn new(kind: Kind, filter: Filter) -> NewOperation {
    NewOperation {
        kind,
        filter,
        reason: Some("test".into()),
        actor: "test".into(),
        rate: None,
        stage_size: None,
        max_failures: None,
        edited: None,
    }
}

/// Of the email queue: every second letter.
pub(super) fn of_email() -> Filter {
    Filter { queue: Some("email".into()), ..Filter::default() }
}

pub(super) async fn number(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}
