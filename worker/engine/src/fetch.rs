//! Fetching: ids under lease, then their bodies, then off to the runner.
//!
//! One fetcher per queue, on a connection of its own because it blocks on the bell. It asks for as many jobs as there
//! are free slots and never more, so no job waits inside a busy worker while another one is idle. Bodies of many jobs are
//! read by a separate task while the next fetch is already under way; those of a few come along, which saves a quiet queue
//! a round trip.

mod lateness;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use flota_producer::{
    JobId, Priority,
    keys::QueueKeys,
    link::{Link, LinkError},
};
use redis::Pipeline;
use tokio::{
    sync::mpsc,
    task::yield_now,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use self::lateness::{is_late, patience};
use crate::{
    event::Event,
    failpoint,
    lease::{Leases, StopReason},
    leased::{FetchReply, Fetched, Leased, Slot},
    marks::RareMarks,
    policy::Ended,
    quarantine::{self, Care, Leave, Quarantine},
    run::{RunContext, admit},
    slots::{Places, Slots},
    store::{self, FETCH, RunId},
};

/// Most ids in one fetch.
const MOST: usize = 256;
/// Most jobs whose bodies come along: copying more of them inside of a script would hold Redis up.
const WITH_BODIES: usize = 32;
/// How long one wait at the bell lasts. A poll stands behind every wake-up, so a lost one costs at most this.
pub(crate) const BELL_WAIT: Duration = Duration::from_secs(5);
/// Entries of the outcomes stream from which on nothing is fetched: history that Postgres does not take must not fill
/// Redis. An entry holds 1 to 500 records, up to 256 KiB of them: 20,000 could be 5 GB, so bytes count as well.
const HIGH_WATER: usize = 20_000;
/// The same in bytes, 1 GiB for each queue: some five million ordinary records of 200 bytes, or 11,000 dead letters of the
/// largest kind.
const HIGH_WATER_BYTES: usize = 1 << 30;
/// Longest sleep while a queue is paused for a time, or as fast as it may be: people change their minds.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How long a stopping fetcher waits for the answer to a fetch that is under way, and tries to read bodies.
const STOP_WAIT: Duration = Duration::from_secs(2);
/// Pause between two tries while Redis is away.
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) struct Fetcher {
    /// For the blocking fetch alone.
    pub(crate) link: Link,
    /// For bodies and for ending a blocked wait.
    pub(crate) side: Link,
    pub(crate) worker: Arc<str>,
    pub(crate) keys: QueueKeys,
    pub(crate) context: Arc<RunContext>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) slots: Arc<Slots>,
    pub(crate) quarantine: Arc<Quarantine>,
    pub(crate) runs: mpsc::UnboundedSender<Vec<Leased>>,
    pub(crate) rounds: AtomicU64,
}

