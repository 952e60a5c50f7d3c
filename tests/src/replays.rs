//! Stories about dead letters: replays that are killed, and a million letters to look through.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use flota_worker::dead::{self, Filter};
use sqlx::{PgPool, Row};
use tokio::{process::Child, time::sleep};

use crate::{
    PATIENCE,
    cluster::{Cluster, Recorded, SHORT},
};

/// What came of replays that were killed.
#[derive(Debug)]
pub struct KilledReplays {
    /// How often both processes were killed.
    pub kills: usize,
    /// Processes that were at work when they were killed.
    pub caught: usize,
    /// Operations that were made.
    pub operations: i64,
    /// Letters that were replayed.
    pub replayed: i64,
    /// Different jobs that repeat them.
    pub jobs: i64,
    /// What Postgres has at the end.
    pub recorded: Recorded,
    /// Effects beyond one per job.
    pub repeated: usize,
    /// From the first command until the last outcome.
    pub took: Duration,
}

/// Replays letters with two processes at once, kills both with SIGKILL at `kills` points, and goes on each time: one
/// resumes an operation, the other gives the same command again. A worker relays, runs and records meanwhile.
///
/// # Errors
/// When it does not come to an end.
pub async fn kill_replays(letters: usize, kills: usize) -> anyhow::Result<KilledReplays> {
    let mut cluster = Cluster::start().await?;
    let pool = cluster.pool()?;
    bury_toys(&pool, letters).await?;
    let worker = cluster.worker(64, SHORT).await?;
    let began = Instant::now();
    // Slow enough that ten kills find both at work.
    let rate = format!("{}/s", letters / 4);
    let replay = ["dead", "replay", "--queue", "toys", "--yes", "--rate", &rate];
    let (mut done, mut caught) = (0, 0);
    while done < kills {
        let open = "SELECT id::text FROM bulk_operations WHERE state = 'running' ORDER BY random() LIMIT 1";
        let open: Option<String> = sqlx::query_scalar(open).fetch_optional(&pool).await?;
        let first: &[&str] = match &open {
            Some(id) => &["bulk", "resume", id],
            None => &replay,
        };
        let mut pair = [start(&cluster, first)?, start(&cluster, &replay)?];
        wait_for_replayed(&pool, (letters * (done + 1) / (kills + 1)) as i64).await?;
        for child in &mut pair {
            caught += usize::from(child.try_wait()?.is_none());
            child.kill().await?;
        }
        done += 1;
    }
    finish(&cluster, &pool, &replay).await?;
    cluster.wait_for_rows(letters, PATIENCE).await?;
    let took = began.elapsed();
    let sql = "SELECT (SELECT count(*) FROM bulk_operations), \
               count(*) FILTER (WHERE state IN ('replaying', 'replayed')), count(DISTINCT replayed_as) \
               FROM dead_letters";
    let row = sqlx::query(sql).fetch_one(&pool).await?;
    let recorded = cluster.recorded(&pool).await?;
    let repeated = cluster.ledger.total() - cluster.ledger.all().len();
    worker.stop().await?;
    Ok(KilledReplays {
        kills,
        caught,
        operations: row.get(0),
        replayed: row.get(1),
        jobs: row.get(2),
        recorded,
        repeated,
        took,
    })
}

