//! What is copied by the binary COPY fits the tables.

use serde_json::json;
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::*;
use crate::outcomes::{copy::Filled, rows::Row};

/// A row that fills the columns of these bits: failure, provider, result, replay.
fn filling(bits: u32) -> Row {
    let has = |bit: u32| bits & (1 << bit) != 0;
    let text = |bit: u32, text: &str| has(bit).then(|| text.to_owned());
    let record = Record {
        class: has(0).then_some(ErrorClass::ServerError),
        code: text(0, "503"),
        error: text(0, "no"),
        provider: text(1, "ses"),
        provider_ref: text(1, "ref"),
        result: has(2).then(|| json!({"a": 1})),
        replay_of: has(3).then(JobId::mint),
        ..Record::unreadable(JobId::mint(), Status::Succeeded)
    };
    Row::new(record, NOW_MS, &"worker-1".into())
}

async fn copied(connection: &mut PgConnection, table: &'static str, filled: Filled, rows: &[&Row]) -> u64 {
    let mut copy = connection.copy_in_raw(&filled.statement(table)).await.unwrap();
    assert!((0..copy.num_columns()).all(|column| !copy.column_is_textual(column)));
    copy.send(filled.encode("email", rows)).await.unwrap();
    copy.finish().await.unwrap()
}

#[tokio::test]
async fn every_table_takes_what_is_copied() {
    let pool = servers().database().await;
    let mut transaction = pool.begin().await.unwrap();
    sqlx::raw_sql(include_str!("../stage.sql")).execute(&mut *transaction).await.unwrap();

    for filled in [Filled::default(), Filled::by(&[&filling(0b1111)])] {
        for table in ["outcomes", "attempts", "staged_outcomes", "staged_attempts"] {
            assert_eq!(copied(&mut transaction, table, filled, &[]).await, 0, "{table}");
        }
    }
}

#[tokio::test]
async fn what_some_rows_of_a_batch_fill_arrives_in_its_columns_and_is_null_in_the_others() {
    let pool = servers().database().await;
    let mut transaction = pool.begin().await.unwrap();
    sqlx::raw_sql(include_str!("../stage.sql")).execute(&mut *transaction).await.unwrap();

    for bits in 0..16 {
        let rows = [filling(0), filling(bits)];
        let rows: Vec<&Row> = rows.iter().collect();

        assert_eq!(copied(&mut transaction, "staged_outcomes", Filled::by(&rows), &rows).await, 2);

        for row in rows {
            let read = sqlx::query("SELECT * FROM staged_outcomes WHERE job_id = $1").bind(row.job);
            let read = read.fetch_one(&mut *transaction).await.unwrap();
            assert_rare(&read, row);
            assert_eq!(
                (text(&read, "worker").unwrap(), text(&read, "queue").unwrap()),
                ("worker-1", "email")
            );
        }
    }
}

fn text<'a>(row: &'a PgRow, column: &str) -> Option<&'a str> {
    row.get(column)
}

fn assert_rare(read: &PgRow, row: &Row) {
    let failure = [text(read, "error_class"), text(read, "code"), text(read, "error")];
    let provider = [text(read, "provider"), text(read, "provider_ref")];
    assert_eq!(failure, [row.error_class, row.code.as_deref(), row.error.as_deref()]);
    assert_eq!(provider, [row.provider.as_deref(), row.provider_ref.as_deref()]);
    assert_eq!(read.get::<Option<Value>, _>("result").is_some(), row.result.is_some());
    assert_eq!(read.get::<Option<Uuid>, _>("replay_of"), row.replay_of);
}
