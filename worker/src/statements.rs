//! Every .sql file beside the code says something that a migrated Postgres understands.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};

use crate::outcomes::tests::servers;

/// Files that cannot be prepared by themselves; tests beside them run them.
const RUN_ELSEWHERE: [&str; 2] = ["outcomes/copy.sql", "outcomes/stage.sql"];

fn sql_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "sql"));
    // What tests make their data with may be several statements.
    let folders = folders.iter().filter(|folder| !folder.ends_with("tests"));
    files.chain(folders.flat_map(|folder| sql_files(folder))).collect()
}

#[tokio::test]
async fn every_statement_prepares() {
    let (sources, pool) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), servers().database().await);
    let files = sql_files(&sources);
    assert!(40 < files.len(), "only {} files were found", files.len());

    for file in files.iter().filter(|file| !RUN_ELSEWHERE.iter().any(|name| file.ends_with(name))) {
        let sql = AssertSqlSafe(fs::read_to_string(file).unwrap()).into_sql_str();
        let prepared = pool.prepare(sql).await;
        assert!(prepared.is_ok(), "{}: {:?}", file.display(), prepared.err());
    }
}
