//! Two jobs of one line, in order and not; and what such stories showed of cancellations.

use super::*;

/// One job and the next of its line: the first run fails, the second has its effect and ends it.
fn two_in_order(next_starts_early: bool) -> Seen {
    let (first, next) = (JobId::mint(), JobId::mint());
    let in_order = |job| What::InOrder { job, line: "a".to_owned() };
    let mut seen = Seen::default().accepted(first).by("story", in_order(first));
    seen = seen.accepted(next).by("story", in_order(next));
    seen = seen.started("worker-1", first, 1).settled("worker-1", first, 1, Carried::Retried);
    if next_starts_early {
        seen = seen.started("worker-2", next, 1);
    }
    seen = seen.started("worker-1", first, 2).settled("worker-1", first, 2, Carried::Ended);
    if !next_starts_early {
        seen = seen.started("worker-2", next, 1);
    }
    seen = seen.settled("worker-2", next, 1, Carried::Ended);
    let retried = row(first, 1, 1, "retried");
    seen.attempt(retried).outcome(row(first, 2, 2, "succeeded")).outcome(row(next, 1, 1, "succeeded"))
}

#[test]
fn i20_sees_a_job_that_starts_before_the_one_before_it_has_ended() {
    assert_eq!(two_in_order(false).broken(), [""; 0]);
    assert_eq!(two_in_order(true).broken(), ["I20"]);
}

#[test]
fn i4_and_i6_take_a_job_that_was_cancelled_between_two_tries_for_one_run() {
    let job = job();
    let seen = Seen::default()
        .accepted(job)
        .started("worker-1", job, 1)
        .settled("worker-1", job, 1, Carried::Retried)
        .attempt(row(job, 1, 1, "retried"))
        .outcome(row(job, 1, 1, "cancelled"));

    assert_eq!(seen.broken(), [""; 0]);
}
