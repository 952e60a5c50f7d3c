//! The way to Postgres: a pool or two per process, and the migrations that the binary brings along.
//!
//! Nothing a job needs in order to run waits for Postgres, so the pool is lazy, small and impatient: a database that
//! is away is an answer after two seconds, and who asked decides what that means. Queries live with their meaning
//! (`outcomes`), the tables in `migrations/`.

mod error;

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sqlx::{
    ConnectOptions, Connection, PgPool, SqlSafeStr,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};

pub use self::error::DatabaseError;
pub(crate) use self::error::sqlstate;

/// Longest wait for a connection, dialling included.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// Settings of every session. A statement that runs for 30 s is a mistake here; a session whose client vanished in
/// the middle of a transaction must not keep its locks for longer than that either.
const SESSION: [(&str, &str); 2] =
    [("statement_timeout", "30s"), ("idle_in_transaction_session_timeout", "30s")];

/// Every migration, oldest first: file name without `.sql`, and content.
const MIGRATIONS: [(&str, &str); 9] = [
    ("0001_outcomes", include_str!("../../migrations/0001_outcomes.sql")),
    ("0002_outbox", include_str!("../../migrations/0002_outbox.sql")),
    ("0003_dead_letters", include_str!("../../migrations/0003_dead_letters.sql")),
    ("0004_suppressions", include_str!("../../migrations/0004_suppressions.sql")),
    ("0005_webhook_endpoints", include_str!("../../migrations/0005_webhook_endpoints.sql")),
    ("0006_language_models", include_str!("../../migrations/0006_language_models.sql")),
    ("0007_api_tokens", include_str!("../../migrations/0007_api_tokens.sql")),
    ("0008_outbox_lines", include_str!("../../migrations/0008_outbox_lines.sql")),
    ("0009_outbox_bounds", include_str!("../../migrations/0009_outbox_bounds.sql")),
];

/// A pool for this address. It dials when it is first used, so this succeeds while Postgres is away.
///
/// With `sslmode=verify-full` the certificate must come from a public authority: sqlx knows the webpki roots only,
/// not those of the system. For an authority of your own add `sslrootcert=/path/to/ca.pem` to the address.
///
/// # Errors
/// [`DatabaseError::Address`] when the address cannot be read; it never repeats the address, which holds a password.
pub fn connect(url: &SecretString, max_connections: u32) -> Result<PgPool, DatabaseError> {
    Ok(pool(options(url)?, max_connections))
}

/// The same for questions that somebody waits for: no statement takes longer than this, because nobody is there to read
/// its answer then, and a query whose reader has gone keeps its connection until it ends. A transaction may still give
/// itself more.
///
/// # Errors
/// As [`connect`].
pub fn connect_for_answers(
    url: &SecretString,
    max_connections: u32,
    longest: Duration,
) -> Result<PgPool, DatabaseError> {
    let longest = format!("{}ms", longest.as_millis());
    // Of two settings with one name the later one counts.
    Ok(pool(options(url)?.options([("statement_timeout", longest)]), max_connections))
}

fn options(url: &SecretString) -> Result<PgConnectOptions, DatabaseError> {
    let url = url.expose_secret();
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(DatabaseError::Address(None));
    }
    let options = PgConnectOptions::from_str(url).map_err(|error| DatabaseError::Address(Some(error)))?;
    Ok(options.application_name("flota").options(SESSION))
}

fn pool(options: PgConnectOptions, max_connections: u32) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(max_connections).acquire_timeout(ACQUIRE_TIMEOUT);
    pool.connect_lazy_with(options)
}

/// One migration, as `flota db status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MigrationStatus {
    /// Its number.
    pub version: i64,
    /// What it does.
    pub name: String,
    /// Since when; `None` while it waits for `flota db migrate`.
    pub applied: Option<DateTime<Utc>>,
}

/// Applies what is missing, and answers what that was. Safe to run from several places at once.
///
/// Migrations that a newer release applied are left alone: by expand and contract this release still works with them.
pub async fn migrate(pool: &PgPool) -> Result<Vec<MigrationStatus>, DatabaseError> {
    let missing = |status: &MigrationStatus| status.applied.is_none();
    let before: Vec<i64> =
        status(pool).await?.into_iter().filter(missing).map(|status| status.version).collect();
    // A connection of its own: it may wait for another migrator and then work for longer than a statement may take
    // elsewhere, and if a migration fails the lock of the migrator goes with the connection.
    let unhurried = pool.connect_options().as_ref().clone().options([("statement_timeout", "0")]);
    let mut connection = unhurried.connect().await?;
    let mut migrator = Migrator::with_migrations(embedded());
    migrator.set_ignore_missing(true).run(&mut connection).await.map_err(failed)?;
    // Everything is applied and committed: how the connection ends changes nothing.
    connection.close().await.ok();
    let now = status(pool).await?;
    Ok(now.into_iter().filter(|status| before.contains(&status.version)).collect())
}

