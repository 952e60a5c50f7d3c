//! Recovery: runs of vanished workers go back to ready.
//!
//! Two-phase. A run is a suspect when its lease has ended, and is returned only when it was seen so twice, two
//! heartbeats apart, with the same lease, over one unbroken connection, while the clock of Redis advanced as ours did.
//! Whatever made all leases look ended at once (a restart, a pause, a clock jump of Redis) is over by then, and live
//! workers have lengthened theirs. A look counts only where Redis takes writes: while it refuses them (a full disk), no
//! worker can lengthen a lease. [`Watch`] holds the rule of two looks and nothing else.
//!
//! A lease that ends later than any lease can was granted before the clock of Redis went back. It counts as ended too,
//! once nobody has lengthened it for as long as the longest lease of this queue lasts.

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
    store::{self, RunId, Suspect},
};

/// Most ended leases in one look.
const MOST: isize = 10_000;
/// Most runs in one call. All may be buried, each with its envelope, in one entry that recorders read with others: 5.6 MB.
const AT_ONCE: usize = 64;
/// Field of the `config` hash with the longest lease that any worker of the queue has had, in ms.
pub(crate) const LONGEST_LEASE: &str = "longest_lease";

/// What that field says. What cannot be read must not keep anything from being recovered, or published anew.
pub(crate) fn longest_lease_ms(field: Option<&[u8]>) -> u64 {
    field.and_then(|ms| std::str::from_utf8(ms).ok()?.parse().ok()).unwrap_or_default()
}

/// How far the clock of Redis may run away from ours between two looks.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(1);

pub(crate) struct Recoverer {
    pub(crate) queue: Arc<str>,
    pub(crate) worker: Arc<str>,
    /// Its own: a look counts by the connection that it came over, and whoever shares one may dial anew in between.
    pub(crate) link: Link,
    pub(crate) keys: QueueKeys,
    pub(crate) lease: Duration,
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
    /// Leases that have ended, or that end impossibly late.
    overdue: Vec<Overdue>,
    /// Members whose lease has ended and that are no runs.
    strays: Vec<Vec<u8>>,
    /// How long until the next lease ends.
    next: Option<Duration>,
}

/// A lease that may be one of a vanished worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Overdue {
    run: RunId,
    /// Its end, Unix ms.
    end_ms: u64,
    /// How long it has to stay like this before it is believed.
    patience: Duration,
}

/// What Redis says of the leases.
struct Leases {
    now_ms: u64,
    /// The longest lease that any worker of this queue has had.
    longest: Duration,
    /// Members with the ends of their leases: those that end first, then those that end last.
    first: Vec<(Vec<u8>, f64)>,
    last: Vec<(Vec<u8>, f64)>,
}

impl Leases {
    /// True when the lease has ended.
    fn has_ended(&self, end_ms: f64) -> bool {
        end_ms <= self.now_ms as f64
    }

