//! Stories that both the tests and the measurements tell, with small and large numbers.

pub mod outbox;
pub mod sends;
pub mod sizes;
pub mod storm;

use std::time::{Duration, Instant};

use flota_producer::link::Link;
use tokio::time::sleep;

use crate::{
    PATIENCE,
    cluster::{Cluster, Leases, Recorded},
    fleet::QUEUE,
    toys::{Act, noop, toy},
};

/// What came of killing a worker.
#[derive(Debug)]
pub struct Killed {
    /// Jobs that were running in the killed worker.
    pub in_flight: usize,
    /// From the kill until the last of them was ready again.
    pub last_ready_again: Duration,
    /// From the kill until the last of them had been picked up again.
    pub last_picked_up: Duration,
    /// What Postgres has at the end.
    pub recorded: Recorded,
    /// Effects beyond one per job.
    pub repeated: usize,
}

/// Kills a worker with `jobs` running, beside a second worker, and waits until all have ended.
///
/// # Errors
/// When jobs do not start, are not picked up again, or do not end in time.
pub async fn kill_a_worker(jobs: usize, leases: Leases) -> anyhow::Result<Killed> {
    let mut cluster = Cluster::start().await?;
    let victim = cluster.worker(jobs, leases).await?;
    // None ends before all has been seen.
    cluster.enqueue_many(jobs, &toy([Act::Until(cluster.gate())])).await?;
    cluster.wait_for_running(jobs as u64, PATIENCE).await?;
    // A heartbeat later, so that leases are as fresh as they can be.
    sleep(leases.heartbeat.min(Duration::from_secs(1))).await;
    let second = cluster.worker(jobs, leases).await?;
    victim.kill().await?;
    let killed = Instant::now();
    let (mut last_ready_again, mut last_picked_up) = (Duration::ZERO, Duration::ZERO);
    let patience = leases.lease + leases.heartbeat * 2 + PATIENCE;
    while last_picked_up.is_zero() {
        let suspects = cluster.recovered().await?;
        if last_ready_again.is_zero() && suspects.recovered == jobs {
            last_ready_again = killed.elapsed();
        }
        if suspects.recovered == jobs && suspects.waiting == 0 {
            last_picked_up = killed.elapsed();
        }
        anyhow::ensure!(killed.elapsed() < patience, "not picked up within {patience:?}\n{}", cluster.logs());
        sleep(Duration::from_millis(10)).await;
    }
    cluster.open_gate()?;
    cluster.wait_for_rows(jobs, PATIENCE).await?;
    let recorded = cluster.recorded(&cluster.pool()?).await?;
    let repeated = cluster.ledger.total() - cluster.ledger.all().len();
    second.stop().await?;
    Ok(Killed { in_flight: jobs, last_ready_again, last_picked_up, recorded, repeated })
}

/// Where the jobs of a killed worker are.
struct Suspects {
    /// Jobs that lost a lease and came back.
    recovered: usize,
    /// Jobs that wait to be picked up.
    waiting: u64,
}

impl Cluster {
    async fn recovered(&self) -> anyhow::Result<Suspects> {
        let keys = flota_producer::keys::Prefix::default().queue(QUEUE);
        let marks: Vec<String> = self.link.query(redis::cmd("HVALS").arg(keys.marks())).await?;
        let recovered = marks.iter().filter(|line| line.contains("deliveries=1")).count();
        Ok(Suspects { recovered, waiting: self.counts().await?.ready })
    }
}

/// What came of taking servers away.
#[derive(Debug)]
pub struct Outage {
    /// Jobs that were accepted.
    pub accepted: usize,
    /// What Postgres has at the end.
    pub recorded: Recorded,
    /// Effects beyond one per job.
    pub repeated: usize,
    /// From the start of Redis until a worker settled again.
    pub back_after: Duration,
}