impl Fetcher {
    /// Fetches until `stop`, then waits for bodies that are still on their way.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        // Whoever was told to run fewer jobs begins with fewer.
        stop.run_until_cancelled(self.slots.known(LONGEST_WAIT)).await;
        let deliveries = TaskTracker::new();
        let mut drained = true;
        let mut troubled = false;
        while stop.run_until_cancelled(self.quarantine.open()).await.is_some() {
            let Some(places) = self.slots.take(MOST, &stop).await else { break };
            let (wanted, asked) = (places.len(), Instant::now());
            match self.fetch(wanted, drained, &stop).await {
                Ok(reply) => {
                    if troubled {
                        info!(queue.name = %self.name(), "Queue {} is fetched again", self.name());
                    }
                    (troubled, drained) = (false, reply.jobs.len() < wanted);
                    if reply.jobs.is_empty() {
                        self.observe_answer();
                        let wait = reply.wait.min(LONGEST_WAIT);
                        if !wait.is_zero() {
                            // Places that nobody uses meanwhile are free to be taken away.
                            drop(places);
                            drained = false;
                            stop.run_until_cancelled(sleep(wait)).await;
                        }
                    } else {
                        let has_all = reply.with_bodies;
                        let delivery =
                            self.clone().deliver(reply, asked, places, stop.clone(), deliveries.clone());
                        if has_all {
                            delivery.await;
                        } else {
                            deliveries.spawn(delivery);
                        }
                        // What came goes to work first. In a busy process more places are free after that.
                        yield_now().await;
                        self.observe_answer();
                    }
                }
                Err(error) => {
                    self.trouble(&error, &mut troubled);
                    stop.run_until_cancelled(sleep(Duration::from_millis(100 + rand::random_range(0..400))))
                        .await;
                    drained = false;
                }
            }
        }
        deliveries.close();
        deliveries.wait().await;
    }

    /// One fetch; behind a wait at the bell when the last one found the queue drained.
    async fn fetch(
        &self,
        wanted: usize,
        wait: bool,
        stop: &CancellationToken,
    ) -> Result<FetchReply, LinkError> {
        let reply = self.answer(wanted, wait);
        tokio::pin!(reply);
        tokio::select! {
            answer = &mut reply => answer,
            () = stop.cancelled() => {
                // Not simply dropped: Redis may be leasing jobs to us right now, and they have to be given back.
                drop(timeout(STOP_WAIT, self.wake_myself()).await);
                let gave_up = || LinkError::Lost((redis::ErrorKind::Io, "no answer while stopping").into());
                timeout(STOP_WAIT, reply).await.unwrap_or_else(|_| Err(gave_up()))
            }
        }
    }

    async fn answer(&self, wanted: usize, wait: bool) -> Result<FetchReply, LinkError> {
        let mut pipeline = redis::pipe();
        if wait {
            let bells = [self.keys.bell(), self.keys.own_bell(&self.worker)];
            pipeline.cmd("BLPOP").arg(&bells).arg(BELL_WAIT.as_secs()).ignore();
        }
        self.add_fetch(&mut pipeline, wanted);
        match self.link.pipeline::<(FetchReply,)>(&pipeline).await {
            Ok((reply,)) => {
                failpoint!("fetch-replied", crate::chaos::lost());
                Ok(reply)
            }
            // EVALSHA inside a pipeline does not load the script by itself.
            Err(LinkError::Refused(error)) if error.code() == Some("NOSCRIPT") => {
                self.link.load(&FETCH).await?;
                let mut again = redis::pipe();
                self.add_fetch(&mut again, wanted);
                self.link.pipeline::<(FetchReply,)>(&again).await.map(|(reply,)| reply)
            }
            Err(error) => Err(error),
        }
    }

    fn add_fetch(&self, pipeline: &mut Pipeline, wanted: usize) {
        let round = self.rounds.fetch_add(1, Ordering::Relaxed);
        let lists = order(round).map(|priority| self.keys.ready(priority));
        pipeline.cmd("EVALSHA").arg(FETCH.get_hash()).arg(11).arg(&lists);
        pipeline
            .arg(self.keys.running())
            .arg(self.keys.marks())
            .arg(self.keys.config())
            .arg(self.keys.bell())
            .arg(self.keys.cancelled())
            .arg(self.keys.outcomes())
            .arg(self.keys.jobs())
            .arg(self.keys.starts());
        pipeline.arg(wanted).arg(self.context.policy.lease.as_millis() as u64);
        pipeline.arg(HIGH_WATER).arg(HIGH_WATER_BYTES).arg(WITH_BODIES);
    }

    async fn wake_myself(&self) {
        let bell = self.keys.own_bell(&self.worker);
        let mut pipeline = redis::pipe();
        pipeline.cmd("RPUSH").arg(&bell).arg("1").ignore().cmd("PEXPIRE").arg(&bell).arg(1000).ignore();
        // When this fails too, the wait ends by its own time limit.
        if let Err(error) = self.side.pipeline::<()>(&pipeline).await {
            self.observe_trouble();
            warn!(queue.name = %self.name(), error = &error as &dyn std::error::Error, "{error} while stopping");
        }
    }

    /// Reads the bodies of fetched ids and hands the jobs to the runner. The leases are younger than `asked`.
    async fn deliver(
        self: Arc<Self>,
        reply: FetchReply,
        asked: Instant,
        mut places: Places,
        stop: CancellationToken,
        deliveries: TaskTracker,
    ) {
        // From here on the leases are lengthened; whether the runs may start is seen when the bodies are there (`is_late`).
        let now = std::time::Instant::now();
        let (ours, foreign) = told_apart(reply.jobs);
        let runs = ours.iter().map(|(run, _)| *run);
        let holds = self.leases.hold(runs, now, self.context.policy.lease * 2);
        for raw in foreign {
            self.set_aside(raw).await;
        }
        let (mut fetched, mut bodies) = (Vec::with_capacity(ours.len()), Vec::with_capacity(ours.len()));
        for ((run, Fetched { marks, cancelled, body, .. }), hold) in ours.into_iter().zip(holds) {
            if let Some(place) = places.split_off() {
                if cancelled {
                    hold.stop().stop(StopReason::Cancelled);
                }
                fetched.push((run, marks, Slot { hold, place, leave: Leave::default() }));
                bodies.push(body);
            }
        }
        // Places for ids that were none.
        drop(places);
        let mut late = false;
        // A wait at the bell counts against it, and then a look at the clock of Redis tells more.
        if !reply.with_bodies || patience(&self.context.policy) <= asked.elapsed() {
            let ids: Vec<JobId> = fetched.iter().map(|(run, ..)| run.id).collect();
            let Some((read_ms, read)) = self.bodies(&ids, &stop).await else { return };
            late = is_late(reply.now_ms, read_ms, &self.context.policy);
            bodies = read;
        }
        failpoint!("fetch-bodies");
        let stopping = stop.is_cancelled();
        let mut runs = Vec::with_capacity(fetched.len());
        let (mut noted, mut alone) = (Vec::new(), None);
        for ((run, marks, slot), bytes) in fetched.into_iter().zip(bodies) {
            let Some(bytes) = bytes else {
                self.forget(run).await;
                continue;
            };
            let mut leased = self.lease(run, marks, slot, bytes, reply.now_ms);
            if stopping {
                leased.end_without_run(Ended::Released);
            }
            if late {
                leased.end_without_run(Ended::Lost);
            }
            match self.quarantine.admit(&mut leased, self.context.policy.max_deliveries) {
                Care::None => runs.push(leased),
                Care::Noted | Care::Apart => noted.push(leased),
                Care::Alone => alone = Some(leased),
            }
        }
        // The runner lives longer than the fetcher; if it is gone the process is ending and leases run out.
        drop(self.runs.send(runs));
        if !noted.is_empty() || alone.is_some() {
            // They may have to wait for others, and the next fetch does not wait for them.
            deliveries.spawn(async move { self.deliver_suspects(noted, alone, &stop).await });
        }
    }

    /// Hands over jobs that lost workers before, as carefully as each has to be run.
    async fn deliver_suspects(
        &self,
        mut noted: Vec<Leased>,
        alone: Option<Leased>,
        stop: &CancellationToken,
    ) {
        if !noted.is_empty() {
            quarantine::begin(&self.side, &self.keys, &mut noted, false, stop).await;
            drop(self.runs.send(noted));
        }
        if let Some(mut leased) = alone {
            if self.quarantine.alone(&mut leased, &self.context.policy, stop).await {
                quarantine::begin(&self.side, &self.keys, std::slice::from_mut(&mut leased), true, stop)
                    .await;
            } else {
                leased.end_without_run(Ended::Released);
            }
            drop(self.runs.send(vec![leased]));
        }
    }

    fn lease(&self, run: RunId, marks: RareMarks, slot: Slot, bytes: Vec<u8>, now_ms: u64) -> Leased {
        let body = admit(&self.context, run.id, run.run, marks.attempt + 1, &bytes, now_ms);
        Leased { run, marks, body, bytes, slot }
    }

    /// The time of Redis, Unix ms, and bodies in the order of ids, `None` in place of cancelled jobs. Asks until Redis
    /// answers, since the jobs are ours. Answers nothing when the process is to stop and Redis is away: the leases run
    /// out and others take the jobs.
    async fn bodies(&self, ids: &[JobId], stop: &CancellationToken) -> Option<(u64, Vec<Option<Vec<u8>>>)> {
        if ids.is_empty() {
            return Some((0, Vec::new()));
        }
        let mut pipeline = redis::pipe();
        pipeline.cmd("TIME").cmd("HMGET").arg(self.keys.jobs()).arg(ids);
        let (mut troubled, mut give_up_at) = (false, None);
        loop {
            match self.side.pipeline::<((u64, u64), Vec<Option<Vec<u8>>>)>(&pipeline).await {
                Ok(((seconds, micros), bodies)) => return Some((seconds * 1000 + micros / 1000, bodies)),
                // One reading may fail although Redis is there, and these jobs would be charged a lost lease.
                Err(_) if stop.is_cancelled() && has_passed(&mut give_up_at, STOP_WAIT) => return None,
                Err(error) => self.trouble(&error, &mut troubled),
            }
            sleep(PAUSE).await;
        }
    }

    /// An id without a body is nothing that a script of ours leaves: its lease goes too.
    async fn forget(&self, run: RunId) {
        let mut command = redis::cmd("ZREM");
        if let Err(error) = self.side.query::<u64>(command.arg(self.keys.running()).arg(run)).await {
            // Recovery finds it when its lease ends.
            warn!(queue.name = %self.name(), error = &error as &dyn std::error::Error, "A job without a body keeps its lease");
        }
    }

    /// An entry that no producer of ours wrote: kept where people see it, out of the way of jobs.
    async fn set_aside(&self, raw: Vec<u8>) {
        warn!(queue.name = %self.name(), "An entry with an unreadable id is parked: {}", raw.escape_ascii());
        let member = [raw.as_slice(), b":1"].concat();
        if let Err(error) = store::set_aside(&self.side, &self.keys, &member).await {
            // Recovery finds it when its lease ends.
            warn!(queue.name = %self.name(), error = &error as &dyn std::error::Error, "It could not be parked: {error}");
        }
    }

    fn trouble(&self, error: &LinkError, troubled: &mut bool) {
        self.observe_trouble();
        if !*troubled {
            *troubled = true;
            warn!(
                queue.name = %self.name(), error = error as &dyn std::error::Error,
                "Queue {} cannot be fetched, trying again: {error}: {}", self.name(), error.redis(),
            );
        }
    }

    fn observe_answer(&self) {
        self.context.observer.observe(&Event::Fetched { queue: self.name() });
    }

    fn observe_trouble(&self) {
        self.context.observer.observe(&Event::Trouble { queue: self.name(), step: "fetch" });
    }

    fn name(&self) -> &str {
        &self.context.policy.name
    }
}

