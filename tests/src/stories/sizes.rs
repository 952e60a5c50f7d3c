//! One, eight and thirty-two worker processes on one machine: what they cost Redis, and how fast a job is picked up.

use std::time::{Duration, Instant};

use flota_engine::control::{self, Control, Note, Setting};
use flota_producer::{NewJob, clock, keys::Prefix};
use sqlx::Row;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::{
    cluster::{Cluster, DEFAULT},
    fleet::QUEUE,
    toys::{Timed, noop},
};

/// Jobs that one worker process runs at once.
const CONCURRENCY: usize = 32;
/// How long an idle fleet is looked at.
const IDLE: Duration = Duration::from_secs(5);
/// Between two jobs, while the pick-up is measured: 50 a second.
const APART: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(180);

/// What a fleet of one size did.
#[derive(Debug, Clone, Copy)]
pub struct OfSize {
    /// Worker processes.
    pub workers: usize,
    /// CPU of Redis that they use while there is nothing to do, in hundredths of a core.
    pub idle_percent: f64,
    /// From the producer's clock before enqueueing until a processor starts, in microseconds: median and 99th percentile.
    pub pick_up_us: [f64; 2],
    /// Jobs a second until the last row is committed.
    pub drained: f64,
    /// CPU of Redis for one job of that drain, its record included.
    pub redis_per_job: Duration,
}

/// Measures a fleet of this many processes: `timed` jobs one by one, then a backlog of `jobs`.
///
/// # Errors
/// When a server does not start, or a job is not recorded in time.
pub async fn of_size(workers: usize, timed: usize, jobs: usize) -> anyhow::Result<OfSize> {
    let mut cluster = Cluster::start().await?;
    let mut processes = Vec::new();
    for _ in 0..workers {
        processes.push(cluster.worker(CONCURRENCY, DEFAULT).await?);
    }
    let first: Vec<NewJob> = vec![noop(200); workers * 4];
    for outcome in cluster.producer.enqueue_all(first).await {
        outcome?;
    }
    cluster.wait_for_rows(workers * 4, PATIENCE).await?;
    let cpu = cluster.redis_cpu().await?;
    sleep(IDLE).await;
    let idle = cluster.redis_cpu().await?.saturating_sub(cpu);
    let pick_up_us = pick_up(&cluster, timed, workers * 4).await?;
    let (drained, redis_per_job) = drain(&cluster, jobs, workers * 4 + timed).await?;
    for process in processes {
        process.stop().await?;
    }
    let idle_percent = 100.0 * idle.as_secs_f64() / IDLE.as_secs_f64();
    Ok(OfSize { workers, idle_percent, pick_up_us, drained, redis_per_job })
}

async fn pick_up(cluster: &Cluster, timed: usize, before: usize) -> anyhow::Result<[f64; 2]> {
    let mut ticks = interval(APART);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for _ in 0..timed {
        ticks.tick().await;
        let sent_us = clock::unix_now().as_micros() as u64;
        cluster.producer.enqueue(NewJob::new(Timed { sent_us })).await?;
    }
    cluster.wait_for_rows(before + timed, PATIENCE).await?;
    let sql =
        "SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY (result->>'waited_us')::float8)
               FROM outcomes WHERE kind = 'timed'";
    let row = sqlx::query(sql).fetch_one(&cluster.pool()?).await?;
    let [median, highest] = row.get::<Vec<f64>, _>(0)[..] else { anyhow::bail!("two percentiles") };
    Ok([median, highest])
}

async fn drain(cluster: &Cluster, jobs: usize, before: usize) -> anyhow::Result<(f64, Duration)> {
    let keys = Prefix::default().queue(QUEUE);
    control::set(&cluster.link, &keys, &Setting::Pause, &Note::default()).await?;
    cluster.enqueue_many(jobs, &noop(200)).await?;
    let (cpu, began) = (cluster.redis_cpu().await?, Instant::now());
    control::unset(&cluster.link, &keys, Control::Pause).await?;
    cluster.wait_for_rows(before + jobs, PATIENCE).await?;
    let took = began.elapsed();
    let redis = cluster.redis_cpu().await?.saturating_sub(cpu) / jobs as u32;
    Ok((jobs as f64 / took.as_secs_f64(), redis))
}
