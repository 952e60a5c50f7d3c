//! Each invariant accepts what is right and refuses what is wrong: one small story of each.

mod in_order;

use std::time::Duration;

use chrono::DateTime;
use flota_producer::JobId;

use super::{INVARIANTS, Terms, check};
use crate::chaos::{
    evidence::{Evidence, RunRow},
    history::{Carried, EVERYTHING, Entry, What},
    provider::{Effect, EffectKind},
    stories::ALL,
};

/// A story without servers: what was seen, second by second.
#[derive(Default)]
struct Seen {
    evidence: Evidence,
    terms: Terms,
    second: u64,
}

impl Seen {
    /// One second later, somebody writes something down.
    fn by(mut self, process: &str, what: What) -> Self {
        self.second += 1;
        let entry = Entry { process: process.to_owned(), ns: self.second * 1_000_000_000, what };
        self.evidence.history.push(entry);
        self
    }

    fn accepted(self, job: JobId) -> Self {
        self.by("story", What::Accepted { job })
    }

    fn started(self, worker: &str, job: JobId, run: u32) -> Self {
        self.by(worker, What::Started { job, run })
    }

    fn settled(self, worker: &str, job: JobId, run: u32, verdict: Carried) -> Self {
        self.by(worker, What::Settled { job, run, verdict })
    }

    fn fault(self, name: &str, target: &str) -> Self {
        let (fault, target) = (name.to_owned(), target.to_owned());
        self.by("story", What::FaultBegan { fault: fault.clone(), target: target.clone() })
            .by("story", What::FaultEnded { fault, target })
    }

    fn outcome(mut self, row: RunRow) -> Self {
        self.evidence.outcomes.push(row);
        self
    }

    fn attempt(mut self, row: RunRow) -> Self {
        self.evidence.attempts.push(row);
        self
    }

    fn effect(mut self, job: JobId, run: u32, attempt: u32) -> Self {
        let (worker, key) = (String::new(), job.to_string());
        let kind = EffectKind::Toy;
        self.evidence.effects.push(Effect { job, run, attempt, worker, key, ns: 0, kind });
        self
    }

    fn under(mut self, terms: Terms) -> Self {
        self.terms = terms;
        self
    }

    /// An accepted job that ran once, in one worker, and ended well.
    fn with_one_that_succeeds(self, job: JobId) -> Self {
        self.accepted(job)
            .started("worker-1", job, 1)
            .effect(job, 1, 1)
            .settled("worker-1", job, 1, Carried::Ended)
            .outcome(row(job, 1, 1, "succeeded"))
    }

    /// The invariants that do not hold.
    fn broken(&self) -> Vec<&'static str> {
        let mut broken: Vec<_> =
            check(&self.evidence, &self.terms).iter().map(|violation| violation.invariant).collect();
        broken.dedup();
        broken
    }
}

fn row(job: JobId, run: u32, attempt: u32, status: &str) -> RunRow {
    let finished_at = DateTime::UNIX_EPOCH;
    RunRow { job, run, attempt, status: status.to_owned(), class: None, finished_at, replay_of: None }
}

fn job() -> JobId {
    JobId::mint()
}

fn nothing() -> Seen {
    Seen::default()
}

#[test]
fn a_job_that_ran_once_and_ended_breaks_nothing() {
    let seen = nothing().with_one_that_succeeds(job());

    assert!(seen.broken().is_empty());
}

#[test]
fn i1_sees_an_accepted_job_without_an_outcome() {
    let lost = job();
    let seen = nothing().accepted(lost);

    assert_eq!(seen.broken(), ["I1"]);
    let allowed = seen.under(Terms { may_lose: Some(1), ..Terms::default() });
    assert!(allowed.broken().is_empty());
}

#[test]
fn i1_leaves_alone_what_was_never_accepted_for_certain() {
    let seen = nothing().by("story", What::Unknown { job: job() });

    assert!(seen.broken().is_empty());
}

#[test]
fn i2_sees_an_outcome_that_nobody_enqueued() {
    let seen = nothing().outcome(row(job(), 1, 1, "succeeded"));

    assert_eq!(seen.broken(), ["I2"]);
    let allowed = seen.under(Terms { other_producers: true, ..Terms::default() });
    assert!(allowed.broken().is_empty());
}

#[test]
fn i3_sees_a_job_that_ended_twice() {
    let twice = job();
    let seen = nothing().with_one_that_succeeds(twice).outcome(row(twice, 2, 2, "cancelled"));

    assert_eq!(seen.broken(), ["I3"]);
}

#[test]
fn i4_sees_two_runs_that_both_ended_their_job() {
    let job = job();
    let seen = nothing().with_one_that_succeeds(job).settled("worker-2", job, 0, Carried::Ended);

    assert_eq!(seen.broken(), ["I4"]);
}

