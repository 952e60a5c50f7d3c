//! The loop that enqueues what is due, in every worker process.
//!
//! Redis keeps, for each schedule, the last tick that was dealt with, and its clock says what time it is. Whoever sees
//! a newer tick enqueues its job under the tick's own idempotency key, and moves the mark on only then: a crash in
//! between repeats the enqueue, which gives the first job back. Most ticks are enqueued once, because processes look at
//! slightly different moments; all the others are found to be there already.

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use chrono::{DateTime, Utc};
use flota_engine::failpoint;
use flota_producer::{
    EnqueueError, Producer,
    keys::Prefix,
    link::{Link, LinkError},
    script,
};
use redis::Script;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Due, Schedule, due, next};
use crate::failure::chain;

static ADVANCE: LazyLock<Script> = LazyLock::new(|| script("advance", include_str!("advance.lua")));

/// Longest pause between two looks: the clock of Redis may be corrected meanwhile.
const LONGEST: Duration = Duration::from_secs(30);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// Processes look at a tick within this time of each other.
const SPREAD_MS: u64 = 200;

/// Enqueues what is due.
pub struct Scheduler {
    schedules: Vec<Schedule>,
    link: Link,
    prefix: Prefix,
    producer: Producer,
}

/// Why a schedule is late.
#[derive(Debug, thiserror::Error)]
enum Late {
    #[error(transparent)]
    Redis(#[from] LinkError),
    #[error("the job of schedule {name} is not accepted")]
    Refused {
        name: String,
        #[source]
        source: EnqueueError,
    },
}

impl Scheduler {
    /// A scheduler for these schedules. `link` is its own.
    pub fn new(schedules: Vec<Schedule>, link: Link, prefix: Prefix, producer: Producer) -> Self {
        Self { schedules, link, prefix, producer }
    }

    /// Schedules until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        if self.schedules.is_empty() {
            return stop.cancelled().await;
        }
        let mut troubled = false;
        while !stop.is_cancelled() {
            let pause = match self.once().await {
                Ok(pause) => {
                    troubled = false;
                    pause + Duration::from_millis(rand::random_range(0..SPREAD_MS))
                }
                Err(error) => {
                    if !troubled {
                        warn!("A schedule is late and tried again: {}", chain(&error));
                    }
                    troubled = true;
                    PAUSE
                }
            };
            stop.run_until_cancelled(sleep(pause)).await;
        }
    }

    /// Enqueues what is due. Answers how long until something may be due again.
    async fn once(&self) -> Result<Duration, Late> {
        let (now, last) = last_ticks(&self.link, &self.prefix).await?;
        let mut pause = LONGEST;
        for schedule in &self.schedules {
            // A new schedule begins with its next tick.
            let Some(last) = last.get(&schedule.name) else {
                self.advance(schedule, now).await?;
                continue;
            };
            match due(&schedule.cron, schedule.timezone, schedule.catch_up, *last, now) {
                Due::Nothing => {}
                Due::Run(tick) => {
                    self.enqueue(schedule, tick).await?;
                    failpoint!("schedule-enqueued", flota_engine::chaos::lost().into());
                    self.advance(schedule, tick).await?;
                }
                Due::Missed(tick) => {
                    info!("Schedule {} leaves out its tick of {tick}: no worker was there", schedule.name);
                    self.advance(schedule, tick).await?;
                }
            }
            if let Some(next) = next(&schedule.cron, schedule.timezone, now) {
                pause = pause.min((next - now).to_std().unwrap_or_default());
            }
        }
        Ok(pause)
    }

    async fn enqueue(&self, schedule: &Schedule, tick: DateTime<Utc>) -> Result<(), Late> {
        match self.producer.enqueue(schedule.job_of(tick)).await {
            Ok(receipt) if receipt.deduplicated => {}
            Ok(receipt) => {
                info!(job.id = %receipt.id, "Schedule {} enqueued job {} for {tick}", schedule.name, receipt.id);
            }
            // Another release, with another payload in its file, was there first.
            Err(EnqueueError::KeyConflict { .. }) => {}
            Err(source) => return Err(Late::Refused { name: schedule.name.clone(), source }),
        }
        Ok(())
    }

    async fn advance(&self, schedule: &Schedule, tick: DateTime<Utc>) -> Result<(), LinkError> {
        let mut call = ADVANCE.key(self.prefix.schedules());
        self.link.invoke(call.arg(&schedule.name).arg(tick.timestamp_millis())).await
    }
}

/// The time of Redis, and the last tick of each schedule that has been dealt with.
///
/// # Errors
/// When Redis does not answer.
pub async fn last_ticks(
    link: &Link,
    prefix: &Prefix,
) -> Result<(DateTime<Utc>, BTreeMap<String, DateTime<Utc>>), LinkError> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("TIME").cmd("HGETALL").arg(prefix.schedules());
    type Reply = ((i64, i64), BTreeMap<String, i64>);
    let ((seconds, micros), ticks): Reply = link.pipeline(&pipeline).await?;
    let time = |ms| DateTime::from_timestamp_millis(ms).unwrap_or_default();
    let ticks = ticks.into_iter().map(|(name, ms)| (name, time(ms))).collect();
    Ok((time(seconds * 1000 + micros / 1000), ticks))
}
