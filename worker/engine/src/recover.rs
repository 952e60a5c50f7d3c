//! Recovery: runs of vanished workers go back to ready.
//!
//! Two-phase. A run is a suspect when its lease has ended, and is returned only when it was seen so twice, two
//! heartbeats apart, with the same lease, over one unbroken connection, while the clock of Redis advanced as ours did.
//! Whatever made all leases look ended at once (a restart, a pause, a clock jump of Redis) is over by then, and live
//! workers have lengthened theirs. [`Watch`] holds that rule and nothing else.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use flota_producer::{
    Envelope, JobId,
    keys::QueueKeys,
    link::{Link, LinkError},
};
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::{
    event::{Event, Observer},
    failure::{ErrorClass, Failure, Remedy},
    marks::Marks,
    record::{Record, Status},
    store::{self, BATCH, RunId, Suspect},
};

/// Most ended leases in one look.
const MOST: isize = 10_000;
/// How far the clock of Redis may run away from ours between two looks.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(1);

pub(crate) struct Recoverer {
    pub(crate) queue: Arc<str>,
    pub(crate) worker: Arc<str>,
    pub(crate) link: Link,
    pub(crate) keys: QueueKeys,
    pub(crate) heartbeat: Duration,
    pub(crate) max_deliveries: u32,
    pub(crate) observer: Arc<dyn Observer>,
}

/// What one look at the leases showed.
struct Look {
    /// Number of the connection it came over.
    connection: u64,
    /// When, by our monotonic clock.
    at: Instant,
    /// When, by Redis, Unix ms.
    redis_ms: u64,
    /// Ended leases: run and end, Unix ms.
    ended: Vec<(RunId, u64)>,
    /// Members whose lease has ended and that are no runs.
    strays: Vec<Vec<u8>>,
    /// How long until the next lease ends.
    next: Option<Duration>,
}

impl Recoverer {
    /// Watches for ever.
    pub(crate) async fn run(self) {
        let mut watch = Watch::new(self.heartbeat);
        loop {
            let pause = match self.once(&mut watch).await {
                Ok(pause) => pause,
                Err(error) => {
                    debug!(queue.name = %self.queue, error = &error as &dyn std::error::Error, "Recovery waits for Redis");
                    self.observer.observe(&Event::Trouble { queue: &self.queue, step: "recover" });
                    watch.forget();
                    self.heartbeat / 4
                }
            };
            sleep(pause).await;
        }
    }

    /// One look. Answers how long to wait for the next.
    async fn once(&self, watch: &mut Watch) -> Result<Duration, LinkError> {
        let look = self.look().await?;
        let (at, next) = (look.at, look.next);
        for stray in &look.strays {
            warn!(queue.name = %self.queue, "An entry that is no run is parked: {}", String::from_utf8_lossy(stray));
            store::set_aside(&self.link, &self.keys, stray).await?;
        }
        let ripe = watch.see(look);
        for runs in ripe.chunks(BATCH) {
            self.recover(runs).await?;
        }
        Ok(watch.pause(at, next))
    }

    async fn look(&self) -> Result<Look, LinkError> {
        let sent = Instant::now();
        // Most looks need only the earliest lease; the rest is read when that one has ended.
        let (now_ms, leases) = match self.leases(1).await? {
            (now_ms, leases) if leases.first().is_some_and(|(_, end)| *end <= now_ms as f64) => {
                self.leases(MOST).await?
            }
            earliest => earliest,
        };
        let (mut ended, mut strays) = (Vec::new(), Vec::new());
        for (member, end) in leases.iter().filter(|(_, end)| *end <= now_ms as f64) {
            match std::str::from_utf8(member).ok().and_then(RunId::parse) {
                Some(run) => ended.push((run, *end as u64)),
                None => strays.push(member.clone()),
            }
        }
        let next = leases.iter().map(|(_, end)| *end).find(|end| (now_ms as f64) < *end && end.is_finite());
        Ok(Look {
            connection: self.link.dialled().await,
            at: sent,
            redis_ms: now_ms,
            ended,
            strays,
            next: next.map(|end| Duration::from_millis(end as u64 - now_ms)),
        })
    }

    /// The time of Redis in Unix ms, and the earliest leases: member and end.
    async fn leases(&self, most: isize) -> Result<(u64, Vec<(Vec<u8>, f64)>), LinkError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("TIME").cmd("ZRANGE").arg(self.keys.running()).arg(0).arg(most - 1).arg("WITHSCORES");
        type Reply = ((u64, u64), Vec<(Vec<u8>, f64)>);
        let ((seconds, micros), leases): Reply = self.link.pipeline(&pipeline).await?;
        Ok((seconds * 1000 + micros / 1000, leases))
    }

    async fn recover(&self, runs: &[RunId]) -> Result<(), LinkError> {
        let ids: Vec<JobId> = runs.iter().map(|run| run.id).collect();
        let mut pipeline = redis::pipe();
        pipeline.cmd("HMGET").arg(self.keys.marks()).arg(&ids).cmd("HMGET").arg(self.keys.jobs()).arg(&ids);
        let (marks, bodies): (Vec<Option<String>>, Vec<Option<Vec<u8>>>) =
            self.link.pipeline(&pipeline).await?;
        let suspects: Vec<Suspect> = runs
            .iter()
            .zip(marks.into_iter().zip(bodies))
            .map(|(run, (marks, body))| {
                let marks = marks.map_or_else(Marks::default, |line| Marks::parse(&line));
                self.suspect(*run, &marks, body.as_deref().unwrap_or_default())
            })
            .collect();
        let (ready_again, buried) = store::recover(&self.link, &self.keys, &self.worker, &suspects).await?;
        if 0 < ready_again + buried {
            warn!(
                queue.name = %self.queue, ready_again, buried,
                "Recovered {ready_again} runs of queue {} whose worker vanished, buried {buried}", self.queue,
            );
            self.observer.observe(&Event::Recovered { queue: &self.queue, ready_again, buried });
        }
        Ok(())
    }

    fn suspect(&self, run: RunId, marks: &Marks, body: &[u8]) -> Suspect {
        let buried = marks.is_poison(run.run, self.max_deliveries);
        let marks = marks.lost_lease(run.run, self.max_deliveries);
        let envelope = Envelope::decode(body).ok();
        let record = buried.then(|| poisoned(run, &marks, envelope.as_ref(), body).encode());
        Suspect {
            run,
            marks: marks.to_string(),
            record: record.unwrap_or_default(),
            unique: envelope.as_ref().map(|envelope| self.keys.unique_of(envelope)).unwrap_or_default(),
            priority: envelope.map(|envelope| envelope.priority).unwrap_or_default(),
        }
    }
}

