//! Every .sql file beside the code says something that a migrated Postgres understands.

use std::{fs, path::Path};

use sqlx::{Executor, SqlSafeStr};

use super::*;
use crate::outcomes::copy;

/// Files that are prepared as they are.
const PREPARED: [(&str, &str); 8] = [
    ("attempts.sql", include_str!("../attempts.sql")),
    ("bury.sql", include_str!("../bury.sql")),
    ("lineage.sql", include_str!("../lineage.sql")),
    ("dead_count.sql", include_str!("../dead_count.sql")),
    ("ended.sql", include_str!("../ended.sql")),
    ("lock.sql", include_str!("../lock.sql")),
    ("outcome.sql", include_str!("../outcome.sql")),
    ("recent.sql", include_str!("../recent.sql")),
];
/// Files that cannot be prepared, and are run instead.
const RUN: [&str; 2] = ["copy.sql", "stage.sql"];

#[test]
fn every_sql_file_is_checked() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/outcomes");
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort_unstable();

    let mut checked: Vec<&str> = PREPARED.iter().map(|(name, _)| *name).chain(RUN).collect();
    checked.sort_unstable();

    assert_eq!(checked, files, "add the new file to one of the lists above");
}

#[tokio::test]
async fn every_statement_prepares() {
    let pool = servers().database().await;

    for (name, sql) in PREPARED {
        let prepared = pool.prepare(sql.into_sql_str()).await;
        assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
    }
}

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
