//! The series of one queue, and of one kind in it. Those of runs are made when they are first needed and then kept: most
//! combinations of outcome and class never occur.

use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

use flota_engine::{ErrorClass, Verdict};
use metrics::{Counter, Histogram, counter, histogram};

use super::OTHER;
use crate::telemetry::metrics::{
    JOB_ATTEMPTS, JOB_DURATION, JOBS_PROMOTED, JOBS_RECOVERED, JOBS_UNPARKED, LEASES_LOST, QUEUES_WIPED,
};

/// Label of attempts without an error.
const NO_CLASS: &str = "none";
/// One series per error class, and one for none.
const CLASSES: usize = ErrorClass::ALL.len() + 1;

/// What became of a job after a run, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Succeeded,
    Retried,
    Parked,
    Dead,
    Cancelled,
    Expired,
    Released,
    Shelved,
}

const OUTCOMES: usize = Outcome::Shelved as usize + 1;

impl Outcome {
    pub(super) fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Complete => Self::Succeeded,
            Verdict::Retry(_) => Self::Retried,
            Verdict::Park(_) => Self::Parked,
            Verdict::Bury => Self::Dead,
            Verdict::Cancel => Self::Cancelled,
            Verdict::Expire => Self::Expired,
            Verdict::Release => Self::Released,
            Verdict::Shelve => Self::Shelved,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Retried => "retried",
            Self::Parked => "parked",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Released => "released",
            Self::Shelved => "shelved",
        }
    }

    /// False when the job ended, or was put off, before a processor saw it: too late, unknown kind, unreadable, or
    /// quarantined (put off without any failure).
    fn ran(self, class: Option<ErrorClass>) -> bool {
        match self {
            Self::Expired | Self::Shelved => false,
            Self::Parked => class.is_some(),
            _ => class != Some(ErrorClass::Undecodable),
        }
    }
}

/// The series of one queue.
pub(super) struct QueueSeries {
    name: String,
    /// Four kilobytes each, and most kinds never come here.
    kinds: BTreeMap<String, OnceLock<Box<KindSeries>>>,
    other: OnceLock<Box<KindSeries>>,
}

impl QueueSeries {
    pub(super) fn new(name: &str, kinds: &[&str]) -> Self {
        let kinds = kinds.iter().map(|kind| ((*kind).to_owned(), OnceLock::new()));
        Self { name: name.to_owned(), kinds: kinds.collect(), other: OnceLock::new() }
    }

    /// Lets rare counters exist before they first count: an alert on their increase needs the 0 before the 1.
    pub(super) fn start_at_zero(&self) {
        let recovered = [self.recovered("ready"), self.recovered("dead")];
        let rare = [self.leases_lost(), self.promoted(), self.unparked(), self.wiped()];
        recovered.into_iter().chain(rare).for_each(|counter| counter.increment(0));
    }

    pub(super) fn name(&self) -> String {
        self.name.clone()
    }

    pub(super) fn kind(&self, kind: &str) -> &KindSeries {
        let (kind, series) = self.kinds.get(kind).map_or((OTHER, &self.other), |series| (kind, series));
        series.get_or_init(|| Box::new(KindSeries::new(&self.name, kind)))
    }

    pub(super) fn leases_lost(&self) -> Counter {
        counter!(LEASES_LOST, "queue" => self.name())
    }

    pub(super) fn wiped(&self) -> Counter {
        counter!(QUEUES_WIPED, "queue" => self.name())
    }

    pub(super) fn promoted(&self) -> Counter {
        counter!(JOBS_PROMOTED, "queue" => self.name())
    }

    pub(super) fn unparked(&self) -> Counter {
        counter!(JOBS_UNPARKED, "queue" => self.name())
    }

    pub(super) fn recovered(&self, result: &'static str) -> Counter {
        counter!(JOBS_RECOVERED, "queue" => self.name(), "result" => result)
    }
}

/// The series of one kind of job in one queue.
pub(super) struct KindSeries {
    queue: String,
    kind: String,
    attempts: [[OnceLock<Counter>; CLASSES]; OUTCOMES],
    durations: [OnceLock<Histogram>; OUTCOMES],
}

impl KindSeries {
    fn new(queue: &str, kind: &str) -> Self {
        let (queue, kind) = (queue.to_owned(), kind.to_owned());
        Self { queue, kind, attempts: Default::default(), durations: Default::default() }
    }

    /// A run ended after this long.
    pub(super) fn settled(&self, outcome: Outcome, class: Option<ErrorClass>, ran: Duration) {
        let position = class.map_or(0, |class| class.index() + 1);
        self.attempts[outcome as usize][position].get_or_init(|| self.attempt(outcome, class)).increment(1);
        if outcome.ran(class) {
            self.durations[outcome as usize].get_or_init(|| self.duration(outcome)).record(ran);
        }
    }

    fn attempt(&self, outcome: Outcome, class: Option<ErrorClass>) -> Counter {
        counter!(
            JOB_ATTEMPTS, "queue" => self.queue.clone(), "kind" => self.kind.clone(),
            "outcome" => outcome.word(), "error_class" => class.map_or(NO_CLASS, ErrorClass::word),
        )
    }

    fn duration(&self, outcome: Outcome) -> Histogram {
        histogram!(
            JOB_DURATION, "queue" => self.queue.clone(), "kind" => self.kind.clone(), "outcome" => outcome.word(),
        )
    }
}