fn poisoned(run: RunId, marks: &Marks, envelope: Option<&Envelope>, body: &[u8]) -> Record {
    let message = format!(
        "its worker vanished {} times while it ran, at last with nothing else running there",
        marks.deliveries
    );
    let failure = Failure::new(ErrorClass::Poison, Remedy::Bury, message);
    let mut record = match envelope {
        Some(envelope) => Record::of(run.id, envelope, Status::Dead),
        None => Record::unreadable(run.id, Status::Dead),
    };
    record.run = run.run;
    record.attempt = marks.attempt + 1;
    record.with_failure(&failure).with_envelope(body)
}

/// Which ended leases may be taken back.
struct Watch {
    heartbeat: Duration,
    last: Option<(u64, Instant, u64)>,
    /// Suspects: when each was first seen, and the end of its lease then.
    seen: HashMap<RunId, (Instant, u64)>,
}

impl Watch {
    fn new(heartbeat: Duration) -> Self {
        Self { heartbeat, last: None, seen: HashMap::new() }
    }

    /// Starts over: something was not as it should be.
    fn forget(&mut self) {
        self.last = None;
        self.seen.clear();
    }

    /// Takes in one look. Answers the runs that may be taken back.
    fn see(&mut self, look: Look) -> Vec<RunId> {
        if !self.follows(&look) {
            self.seen.clear();
        }
        self.last = Some((look.connection, look.at, look.redis_ms));
        let mut seen = HashMap::with_capacity(look.ended.len());
        let mut ripe = Vec::new();
        for (run, lease) in look.ended {
            let first = match self.seen.get(&run) {
                Some((first, its_lease)) if *its_lease == lease => *first,
                _ => look.at,
            };
            if self.heartbeat * 2 <= look.at.duration_since(first) {
                ripe.push(run);
            } else {
                seen.insert(run, (first, lease));
            }
        }
        self.seen = seen;
        ripe
    }

    /// True when nothing suspicious lies between the last look and this one.
    fn follows(&self, look: &Look) -> bool {
        let Some((connection, at, redis_ms)) = self.last else { return false };
        let ours = look.at.duration_since(at);
        let theirs = Duration::from_millis(look.redis_ms.saturating_sub(redis_ms));
        connection == look.connection
            && ours <= self.heartbeat * 2
            && ours.abs_diff(theirs) <= CLOCK_TOLERANCE
    }

    /// How long until the next look is worth it.
    fn pause(&self, now: Instant, next: Option<Duration>) -> Duration {
        let ripe =
            self.seen.values().map(|(first, _)| (*first + self.heartbeat * 2).duration_since(now)).min();
        let soonest = ripe.into_iter().chain(next).min().unwrap_or(self.heartbeat);
        soonest.clamp(Duration::from_millis(20), self.heartbeat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_secs(5);

    struct Story {
        watch: Watch,
        start: Instant,
        run: RunId,
    }

    impl Story {
        fn new() -> Self {
            Self { watch: Watch::new(BEAT), start: Instant::now(), run: RunId { id: JobId::mint(), run: 1 } }
        }

        /// One look: our clock, the clock of Redis, the connection, and the end of the lease when it has ended.
        fn look(&mut self, ours: u64, redis: u64, connection: u64, lease: Option<u64>) -> bool {
            let ripe = self.watch.see(Look {
                connection,
                at: self.start + Duration::from_secs(ours),
                redis_ms: redis * 1000,
                ended: lease.map(|lease| (self.run, lease)).into_iter().collect(),
                strays: Vec::new(),
                next: None,
            });
            !ripe.is_empty()
        }
    }

    #[test]
    fn a_vanished_worker_is_believed_after_two_heartbeats() {
        let mut story = Story::new();

        assert!(!story.look(0, 100, 1, Some(99)));
        assert!(!story.look(5, 105, 1, Some(99)));
        assert!(story.look(10, 110, 1, Some(99)));
    }

    #[test]
    fn a_lengthened_lease_starts_the_count_again() {
        let mut story = Story::new();

        story.look(0, 100, 1, Some(99));
        story.look(5, 105, 1, Some(104));
        assert!(!story.look(10, 110, 1, Some(104)));
    }

    #[test]
    fn a_new_connection_a_gap_and_a_clock_jump_start_the_count_again() {
        for (ours, redis, connection) in [(9, 109, 2), (60, 160, 1), (9, 3_709, 1)] {
            let mut story = Story::new();

            story.look(0, 100, 1, Some(99));
            story.look(5, 105, 1, Some(99));
            assert!(!story.look(ours, redis, connection, Some(99)));
            assert!(!story.look(ours + 5, redis + 5, connection, Some(99)));
        }
    }
}