/// Every migration that this release brings or that the database knows, oldest first.
pub async fn status(pool: &PgPool) -> Result<Vec<MigrationStatus>, DatabaseError> {
    const APPLIED: &str = "SELECT version, description, installed_on FROM _sqlx_migrations WHERE success";
    let applied: Vec<(i64, String, DateTime<Utc>)> =
        match sqlx::query_as(APPLIED).fetch_all(pool).await.map_err(DatabaseError::from) {
            Err(DatabaseError::NotMigrated(_)) => Vec::new(),
            answer => answer?,
        };
    let mut all: BTreeMap<i64, MigrationStatus> = embedded()
        .into_iter()
        .map(|m| {
            (m.version, MigrationStatus { version: m.version, name: m.description.into(), applied: None })
        })
        .collect();
    for (version, name, at) in applied {
        all.insert(version, MigrationStatus { version, name, applied: Some(at) });
    }
    Ok(all.into_values().collect())
}

fn embedded() -> Vec<Migration> {
    MIGRATIONS
        .into_iter()
        .map(|(name, sql)| {
            let (version, name) = numbered(name).expect("a test reads the name of every embedded migration");
            Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
        })
        .collect()
}

/// `0001_outcomes` is number 1, named "outcomes".
fn numbered(file: &str) -> Option<(i64, String)> {
    let (version, name) = file.split_once('_')?;
    Some((version.parse().ok()?, name.replace('_', " ")))
}