/// Stops Redis for a while under load, then Postgres, with the same two workers all the time.
///
/// # Errors
/// When jobs do not end in time or a worker has not survived.
pub async fn take_servers_away(leases: Leases, outage: Duration) -> anyhow::Result<Outage> {
    let mut cluster = Cluster::start().await?;
    let workers = [cluster.worker(64, leases).await?, cluster.worker(64, leases).await?];
    // Some run across the whole outage, some end inside it, some have not started when it begins.
    let mut accepted = 0;
    let across = outage + Duration::from_secs(2);
    for (count, act) in [
        (32, Act::Sleep(across.as_millis() as u64)),
        (64, Act::Sleep((outage / 2).as_millis() as u64)),
        (2_000, Act::Sleep(20)),
    ] {
        accepted += cluster.enqueue_many(count, &toy([act])).await?.len();
    }
    cluster.wait_for_running(100, PATIENCE).await?;
    cluster.redis.stop().await?;
    sleep(outage).await;
    cluster.redis.start_again().await?;
    let back = Instant::now();
    let link = Link::new(cluster.redis.url())?;
    let keys = flota_producer::keys::Prefix::default().queue(QUEUE);
    let jobs = |link: &Link| {
        let command = redis::cmd("HLEN").arg(keys.jobs()).to_owned();
        let link = link.again();
        async move { link.query::<u64>(&command).await }
    };
    let before = jobs(&link).await?;
    // Whatever was settled before the first look took no longer.
    while 0 < before && before <= jobs(&link).await? {
        anyhow::ensure!(back.elapsed() < PATIENCE, "nothing is settled\n{}", cluster.logs());
        sleep(Duration::from_millis(10)).await;
    }
    let back_after = back.elapsed();
    cluster.postgres.stop().await?;
    accepted += cluster.enqueue_many(500, &toy([Act::Succeed])).await?.len();
    let away = Instant::now();
    while 0 < cluster.counts().await?.ready {
        anyhow::ensure!(
            away.elapsed() < PATIENCE,
            "work stopped with Postgres: {:?}",
            cluster.counts().await
        );
        sleep(Duration::from_millis(100)).await;
    }
    sleep(outage.saturating_sub(away.elapsed())).await;
    cluster.postgres.start_again().await?;
    cluster.wait_for_rows(accepted, across + PATIENCE).await?;
    let recorded = cluster.recorded(&cluster.pool()?).await?;
    let repeated = cluster.ledger.total() - cluster.ledger.all().len();
    for worker in workers {
        anyhow::ensure!(worker.stop().await?, "a worker did not end well\n{}", cluster.logs());
    }
    Ok(Outage { accepted, recorded, repeated, back_after })
}

/// What draining a backlog took.
#[derive(Debug)]
pub struct Drained {
    /// Jobs that waited.
    pub jobs: usize,
    /// How long enqueueing them took, in batches of 500 by one producer.
    pub enqueued: Duration,
    /// Bytes that Redis used for each waiting job.
    pub bytes_per_job: f64,
    /// From the start of the worker until the last job had left Redis.
    pub settled: Duration,
    /// From the start of the worker until the last outcome was committed to Postgres.
    pub committed: Duration,
    /// CPU time of Redis for each job, enqueue.
    pub redis_enqueue: Duration,
    /// CPU time of Redis for each job, fetch to recorded.
    pub redis_drain: Duration,
}

/// Drains a backlog of jobs that do nothing with one worker process.
///
/// # Errors
/// When jobs are missing at the end.
pub async fn drain_a_backlog(jobs: usize, concurrency: usize, payload: usize) -> anyhow::Result<Drained> {
    let mut cluster = Cluster::start().await?;
    let empty = cluster.redis_memory().await?;
    let cpu = cluster.redis_cpu().await?;
    let began = Instant::now();
    cluster.enqueue_many(jobs, &noop(payload)).await?;
    let enqueued = began.elapsed();
    let redis_enqueue = cluster.redis_cpu().await?.saturating_sub(cpu) / jobs as u32;
    let bytes_per_job = (cluster.redis_memory().await? - empty) / jobs as f64;
    let cpu = cluster.redis_cpu().await?;
    let worker = cluster.worker(concurrency, crate::cluster::DEFAULT).await?;
    let began = Instant::now();
    let keys = flota_producer::keys::Prefix::default().queue(QUEUE);
    let mut command = redis::cmd("HLEN");
    command.arg(keys.jobs());
    while 0 < cluster.link.query::<u64>(&command).await? {
        anyhow::ensure!(
            began.elapsed() < Duration::from_secs(120),
            "the drain takes too long\n{}",
            cluster.logs()
        );
        sleep(Duration::from_millis(5)).await;
    }
    let settled = began.elapsed();
    cluster.wait_for_rows(jobs, Duration::from_secs(120)).await?;
    let committed = began.elapsed();
    let redis_drain = cluster.redis_cpu().await?.saturating_sub(cpu) / jobs as u32;
    let recorded = cluster.recorded(&cluster.pool()?).await?;
    anyhow::ensure!(recorded == Recorded { rows: jobs, jobs, succeeded: jobs }, "{recorded:?}");
    worker.stop().await?;
    Ok(Drained { jobs, enqueued, bytes_per_job, settled, committed, redis_enqueue, redis_drain })
}

impl Cluster {
    /// CPU time that Redis has used so far.
    pub(crate) async fn redis_cpu(&self) -> anyhow::Result<Duration> {
        let used =
            self.redis_info("cpu", "used_cpu_user:").await? + self.redis_info("cpu", "used_cpu_sys:").await?;
        Ok(Duration::from_secs_f64(used))
    }

    /// Bytes that Redis uses.
    async fn redis_memory(&self) -> anyhow::Result<f64> {
        self.redis_info("memory", "used_memory:").await
    }

    async fn redis_info(&self, section: &str, field: &str) -> anyhow::Result<f64> {
        let info: String = self.link.query(redis::cmd("INFO").arg(section)).await?;
        let value = info.lines().find_map(|line| line.strip_prefix(field));
        Ok(value.unwrap_or_default().trim().parse()?)
    }
}
