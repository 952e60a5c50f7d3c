//! Says what a story's evidence proves: one function per invariant, numbered as in docs/guarantees.md.
//!
//! Pure: evidence in, violations out. The mutants (`mutants.rs`) show that each kind of bug is seen.

mod effects;
mod jobs;
mod order;
mod pick_up;
mod rest;
mod runs;

#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use super::evidence::Evidence;

/// Most violations of one invariant that are told one by one.
const MOST: usize = 5;

/// What a story is allowed. The default is what the default durability promises when no data is lost: nothing.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Redis loses acknowledged writes in this story (power loss with `everysec`, FLUSHALL): at most this many accepted
    /// jobs may be lost, and what had ended may run once more.
    pub may_lose: Option<usize>,
    /// Runs may be repeated even by faults that nobody told, such as a job that ends its own process.
    pub unannounced_faults: bool,
    /// No fault of this story may repeat an effect.
    pub no_repeats: bool,
    /// Outcomes that nobody enqueued belong to this story: replays, schedules, the outbox.
    pub other_producers: bool,
    /// Records that Postgres refused belong to this story.
    pub refused_records: bool,
    /// Most attempts that jobs of this story have.
    pub max_attempts: Option<u32>,
    /// By when the jobs of a killed worker must run again.
    pub picked_up_within: Option<Duration>,
}

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which one: `I1`.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// One rule: its number, its sentence, and who checks it.
pub struct Invariant {
    /// `I1` and so on.
    pub id: &'static str,
    /// What always holds.
    pub sentence: &'static str,
    check: fn(&Evidence, &Terms) -> Vec<String>,
}

/// Every rule.
pub const INVARIANTS: [Invariant; 16] = [
    Invariant { id: "I1", sentence: "Every accepted job has an outcome.", check: jobs::none_is_lost },
    Invariant {
        id: "I2",
        sentence: "Nothing has an outcome or an effect that nobody enqueued.",
        check: jobs::none_is_invented,
    },
    Invariant { id: "I3", sentence: "A job has one outcome.", check: jobs::one_outcome },
    Invariant {
        id: "I4",
        sentence: "A run is settled once, and one run ends the job.",
        check: runs::settled_once,
    },
    Invariant {
        id: "I5",
        sentence: "Nothing of a job starts after the run that ended it.",
        check: runs::nothing_after_the_end,
    },
    Invariant {
        id: "I6",
        sentence: "Tries count 1, 2, 3 without gap or repetition, up to the limit.",
        check: runs::tries_count_up,
    },
    Invariant {
        id: "I7",
        sentence: "An effect is repeated only by a fault that hit its run.",
        check: effects::repeats_are_explained,
    },
    Invariant {
        id: "I8",
        sentence: "All effects of a job carry one idempotency key, and no other job's.",
        check: effects::one_key_per_job,
    },
    Invariant {
        id: "I12",
        sentence: "A job that was cancelled before it started never starts.",
        check: rest::cancelled_is_cancelled,
    },
    Invariant {
        id: "I13",
        sentence: "Nothing starts while its queue is paused.",
        check: rest::paused_is_paused,
    },
    Invariant { id: "I14", sentence: "A dead letter is replayed once.", check: rest::replayed_once },
    Invariant {
        id: "I15",
        sentence: "What was settled as ended is in Postgres.",
        check: rest::everything_is_recorded,
    },
    Invariant {
        id: "I16",
        sentence: "A live job is in exactly one place.",
        check: rest::everything_is_accounted_for,
    },
    Invariant { id: "I17", sentence: "At the end nothing is left behind.", check: rest::nothing_is_left },
    Invariant {
        id: "I19",
        sentence: "Jobs of a killed worker are picked up again in time.",
        check: pick_up::in_time,
    },
    Invariant {
        id: "I20",
        sentence: "Of jobs in order none starts before those before it have ended.",
        check: order::one_after_the_other,
    },
];

/// Everything that did not hold.
pub fn check(evidence: &Evidence, terms: &Terms) -> Vec<Violation> {
    let mut violations = Vec::new();
    for invariant in &INVARIANTS {
        let found = (invariant.check)(evidence, terms);
        let more = found.len().saturating_sub(MOST);
        let told = found.into_iter().take(MOST);
        let violation = |what| Violation { invariant: invariant.id, what };
        violations.extend(told.map(violation));
        if 0 < more {
            violations.push(violation(format!("… and {more} more")));
        }
    }
    violations
}

pub use effects::repeated;
pub use jobs::{doubled, lost};
pub use pick_up::slowest;
