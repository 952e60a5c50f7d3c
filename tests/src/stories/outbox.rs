//! Jobs that were enqueued inside database transactions, and a Redis that loses everything.

use std::time::{Duration, Instant};

use flota_producer::{NewJob, Outbox};
use sqlx::PgPool;
use tokio::time::sleep;

use crate::{
    cluster::{Cluster, Recorded, SHORT},
    toys::{Act, toy},
};

/// Jobs in one transaction.
const TRANSACTION: usize = 100;

/// What came of losing everything in Redis.
#[derive(Debug)]
pub struct Flushed {
    /// Jobs with an outcome at the time.
    pub before: usize,
    /// Jobs that were sent more than once.
    pub sent_again: usize,
    /// What Postgres has at the end.
    pub recorded: Recorded,
    /// Effects beyond one per job: runs whose record was lost, or that were under way.
    pub repeated: usize,
    /// From the loss until the last job had an outcome.
    pub took: Duration,
    /// Rows left in the outbox at the end.
    pub left: usize,
}

/// Flushes Redis while two workers are in the middle of so many outbox jobs.
///
/// # Errors
/// When jobs do not reach an outcome in time.
pub async fn flush_redis(jobs: usize, lost_after: Duration) -> anyhow::Result<Flushed> {
    let mut cluster = Cluster::start().await?;
    cluster.lost_after = lost_after;
    let workers = [cluster.worker(16, SHORT).await?, cluster.worker(16, SHORT).await?];
    let pool = cluster.pool()?;
    // Counts in Postgres, because rows go away when their jobs end.
    sqlx::raw_sql(
        "CREATE TABLE sent_again (id uuid PRIMARY KEY); \
         CREATE FUNCTION count_again() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO sent_again VALUES (NEW.id) ON CONFLICT DO NOTHING; RETURN NULL; END $$; \
         CREATE TRIGGER again AFTER UPDATE ON outbox FOR EACH ROW WHEN (1 < NEW.sends AND OLD.sends < NEW.sends) \
         EXECUTE FUNCTION count_again()",
    )
    .execute(&pool)
    .await?;
    commit_many(&pool, jobs, &toy([Act::Sleep(20)])).await?;
    cluster.wait_for_rows(jobs / 5, Duration::from_secs(60)).await?;
    let () = cluster.link.query(&redis::cmd("FLUSHALL")).await?;
    let began = Instant::now();
    let before = cluster.recorded(&pool).await?.jobs;
    cluster.wait_for_rows(jobs, lost_after * 3 + Duration::from_secs(60)).await?;
    let took = began.elapsed();
    wait_until_empty(&pool).await?;
    let count = |sql: &'static str| sqlx::query_scalar::<_, i64>(sql).fetch_one(&pool);
    let sent_again = count("SELECT count(*) FROM sent_again").await? as usize;
    let left = count("SELECT count(*) FROM outbox").await? as usize;
    let recorded = cluster.recorded(&pool).await?;
    let repeated = cluster.ledger.total() - cluster.ledger.all().len();
    for worker in workers {
        anyhow::ensure!(worker.stop().await?, "a worker did not end well\n{}", cluster.logs());
    }
    Ok(Flushed { before, sent_again, recorded, repeated, took, left })
}

/// Enqueues the same job many times, in transactions of a hundred.
///
/// # Errors
/// When Postgres does not take them.
pub async fn commit_many(pool: &PgPool, jobs: usize, job: &NewJob) -> anyhow::Result<()> {
    let mut left = jobs;
    while 0 < left {
        let count = left.min(TRANSACTION);
        let mut transaction = pool.begin().await?;
        Outbox::default().enqueue_all_in(&mut transaction, vec![job.clone(); count]).await?;
        transaction.commit().await?;
        left -= count;
    }
    Ok(())
}

/// Waits until no row is left in the outbox, or ten seconds.
///
/// # Errors
/// When Postgres does not answer.
pub async fn wait_until_empty(pool: &PgPool) -> anyhow::Result<()> {
    let began = Instant::now();
    while sqlx::query_scalar("SELECT EXISTS (SELECT FROM outbox)").fetch_one(pool).await?
        && began.elapsed() < Duration::from_secs(10)
    {
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