#[test]
fn i4_lets_the_row_decide_where_a_reply_to_a_settle_was_lost() {
    let job = job();
    let seen = nothing()
        .by("worker-2", What::Trouble { step: "settle".to_owned() })
        .with_one_that_succeeds(job)
        .settled("worker-2", job, 0, Carried::Ended);

    assert!(seen.broken().is_empty());
}

#[test]
fn i5_sees_a_run_after_the_one_that_ended_the_job() {
    let job = job();
    let seen = nothing().with_one_that_succeeds(job).started("worker-2", job, 2);

    assert_eq!(seen.broken(), ["I5"]);
}

#[test]
fn i6_sees_a_gap_and_a_repetition_and_too_many_tries() {
    for (first, last) in [(1, 3), (1, 1), (2, 3)] {
        let job = job();
        let seen = nothing().accepted(job).attempt(row(job, 1, first, "failed")).outcome(row(
            job,
            2,
            last,
            "succeeded",
        ));
        assert_eq!(seen.broken(), ["I6"], "tries {first} and {last}");
    }
    let job = job();
    let right =
        nothing().accepted(job).attempt(row(job, 1, 1, "failed")).outcome(row(job, 2, 2, "succeeded"));

    assert!(right.broken().is_empty());
    let strict = right.under(Terms { max_attempts: Some(1), ..Terms::default() });
    assert_eq!(strict.broken(), ["I6"]);
}

#[test]
fn i6_lets_a_job_end_untried_that_was_set_aside_and_cancelled() {
    let untried = job();
    let seen = |status| nothing().accepted(untried).outcome(row(untried, 1, 0, status));

    assert!(seen("cancelled").broken().is_empty());
    assert_eq!(seen("succeeded").broken(), ["I6"]);
}

/// A job that had its effect in two workers, the first of which something may have happened to.
fn repeated(job: JobId, between: impl Fn(Seen) -> Seen) -> Seen {
    let first = nothing().accepted(job).started("worker-1", job, 1).effect(job, 1, 1);
    between(first)
        .started("worker-2", job, 2)
        .effect(job, 2, 1)
        .settled("worker-2", job, 2, Carried::Ended)
        .outcome(row(job, 2, 1, "succeeded"))
}

#[test]
fn i7_sees_an_effect_that_no_fault_repeated() {
    let of_nobody = repeated(job(), |seen| seen);
    let of_another = repeated(job(), |seen| seen.fault("killed", "worker-3"));

    assert_eq!(of_nobody.broken(), ["I7"]);
    assert_eq!(of_another.broken(), ["I7"]);
}

#[test]
fn i7_takes_a_fault_that_hit_the_first_run_for_the_reason() {
    let its_own = repeated(job(), |seen| seen.fault("killed", "worker-1"));
    let everybodys = repeated(job(), |seen| seen.fault("cut", EVERYTHING));

    assert!(its_own.broken().is_empty());
    assert!(everybodys.broken().is_empty());
    let strict = its_own.under(Terms { no_repeats: true, ..Terms::default() });
    assert_eq!(strict.broken(), ["I7"]);
}

#[test]
fn i8_sees_two_keys_of_one_job_and_one_key_of_two() {
    let (one, other) = (job(), job());
    let mut two_keys = nothing().with_one_that_succeeds(one).effect(one, 1, 2);
    two_keys.evidence.effects[1].key = "another".to_owned();
    let mut two_jobs = nothing().with_one_that_succeeds(one).with_one_that_succeeds(other);
    two_jobs.evidence.effects[1].key = one.to_string();

    assert_eq!(two_keys.broken(), ["I8"]);
    assert_eq!(two_jobs.broken(), ["I8"]);
}

#[test]
fn i12_sees_a_cancelled_job_that_starts_all_the_same() {
    let cancelled = job();
    let right = nothing()
        .accepted(cancelled)
        .by("story", What::Cancelled { job: cancelled, at_once: true })
        .outcome(row(cancelled, 0, 0, "cancelled"));
    assert!(right.broken().is_empty());

    let wrong = right.started("worker-1", cancelled, 1);

    assert!(wrong.broken().contains(&"I12"), "{:?}", wrong.broken());
}

#[test]
fn i12_lets_a_running_job_end_as_it_likes() {
    let asked = job();
    let seen =
        nothing().by("story", What::Cancelled { job: asked, at_once: false }).with_one_that_succeeds(asked);

    assert!(seen.broken().is_empty());
}

#[test]
fn i13_sees_a_start_while_the_queue_is_paused() {
    let (before, within) = (job(), job());
    let paused = nothing().with_one_that_succeeds(before).by("story", What::Paused);
    // The second that passes is what workers may take to hear of it.
    let wrong = paused.accepted(within).with_one_that_succeeds(within);
    assert_eq!(wrong.broken(), ["I13"]);

    let right = nothing().by("story", What::Paused).by("story", What::Resumed);

    assert!(right.with_one_that_succeeds(job()).broken().is_empty());
}

