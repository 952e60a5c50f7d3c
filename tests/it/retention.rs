//! History that is old enough goes, nobody is held up by it, and nothing goes silently.

use std::time::Duration;

use chrono::{DateTime, Utc};
use flota_tests::{PATIENCE, servers};
use flota_worker::{
    database,
    retention::{Ages, Removed, Retention, partitions},
};
use sqlx::PgPool;

const NOW: &str = "2026-11-21T18:30:00Z";
const DAY: Duration = Duration::from_hours(24);

fn now() -> DateTime<Utc> {
    NOW.parse().expect("a time")
}

async fn prepared() -> PgPool {
    let url = servers::prepared_database().await;
    database::connect(&url.into(), 4).expect("an address of Postgres")
}

async fn run(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn texts(pool: &PgPool, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql).fetch_all(pool).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Two weeks of history up to today.
async fn two_weeks(pool: &PgPool) {
    run(pool, "SELECT flota_ensure_partitions('2026-11-08', 14)").await;
    run(
        pool,
        "INSERT INTO outcomes (job_id, run, attempt, queue, kind, status, finished_at, duration_ms, worker)
         SELECT gen_random_uuid(), 1, 1, 'email', 'send_email', 'succeeded', day, 1, 'w'
         FROM generate_series('2026-11-08 12:00Z'::timestamptz, '2026-11-21 12:00Z', '1 day') AS day",
    )
    .await;
}

fn week() -> Ages {
    Ages { outcomes: Some(DAY * 7), attempts: Some(DAY * 3), ..Ages::default() }
}

async fn pass(pool: &PgPool, ages: Ages) -> Removed {
    let retention = Retention::new(pool.clone(), ages);
    retention.once(now()).await.expect("Postgres answers").expect("nobody else is at it")
}

#[tokio::test]
async fn old_days_are_dropped_new_ones_are_made_and_all_of_it_is_on_record() {
    let pool = prepared().await;
    two_weeks(&pool).await;

    let removed = pass(&pool, week()).await;

    assert_eq!(removed.made, 14, "the seven days after today, of two tables");
    assert_eq!((removed.dropped.len(), removed.busy.len()), (6 + 10, 0), "{removed:?}");
    let days = texts(&pool, "SELECT DISTINCT finished_at::date::text FROM outcomes ORDER BY 1").await;
    assert_eq!((days.len(), days[0].as_str()), (8, "2026-11-14"));
    let audit =
        texts(&pool, "SELECT subject FROM audit_log WHERE action = 'retention.drop' ORDER BY id").await;
    assert_eq!(audit, removed.dropped);
    let names: Vec<String> = partitions(&pool).await.unwrap().into_iter().map(|row| row.partition).collect();
    assert!(names.contains(&"outcomes_20261128".to_owned()) && names.contains(&"dead_letters".to_owned()));
    assert!(!names.contains(&"outcomes_20261113".to_owned()));
    assert_eq!(pass(&pool, week()).await, Removed::default(), "a second pass finds nothing to do");
}

#[tokio::test]
async fn writers_go_on_while_a_day_is_dropped_and_a_slow_reader_delays_only_the_drop() {
    let pool = prepared().await;
    two_weeks(&pool).await;
    let mut reader = pool.begin().await.unwrap();
    let counted: i64 =
        sqlx::query_scalar("SELECT count(*) FROM outcomes").fetch_one(&mut *reader).await.unwrap();
    let one_day = Ages { outcomes: Some(DAY * 12), attempts: None, ..Ages::default() };

    let (first, written) = tokio::join!(pass(&pool, one_day), async {
        let mut written = 0;
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_secs(3) || written <= 10 {
            let row = "INSERT INTO outcomes (job_id, run, attempt, queue, kind, status, finished_at, duration_ms, worker) \
                       VALUES (gen_random_uuid(), 1, 1, 'email', 'send_email', 'succeeded', '2026-11-21 13:00Z', 1, 'w')";
            let started = std::time::Instant::now();
            sqlx::query(row).execute(&pool).await.unwrap();
            assert!(started.elapsed() < PATIENCE / 4, "a writer waited {:?}", started.elapsed());
            written += 1;
        }
        written
    });

    assert_eq!((counted, first.dropped.len(), first.busy), (14, 0, vec!["outcomes_20261108".to_owned()]));
    assert!(10 < written, "{written} rows were written meanwhile");
    reader.commit().await.unwrap();
    let second = pass(&pool, one_day).await;
    assert_eq!(second.dropped, ["outcomes_20261108"], "the interrupted detach is finished");
}

#[tokio::test]
async fn a_table_left_over_between_detach_and_drop_is_found() {
    let pool = prepared().await;
    two_weeks(&pool).await;
    run(&pool, "ALTER TABLE outcomes DETACH PARTITION outcomes_20261108").await;

    let removed = pass(&pool, Ages { outcomes: Some(DAY * 12), attempts: None, ..Ages::default() }).await;

    assert_eq!(removed.dropped, ["outcomes_20261108"]);
}

#[tokio::test]
async fn dead_letters_have_their_own_age_and_wait_for_a_decision_for_ever_unless_told_otherwise() {
    let pool = prepared().await;
    run(
        &pool,
        "INSERT INTO dead_letters (job_id, queue, kind, attempts, fingerprint, envelope, died_at, state, state_changed_at)
         SELECT gen_random_uuid(), 'email', state || '_' || age, 3, 'f', '\\x7b7d', '2020-01-01Z', state,
                CASE WHEN state <> 'dead' THEN '2026-11-21Z'::timestamptz - age * interval '1 day' END
         FROM unnest(ARRAY['dead', 'replaying', 'replayed', 'discarded']) AS state, unnest(ARRAY[1, 400]) AS age",
    )
    .await;

    let decided = pass(&pool, Ages::default()).await;

    assert_eq!(decided.dead_letters, 2);
    let kept = texts(&pool, "SELECT kind FROM dead_letters ORDER BY kind").await;
    assert_eq!(kept, ["dead_1", "dead_400", "discarded_1", "replayed_1", "replaying_1", "replaying_400"]);
    let audit = "SELECT detail->>'kind' FROM audit_log WHERE action = 'retention.dead_letter' ORDER BY 1";
    assert_eq!(texts(&pool, audit).await, ["discarded_400", "replayed_400"]);

    let waiting = pass(&pool, Ages { waiting_dead_letters: Some(DAY * 730), ..Ages::default() }).await;

    assert_eq!(waiting.dead_letters, 2);
    assert_eq!(texts(&pool, audit).await, ["dead_1", "dead_400", "discarded_400", "replayed_400"]);
}

#[tokio::test]
async fn one_process_at_a_time_cleans_up() {
    let pool = prepared().await;
    let mut other = pool.acquire().await.unwrap();
    let lock = "SELECT pg_advisory_lock(hashtextextended('flota_retention', 0))";
    sqlx::query(lock).execute(&mut *other).await.unwrap();

    let pass = Retention::new(pool.clone(), week()).once(now()).await.unwrap();

    assert_eq!(pass, None);
}
