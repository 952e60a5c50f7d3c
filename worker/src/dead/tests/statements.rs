//! Every .sql file beside the code says something that a migrated Postgres understands.

use std::{fs, path::Path};

use sqlx::{Executor, SqlSafeStr};

use crate::outcomes::tests::servers;

const PREPARED: [(&str, &str); 12] = [
    ("awaited.sql", include_str!("../awaited.sql")),
    ("change.sql", include_str!("../change.sql")),
    ("create.sql", include_str!("../create.sql")),
    ("discard.sql", include_str!("../discard.sql")),
    ("get.sql", include_str!("../get.sql")),
    ("judge.sql", include_str!("../judge.sql")),
    ("lineage.sql", include_str!("../lineage.sql")),
    ("lock_letters.sql", include_str!("../lock_letters.sql")),
    ("next_items.sql", include_str!("../next_items.sql")),
    ("replay.sql", include_str!("../replay.sql")),
    ("stop.sql", include_str!("../stop.sql")),
    ("touched.sql", include_str!("../touched.sql")),
];

#[tokio::test]
async fn every_statement_is_listed_and_prepares() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dead");
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.strip_suffix(".sql").is_some())
        .collect();
    files.sort_unstable();
    let pool = servers().database().await;

    assert_eq!(PREPARED.map(|(name, _)| name).to_vec(), files, "add the new file to the list above");
    for (name, sql) in PREPARED {
        let prepared = pool.prepare(sql.into_sql_str()).await;
        assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
    }
}