fn failed(error: MigrateError) -> DatabaseError {
    match error {
        MigrateError::Execute(source) => source.into(),
        MigrateError::ExecuteMigration(source, version) => DatabaseError::Migration { version, source },
        MigrateError::VersionMismatch(version) => DatabaseError::Edited(version),
        other => DatabaseError::Statement(sqlx::Error::Migrate(Box::new(other))),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::outcomes::tests::servers;

    #[test]
    fn the_list_of_migrations_is_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
        let mut files: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .filter_map(|file| Some(file.unwrap().file_name().to_str()?.strip_suffix(".sql")?.to_owned()))
            .collect();
        files.sort_unstable();

        let listed: Vec<&str> = MIGRATIONS.iter().map(|(name, _)| *name).collect();

        assert_eq!(listed, files, "add the line of a new migration to MIGRATIONS in worker/src/database.rs");
    }

    #[test]
    fn migrations_are_numbered_from_one_without_gaps() {
        let versions: Vec<i64> = embedded().iter().map(|migration| migration.version).collect();

        assert_eq!(versions, (1..=MIGRATIONS.len() as i64).collect::<Vec<_>>());
    }

    #[test]
    fn an_address_that_cannot_be_read_is_not_repeated() {
        for url in
            ["mysql://u:geheim@h/d", "postgres://u:geheim@h:port/d", "postgres://u:geheim@h/d?sslmode=x"]
        {
            let error = connect(&url.into(), 1).unwrap_err();

            let told = format!("{error} {:?}", std::error::Error::source(&error));
            assert!(told.starts_with("DATABASE_URL is not"), "{told}");
            assert!(!told.contains("geheim"), "{told}");
        }
    }

    #[tokio::test]
    async fn migrating_twice_changes_nothing_the_second_time() {
        let pool = servers().empty_database().await;
        assert!(status(&pool).await.unwrap().iter().all(|status| status.applied.is_none()));

        let first = migrate(&pool).await.unwrap();
        let second = migrate(&pool).await.unwrap();

        assert_eq!(first.len(), MIGRATIONS.len());
        assert_eq!(second, []);
        assert_eq!(status(&pool).await.unwrap(), first);
    }

    #[tokio::test]
    async fn two_migrators_at_once_wait_for_each_other() {
        let pool = servers().empty_database().await;

        let (one, other) = tokio::join!(migrate(&pool), migrate(&pool));

        assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    }

    #[tokio::test]
    async fn a_migration_of_a_newer_release_is_shown_and_left_alone() {
        let pool = servers().database().await;
        let newer = "INSERT INTO _sqlx_migrations VALUES (9999, 'lanes', now(), true, '', 0)";
        sqlx::query(newer).execute(&pool).await.unwrap();

        let applied = migrate(&pool).await.unwrap();

        assert_eq!(applied, []);
        assert_eq!(status(&pool).await.unwrap().last().unwrap().name, "lanes");
    }

    #[tokio::test]
    async fn an_edited_migration_is_refused() {
        let pool = servers().database().await;
        sqlx::query("UPDATE _sqlx_migrations SET checksum = 'other'").execute(&pool).await.unwrap();

        let error = migrate(&pool).await.unwrap_err();

        assert!(matches!(error, DatabaseError::Edited(1)), "{error:?}");
    }

    #[tokio::test]
    async fn errors_say_what_to_do() {
        let server = servers();
        let query = |pool: PgPool| async move {
            let answer = sqlx::query("SELECT job_id FROM outcomes").execute(&pool).await;
            DatabaseError::from(answer.unwrap_err()).to_string()
        };

        let unmigrated = query(server.empty_database().await).await;
        let elsewhere = query(connect(&"postgres://flota@127.0.0.1:1/flota".into(), 1).unwrap()).await;
        let unknown = query(server.connect_to("no_such_database")).await;

        assert!(unmigrated.contains("flota db migrate"), "{unmigrated}");
        assert!(elsewhere.contains("cannot be reached"), "{elsewhere}");
        assert!(unknown.contains("correct the user, password or database"), "{unknown}");
    }

    #[tokio::test]
    async fn a_session_says_who_it_is_and_cannot_hold_anything_up_for_long() {
        let pool = servers().empty_database().await;

        for (setting, value) in [("application_name", "flota")].into_iter().chain(SESSION) {
            let set = sqlx::query_scalar("SELECT current_setting($1)").bind(setting);
            let set: String = set.fetch_one(&pool).await.unwrap();
            assert_eq!(set, value, "{setting}");
        }
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_longer_is_ended() {
        let server = servers();
        let url = server.empty_database().await.connect_options().to_url_lossy().to_string();
        let pool = connect_for_answers(&url.into(), 1, Duration::from_millis(500)).unwrap();

        let slow = sqlx::query("SELECT pg_sleep(20)").execute(&pool).await.unwrap_err();
        let mut transaction = pool.begin().await.unwrap();
        sqlx::raw_sql("SET LOCAL statement_timeout = '10s'").execute(&mut *transaction).await.unwrap();
        let allowed = sqlx::query("SELECT pg_sleep(0.8)").execute(&mut *transaction).await;

        assert_eq!(sqlstate(&slow).as_deref(), Some("57014"));
        assert!(allowed.is_ok(), "{allowed:?}");
    }

    #[tokio::test]
    async fn partitions_are_made_once_although_many_ask_at_once() {
        let pool = servers().database().await;
        let ensure = || async {
            let call = "SELECT flota_ensure_partitions('2026-11-21', 3)";
            sqlx::query_scalar::<_, i32>(call).fetch_one(&pool).await.unwrap()
        };

        let made = tokio::join!(ensure(), ensure(), ensure(), ensure());

        assert_eq!(made.0 + made.1 + made.2 + made.3, 6, "three days of two tables");
        assert_eq!(ensure().await, 0);
    }

    #[tokio::test]
    async fn partitions_are_made_while_a_writer_is_in_the_middle_of_its_transaction() {
        let pool = servers().database().await;
        sqlx::query("SELECT flota_ensure_partitions('2026-11-21', 1)").execute(&pool).await.unwrap();
        let mut writer = pool.begin().await.unwrap();
        let row = "INSERT INTO outcomes (job_id, run, attempt, queue, kind, status, finished_at, duration_ms, worker) \
                   VALUES (gen_random_uuid(), 1, 1, 'email', 'send_email', 'succeeded', '2026-11-21 12:00Z', 1, 'w')";
        sqlx::query(row).execute(&mut *writer).await.unwrap();

        let made: i32 = sqlx::query_scalar("SELECT flota_ensure_partitions('2026-11-21', 8)")
            .fetch_one(&pool)
            .await
            .unwrap();

        assert_eq!(made, 14);
        sqlx::query(row).execute(&mut *writer).await.unwrap();
        writer.commit().await.unwrap();
    }

    #[tokio::test]
    async fn days_that_are_over_and_days_to_come_have_the_index_of_language_models() {
        let pool = servers().database().await;
        let mut before = pool.begin().await.unwrap();
        let drop = "DROP INDEX outcomes_language_models, attempts_language_models";
        for statement in [drop, "SELECT flota_ensure_partitions('2020-01-01', 2)"] {
            sqlx::query(statement).execute(&mut *before).await.unwrap();
        }

        sqlx::raw_sql(MIGRATIONS[5].1).execute(&mut *before).await.unwrap();
        before.commit().await.unwrap();
        sqlx::query("SELECT flota_ensure_partitions('2120-01-01', 1)").execute(&pool).await.unwrap();

        let having = "SELECT count(*) FROM pg_indexes JOIN pg_class ON relname = indexname \
                      WHERE indexdef LIKE '%complete_chat%' AND relispartition";
        let having: i64 = sqlx::query_scalar(having).fetch_one(&pool).await.unwrap();
        assert_eq!(having, 6, "three days of two tables, each once");
    }
}