#[test]
fn i14_sees_a_dead_letter_replayed_twice_or_not_at_all() {
    let letter = job();
    let replay = |seen: Seen| {
        let job = job();
        seen.accepted(job).outcome(RunRow { replay_of: Some(letter), ..row(job, 1, 1, "succeeded") })
    };
    let replayed = || {
        let mut seen = nothing();
        seen.evidence.dead_letters.insert(letter, "replayed".to_owned());
        seen
    };

    assert!(replay(replayed()).broken().is_empty());
    assert_eq!(replay(replay(replayed())).broken(), ["I14"]);
    assert_eq!(replayed().broken(), ["I14"]);
}

#[test]
fn i15_sees_a_settled_run_that_postgres_does_not_have() {
    let job = job();
    let unrecorded = |verdict| nothing().started("worker-1", job, 1).settled("worker-1", job, 1, verdict);

    assert_eq!(unrecorded(Carried::Ended).broken(), ["I15"]);
    assert_eq!(unrecorded(Carried::Retried).broken(), ["I15"]);
    assert!(unrecorded(Carried::Excused).broken().is_empty());
}

#[test]
fn i16_and_i17_tell_what_the_looks_at_redis_found() {
    let mut nowhere = nothing();
    nowhere.evidence.unaccounted.push("toys: a job is nowhere".to_owned());
    let mut left = nothing();
    left.evidence.leftovers.push("flota:{toys}:refused (stream of 1)".to_owned());
    let mut unsent = nothing();
    unsent.evidence.outbox.push(job());

    assert_eq!(nowhere.broken(), ["I16"]);
    assert_eq!(left.broken(), ["I17"]);
    assert_eq!(unsent.broken(), ["I17"]);
    let allowed = left.under(Terms { refused_records: true, ..Terms::default() });
    assert!(allowed.broken().is_empty());
}

#[test]
fn i19_sees_a_job_that_waited_too_long_after_its_worker_was_killed() {
    let job = job();
    let seen = || repeated(job, |seen| seen.fault("killed", "worker-1"));
    let within = |seconds| Terms { picked_up_within: Some(Duration::from_secs(seconds)), ..Terms::default() };

    assert!(seen().under(within(2)).broken().is_empty());
    assert_eq!(seen().under(within(1)).broken(), ["I19"]);
}

#[test]
fn a_suspect_that_has_to_wait_for_its_turn_was_picked_up() {
    let job = job();
    let seen = nothing()
        .accepted(job)
        .started("worker-1", job, 1)
        .fault("killed", "worker-1")
        .settled("worker-2", job, 2, Carried::Excused)
        .started("worker-2", job, 3)
        .settled("worker-2", job, 3, Carried::Ended)
        .outcome(row(job, 3, 1, "succeeded"));

    let terms = Terms { picked_up_within: Some(Duration::from_secs(2)), ..Terms::default() };

    assert!(seen.under(terms).broken().is_empty());
}

#[test]
fn many_violations_of_one_invariant_are_cut_short() {
    let seen = (0..100).fold(nothing(), |seen, _| seen.accepted(job()));

    let violations = check(&seen.evidence, &seen.terms);

    assert_eq!(violations.len(), 6);
    assert_eq!(violations[5].what, "… and 95 more");
}

#[test]
fn every_invariant_has_a_number_of_its_own() {
    let mut ids: Vec<_> = INVARIANTS.iter().map(|invariant| invariant.id).collect();
    ids.sort_unstable();
    ids.dedup();

    assert_eq!(ids.len(), INVARIANTS.len());
}

#[test]
fn the_guarantees_name_every_invariant_and_only_stories_that_are_told() {
    let page = include_str!("../../../../docs/guarantees.md");
    let stories: Vec<&str> = ALL.iter().map(|story| story.name).collect();

    let missing = INVARIANTS.iter().map(|rule| format!("| {} | {} |", rule.id, rule.sentence));
    let missing: Vec<String> = missing.filter(|row| !page.contains(row)).collect();
    let windows = page.lines().filter(|line| line.starts_with("| W"));
    let proofs = windows.filter_map(|line| line.trim_end_matches(" |").rsplit(" | ").next());
    let told = proofs.filter(|proof| proof.starts_with("story") || proof.starts_with("stories"));
    let named: Vec<&str> = told.flat_map(|proof| proof.split('`').skip(1).step_by(2)).collect();

    assert_eq!(missing, Vec::<String>::new(), "docs/guarantees.md lacks these rows");
    assert!(10 < named.len(), "{named:?}");
    assert!(named.iter().all(|name| stories.contains(name)), "{named:?} are not all among {stories:?}");
}
