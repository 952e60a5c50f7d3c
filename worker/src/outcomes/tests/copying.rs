//! What is copied by the binary COPY fits the tables.

use super::*;
use crate::outcomes::copy;

#[tokio::test]
async fn the_staging_tables_take_what_is_copied() {
    let pool = servers().database().await;
    let mut transaction = pool.begin().await.unwrap();
    sqlx::raw_sql(include_str!("../stage.sql")).execute(&mut *transaction).await.unwrap();

    for table in ["outcomes", "attempts", "staged_outcomes", "staged_attempts"] {
        let mut copy = transaction.copy_in_raw(&copy::statement(table)).await.unwrap();
        assert!((0..copy.num_columns()).all(|column| !copy.column_is_textual(column)));
        copy.send(copy::encode("email", &[])).await.unwrap();
        assert_eq!(copy.finish().await.unwrap(), 0, "{table}");
    }
}