    /// True when no lease that was granted by this clock can end so late.
    fn is_impossible(&self, end_ms: f64) -> bool {
        end_ms.is_finite() && (self.now_ms as f64) + 2.0 * (self.longest.as_millis() as f64) < end_ms
    }
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
            warn!(queue.name = %self.queue, "An entry that is no run is parked: {}", stray.escape_ascii());
            store::set_aside(&self.link, &self.keys, stray).await?;
        }
        let ripe = watch.see(look);
        for leases in ripe.chunks(AT_ONCE) {
            self.recover(leases).await?;
        }
        Ok(watch.pause(at, next))
    }

    async fn look(&self) -> Result<Look, LinkError> {
        let sent = Instant::now();
        // Most looks need only the earliest and the latest lease; the rest is read when there is something about those.
        // The very last member is the permanent one.
        let mut leases = self.leases(1, 2).await?;
        let some_ended = leases.first.iter().any(|(_, end)| leases.has_ended(*end));
        if some_ended || leases.last.iter().any(|(_, end)| leases.is_impossible(*end)) {
            leases = self.leases(MOST, MOST).await?;
        }
        let (mut overdue, mut strays) = (Vec::new(), Vec::new());
        let soon = self.heartbeat * 2;
        for (member, end) in leases.first.iter().filter(|(_, end)| leases.has_ended(*end)) {
            match RunId::read(member) {
                Some(run) => overdue.push(Overdue { run, end_ms: *end as u64, patience: soon }),
                None => strays.push(member.clone()),
            }
        }
        for (member, end) in leases.last.iter().filter(|(_, end)| leases.is_impossible(*end)) {
            if let Some(run) = RunId::read(member) {
                overdue.push(Overdue { run, end_ms: *end as u64, patience: soon.max(leases.longest) });
            }
        }
        let next =
            leases.first.iter().map(|(_, end)| *end).find(|end| !leases.has_ended(*end) && end.is_finite());
        Ok(Look {
            connection: self.link.dialled().await,
            at: sent,
            redis_ms: leases.now_ms,
            overdue,
            strays,
            next: next.map(|end| Duration::from_millis(end as u64 - leases.now_ms)),
        })
    }

    /// So many of the leases that end first, and of those that end last.
    async fn leases(&self, first: isize, last: isize) -> Result<Leases, LinkError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("TIME").cmd("HGET").arg(self.keys.config()).arg(LONGEST_LEASE);
        pipeline.cmd("ZRANGE").arg(self.keys.running()).arg(0).arg(first - 1).arg("WITHSCORES");
        pipeline.cmd("ZRANGE").arg(self.keys.running()).arg(-last).arg(-1).arg("WITHSCORES");
        // Changes nothing, but is refused where heartbeats are (a full disk, a replica): then no look counts.
        pipeline.cmd("ZREM").arg(self.keys.running()).arg("");
        type Members = Vec<(Vec<u8>, f64)>;
        type Reply = ((u64, u64), Option<Vec<u8>>, Members, Members, u64);
        let ((seconds, micros), longest, first, last, _): Reply = self.link.pipeline(&pipeline).await?;
        let longest = self.lease.max(Duration::from_millis(longest_lease_ms(longest.as_deref())));
        Ok(Leases { now_ms: seconds * 1000 + micros / 1000, longest, first, last })
    }

    async fn recover(&self, overdue: &[Overdue]) -> Result<(), LinkError> {
        let ids: Vec<JobId> = overdue.iter().map(|lease| lease.run.id).collect();
        let mut pipeline = redis::pipe();
        pipeline.cmd("HMGET").arg(self.keys.marks()).arg(&ids).cmd("HMGET").arg(self.keys.jobs()).arg(&ids);
        type Values = Vec<Option<Vec<u8>>>;
        let (marks, bodies): (Values, Values) = self.link.pipeline(&pipeline).await?;
        let suspects: Vec<Suspect> = overdue
            .iter()
            .zip(marks.into_iter().zip(bodies))
            .map(|(lease, (marks, body))| {
                let marks = Marks::read(marks.as_deref());
                self.suspect(*lease, &marks, body.as_deref().unwrap_or_default())
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

    fn suspect(&self, Overdue { run, end_ms, .. }: Overdue, marks: &Marks, body: &[u8]) -> Suspect {
        let buried = marks.is_poison(run.run, self.max_deliveries);
        let marks = marks.lost_lease(run.run, self.max_deliveries);
        let envelope = Envelope::decode(body).ok();
        let record = buried.then(|| poisoned(run, &marks, envelope.as_ref(), body).encode());
        Suspect {
            run,
            end_ms,
            marks: marks.to_string(),
            record: record.unwrap_or_default(),
            unique: envelope.as_ref().map(|envelope| self.keys.unique_of(envelope)).unwrap_or_default(),
            line: envelope.as_ref().map(|envelope| self.keys.line_of(envelope)).unwrap_or_default(),
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

/// Which overdue leases may be taken back.
struct Watch {
    heartbeat: Duration,
    last: Option<(u64, Instant, u64)>,
    /// Suspects, and when each was first seen as it is.
    seen: HashMap<RunId, (Instant, Overdue)>,
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

    /// Takes in one look. Answers the leases whose runs may be taken back.
    fn see(&mut self, look: Look) -> Vec<Overdue> {
        if !self.follows(&look) {
            self.seen.clear();
        }
        self.last = Some((look.connection, look.at, look.redis_ms));
        let mut seen = HashMap::with_capacity(look.overdue.len());
        let mut ripe = Vec::new();
        for lease in look.overdue {
            let first = match self.seen.get(&lease.run) {
                Some((first, before)) if before.end_ms == lease.end_ms => *first,
                _ => look.at,
            };
            if lease.patience <= look.at.duration_since(first) {
                ripe.push(lease);
            } else {
                seen.insert(lease.run, (first, lease));
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
            self.seen.values().map(|(first, lease)| (*first + lease.patience).duration_since(now)).min();
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
        patience: Duration,
    }

    impl Story {
        fn new() -> Self {
            let run = RunId { id: JobId::mint(), run: 1 };
            Self { watch: Watch::new(BEAT), start: Instant::now(), run, patience: BEAT * 2 }
        }

        /// One look: our clock, the clock of Redis, the connection, and the end of the lease when it has ended.
        fn look(&mut self, ours: u64, redis: u64, connection: u64, lease: Option<u64>) -> bool {
            let patience = self.patience;
            let ripe = self.watch.see(Look {
                connection,
                at: self.start + Duration::from_secs(ours),
                redis_ms: redis * 1000,
                overdue: lease
                    .map(|end_ms| Overdue { run: self.run, end_ms, patience })
                    .into_iter()
                    .collect(),
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
    fn a_lease_that_ends_impossibly_late_is_watched_for_longer() {
        let mut story = Story { patience: BEAT * 6, ..Story::new() };

        let believed = (0..=6).map(|beat| story.look(beat * 5, 100 + beat * 5, 1, Some(3_700)));

        assert_eq!(believed.collect::<Vec<_>>(), [false, false, false, false, false, false, true]);
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