/// Runs of jobs, and ids that are none of ours.
fn told_apart(all: Vec<Fetched>) -> (Vec<(RunId, Fetched)>, Vec<Vec<u8>>) {
    let (mut ours, mut foreign) = (Vec::with_capacity(all.len()), Vec::new());
    for fetched in all {
        match fetched.id {
            Ok(id) => ours.push((RunId { id, run: fetched.marks.run + 1 }, fetched)),
            Err(raw) => foreign.push(raw),
        }
    }
    (ours, foreign)
}

/// True when this end has come; one that is not set yet lies `patience` ahead.
fn has_passed(end: &mut Option<Instant>, patience: Duration) -> bool {
    let now = Instant::now();
    *end.get_or_insert(now + patience) <= now
}

/// In which order one fetch looks at the ready lists. High comes first, but one round in eight starts with normal jobs
/// and one in eight with low ones, so nothing starves.
fn order(round: u64) -> [Priority; 3] {
    match round % 8 {
        7 => [Priority::Low, Priority::Normal, Priority::High],
        3 => [Priority::Normal, Priority::Low, Priority::High],
        _ => [Priority::High, Priority::Normal, Priority::Low],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_eight_fetches_one_starts_with_normal_jobs_and_one_with_low_ones() {
        let first = |priority| (0..8).filter(|round| order(*round)[0] == priority).count();

        assert_eq!([Priority::High, Priority::Normal, Priority::Low].map(first), [6, 1, 1]);
    }
}
