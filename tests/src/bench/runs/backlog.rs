//! The rate while as many jobs wait all the time: does a long queue cost more than a short one?
//!
//! A short backlog would be gone before its rate can be measured, so every one is held: a producer puts in what workers
//! take out. It costs the same at every length, so that rates can be compared with each other, though not with drains.

use std::time::{Duration, Instant};

use flota_producer::{NewJob, Priority, keys::Prefix};
use tokio::time::sleep;

use super::{
    load::{self, Load, SLOTS},
    workers::Workers,
};
use crate::bench::{
    case::Case,
    ground::{Field, Fsync, Ground},
    metric::Metric,
    payload::{self, QUEUE},
    sample::Readings,
    tally::Tally,
};

/// Most jobs put in at once: one batch of the producer.
const AT_ONCE: u64 = 500;
/// Between two looks at a backlog that is long enough.
const LOOK: Duration = Duration::from_millis(1);
/// Handlers that end before the measuring begins.
const WARM_UP: u64 = 1_000;

/// Holds each of these backlogs until `jobs` have run.
pub(super) async fn each(ground: &Ground, backlogs: &[u64], jobs: u64) -> anyhow::Result<Readings> {
    let mut readings = Readings::new();
    for &backlog in backlogs {
        readings.extend(hold(ground, backlog, jobs).await?);
    }
    Ok(readings)
}

async fn hold(ground: &Ground, backlog: u64, jobs: u64) -> anyhow::Result<Readings> {
    let (field, case) = (ground.empty(Fsync::EverySecond, true).await?, Case::Backlog(backlog));
    Load::of(case, backlog as usize).enqueue(&field).await?;
    field.quiet().await?;
    let workers = Workers::ours(&field, 1, SLOTS, &[]).await?;
    let mut feeder = Feeder::new(&field, backlog)?;
    let first = feeder.feed_until(&workers, WARM_UP).await?;
    let cpu = field.redis_cpu().await?;
    (feeder.looks, feeder.empty) = (0, 0);
    let last = feeder.feed_until(&workers, first.count + jobs).await?;
    let cpu = field.redis_cpu().await?.saturating_sub(cpu);
    workers.kill().await?;
    let (ran, secs) = ((last.count - first.count) as f64, (last.last - first.last) as f64 / 1e9);
    Ok(vec![
        (case, Metric::SettledPerS, ran / secs),
        (case, Metric::RedisBothUs, cpu.as_secs_f64() * 1e6 / ran),
        (case, Metric::Starved, feeder.empty as f64 / feeder.looks.max(1) as f64),
    ])
}

/// Puts in what was taken out.
struct Feeder<'a> {
    field: &'a Field<'a>,
    producer: flota_producer::Producer,
    waiting: redis::Cmd,
    backlog: u64,
    sent: u64,
    looks: u64,
    empty: u64,
}

impl<'a> Feeder<'a> {
    fn new(field: &'a Field<'a>, backlog: u64) -> anyhow::Result<Self> {
        let mut waiting = redis::cmd("LLEN");
        waiting.arg(Prefix::default().queue(QUEUE).ready(Priority::Normal));
        let producer = load::producer(field)?;
        Ok(Self { field, producer, waiting, backlog, sent: backlog, looks: 0, empty: 0 })
    }

    /// Goes on until so many handlers have ended.
    async fn feed_until(&mut self, workers: &Workers, handled: u64) -> anyhow::Result<Tally> {
        let began = Instant::now();
        loop {
            let tally = workers.tally()?;
            if handled <= tally.count {
                return Ok(tally);
            }
            if tally.count == 0 {
                workers.ensure_alive(began)?;
            }
            // A tally is written every 50 ms, so there is no use in looking more often.
            let look_again = Instant::now() + Duration::from_millis(25);
            while Instant::now() < look_again {
                self.top_up().await?;
            }
        }
    }

    async fn top_up(&mut self) -> anyhow::Result<()> {
        let waiting: u64 = self.field.link.query(&self.waiting).await?;
        self.looks += 1;
        self.empty += u64::from(waiting == 0);
        let missing = self.backlog.saturating_sub(waiting).min(AT_ONCE);
        if missing == 0 {
            sleep(LOOK).await;
            return Ok(());
        }
        let jobs: Vec<NewJob> =
            (self.sent..self.sent + missing).map(|number| payload::job(number as usize)).collect();
        self.sent += missing;
        for outcome in self.producer.enqueue_all(jobs).await {
            outcome?;
        }
        Ok(())
    }
}
