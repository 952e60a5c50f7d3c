//! Stories that both the tests and the measurements tell, with small and large numbers.

use std::time::{Duration, Instant};

use flota_producer::link::Link;
use tokio::time::sleep;

use crate::{
    cluster::{Cluster, Leases, Recorded},
    fleet::QUEUE,
    toys::{Act, toy},
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
    // Long enough that none ends before the kill, short enough to wait for.
    cluster.enqueue_many(jobs, &toy([Act::Sleep(2_000 + leases.heartbeat.as_millis() as u64)])).await?;
    cluster.wait_for_running(jobs as u64, Duration::from_secs(20)).await?;
    // A heartbeat later, so that leases are as fresh as they can be.
    sleep(leases.heartbeat.min(Duration::from_secs(1))).await;
    let second = cluster.worker(jobs, leases).await?;
    victim.kill().await?;
    let killed = Instant::now();
    let (mut last_ready_again, mut last_picked_up) = (Duration::ZERO, Duration::ZERO);
    let patience = leases.lease + leases.heartbeat * 2 + Duration::from_secs(10);
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
    cluster.wait_for_rows(jobs, Duration::from_secs(60)).await?;
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
    cluster.wait_for_running(100, Duration::from_secs(20)).await?;
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
    while before <= jobs(&link).await? {
        anyhow::ensure!(back.elapsed() < Duration::from_secs(30), "nothing is settled\n{}", cluster.logs());
        sleep(Duration::from_millis(10)).await;
    }
    let back_after = back.elapsed();
    cluster.postgres.stop().await?;
    accepted += cluster.enqueue_many(500, &toy([Act::Succeed])).await?.len();
    sleep(outage).await;
    let unrecorded = cluster.counts().await?;
    anyhow::ensure!(unrecorded.ready == 0, "work stopped with Postgres: {unrecorded:?}");
    cluster.postgres.start_again().await?;
    cluster.wait_for_rows(accepted, across + Duration::from_secs(60)).await?;
    let recorded = cluster.recorded(&cluster.pool()?).await?;
    let repeated = cluster.ledger.total() - cluster.ledger.all().len();
    for worker in workers {
        anyhow::ensure!(worker.stop().await?, "a worker did not end well\n{}", cluster.logs());
    }
    Ok(Outage { accepted, recorded, repeated, back_after })
}