fn start(cluster: &Cluster, arguments: &[&str]) -> anyhow::Result<Child> {
    Ok(cluster.flota(arguments)?.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

/// Resumes whatever was left behind, and gives the command once more for letters that are in no operation.
async fn finish(cluster: &Cluster, pool: &PgPool, replay: &[&str]) -> anyhow::Result<()> {
    let open = "SELECT id::text FROM bulk_operations WHERE state = 'running'";
    let open: Vec<String> = sqlx::query_scalar(open).fetch_all(pool).await?;
    for id in open {
        start(cluster, &["bulk", "resume", &id])?.wait().await?;
    }
    start(cluster, replay)?.wait().await?;
    Ok(())
}

async fn wait_for_replayed(pool: &PgPool, letters: i64) -> anyhow::Result<()> {
    let began = Instant::now();
    let count = "SELECT count(*) FROM dead_letters WHERE state <> 'dead'";
    while sqlx::query_scalar::<_, i64>(count).fetch_one(pool).await? < letters {
        anyhow::ensure!(began.elapsed() < PATIENCE, "not {letters} letters replayed within {PATIENCE:?}");
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Letters whose replay succeeds.
pub async fn bury_toys(pool: &PgPool, letters: usize) -> anyhow::Result<()> {
    let sql = "INSERT INTO dead_letters (job_id, queue, kind, error_class, error, attempts, fingerprint, envelope, died_at) \
               SELECT gen_random_uuid(), 'toys', 'toy', 'network', 'no route', 3, 'toy', $2, now() - n * interval '1 ms' \
               FROM generate_series(1, $1::bigint) AS n";
    let envelope = br#"{"v":1,"kind":"toy","at":1,"payload":{"acts":["succeed"]}}"#;
    sqlx::query(sql).bind(letters as i64).bind(&envelope[..]).execute(pool).await?;
    Ok(())
}

/// One question about many letters.
#[derive(Debug)]
pub struct Timed {
    /// What was asked.
    pub what: &'static str,
    /// The median of five.
    pub took: Duration,
    /// Rows that came.
    pub rows: usize,
    /// How Postgres went about it.
    pub plan: Vec<String>,
}

/// Asks what people ask, of so many letters over ten days.
///
/// # Errors
/// When Postgres refuses.
pub async fn time_queries(letters: usize) -> anyhow::Result<Vec<Timed>> {
    let cluster = Cluster::start().await?;
    let pool = cluster.pool()?;
    bury_many(&pool, letters).await?;
    let newest: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("SELECT max(died_at) FROM dead_letters").fetch_one(&pool).await?;
    let waiting = Filter { state: Some("dead"), ..Filter::default() };
    let some = |text: &str| Some(text.to_owned());
    let day = Filter { since: newest.checked_sub_signed(chrono::Duration::days(1)), ..waiting.clone() };
    let payload = "payload.to=u77777@example.com".parse()?;
    let lists = [
        ("list, newest", waiting.clone()),
        ("list, queue", Filter { queue: some("webhook"), ..waiting.clone() }),
        ("list, kind", Filter { kind: some("send_sms"), ..waiting.clone() }),
        ("list, rare tenant", Filter { tenant: some("tenant-7"), ..waiting.clone() }),
        ("list, class", Filter { error_class: some("timeout"), ..waiting.clone() }),
        ("list, code", Filter { code: some("e17"), ..waiting.clone() }),
        ("list, group", Filter { fingerprint: some("f0000000000000017"), ..waiting.clone() }),
        (
            "list, queue + tenant + window",
            Filter { queue: some("email"), tenant: some("tenant-7"), ..day.clone() },
        ),
        ("list, text in a day (no hit)", Filter { text: some("nowhere to be found"), ..day.clone() }),
        ("list, payload path in a day", Filter { payload: vec![payload], ..day.clone() }),
    ];
    let mut timed = Vec::new();
    for (what, filter) in lists {
        let (took, rows) = time(async || Ok(dead::page(&pool, &filter, None, 50).await?.len())).await?;
        let plan = dead::explain_page(&pool, &filter, 50).await?;
        timed.push(Timed { what, took, rows, plan });
    }
    for (what, filter) in [
        ("groups, all", waiting.clone()),
        ("groups, a queue", Filter { queue: some("webhook"), ..waiting.clone() }),
        ("groups, a kind", Filter { kind: some("send_email"), ..waiting.clone() }),
        ("groups, a tenant", Filter { tenant: some("tenant-7"), ..waiting.clone() }),
        ("groups, a class", Filter { error_class: some("timeout"), ..waiting.clone() }),
        ("groups, a code", Filter { code: some("e17"), ..waiting.clone() }),
        ("groups, a day", day),
    ] {
        let (took, rows) = time(async || Ok(dead::groups(&pool, &filter, 20).await?.len())).await?;
        let plan = dead::explain_groups(&pool, &filter, 20).await?;
        timed.push(Timed { what, took, rows, plan });
    }
    Ok(timed)
}

/// The median of five, after one that warms the caches.
async fn time(ask: impl AsyncFn() -> anyhow::Result<usize>) -> anyhow::Result<(Duration, usize)> {
    let mut rows = ask().await?;
    let mut took = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        rows = ask().await?;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    Ok((took[2], rows))
}

async fn bury_many(pool: &PgPool, letters: usize) -> anyhow::Result<()> {
    let mut connection = pool.acquire().await?;
    sqlx::raw_sql("SET statement_timeout = 0").execute(&mut *connection).await?;
    sqlx::query(include_str!("replays/bury_many.sql")).bind(letters as i64).execute(&mut *connection).await?;
    // What autovacuum does by itself within minutes.
    sqlx::raw_sql("VACUUM ANALYZE dead_letters").execute(&mut *connection).await?;
    connection.close().await?;
    Ok(())
}
