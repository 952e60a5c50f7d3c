//! Recipients that are left alone for a while, because they were sent too much.
//!
//! One pair of numbers may exchange about one message in six seconds. Who goes on in spite of a refusal is refused for
//! longer, and Meta asks to wait 4^n seconds after the n-th refusal in a row. Jobs for everybody else go on. The memory is
//! that of one process: another one learns it from its own refusal.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What a pair may exchange in the long run: one message in this time.
const PACE: Duration = Duration::from_secs(6);
/// Longest pause.
const LONGEST: Duration = Duration::from_hours(1);
/// Most recipients that are remembered.
const MOST: usize = 10_000;

/// The recipients that are left alone.
#[derive(Default)]
pub(super) struct PairPauses(Mutex<HashMap<Box<str>, Pause>>);

/// Numbers of people belong in no log.
impl fmt::Debug for PairPauses {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PairPauses").finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    /// Refusals in a row.
    refusals: u32,
    until: Instant,
}

impl Pause {
    /// A pause that ended this long ago says nothing any more.
    fn is_over(&self, now: Instant) -> bool {
        self.until + LONGEST < now
    }
}

impl PairPauses {
    /// How long this recipient is still left alone.
    pub(super) fn left(&self, to: &str, now: Instant) -> Option<Duration> {
        let pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.get(to)?.until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// A message was refused; answers how long to wait.
    pub(super) fn refused(&self, to: &str, now: Instant) -> Duration {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = pauses.get(to).filter(|pause| !pause.is_over(now)).map_or(0, |pause| pause.refusals);
        let refusals = before.saturating_add(1);
        let wait = Duration::from_secs(4_u64.saturating_pow(refusals)).min(LONGEST);
        if MOST <= pauses.len() && !pauses.contains_key(to) {
            pauses.retain(|_, pause| !pause.is_over(now));
        }
        if pauses.len() < MOST || pauses.contains_key(to) {
            pauses.insert(to.into(), Pause { refusals, until: now + wait });
        }
        wait
    }

    /// A message was taken. Whoever was left alone is written to at the pace of a pair, so that what has gathered does
    /// not go out at once and is refused again.
    pub(super) fn sent(&self, to: &str, now: Instant) {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match pauses.get_mut(to) {
            Some(pause) if pause.is_over(now) => drop(pauses.remove(to)),
            Some(pause) => *pause = Pause { refusals: 0, until: now + PACE },
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: &str = "+525512345678";

    #[test]
    fn each_refusal_in_a_row_makes_the_pause_four_times_longer_up_to_an_hour() {
        let (pairs, mut now) = (PairPauses::default(), Instant::now());

        for seconds in [4, 16, 64, 256, 1_024, 3_600, 3_600] {
            assert_eq!(pairs.refused(ANA, now), Duration::from_secs(seconds));
            assert_eq!(pairs.left(ANA, now), Some(Duration::from_secs(seconds)));
            now += Duration::from_secs(seconds);
            assert_eq!(pairs.left(ANA, now), None);
        }
    }

    #[test]
    fn others_are_written_to_meanwhile() {
        let (pairs, now) = (PairPauses::default(), Instant::now());

        pairs.refused(ANA, now);

        assert_eq!(pairs.left("+525500000000", now), None);
        pairs.sent("+525500000000", now);
        assert_eq!(pairs.left("+525500000000", now), None);
    }

    #[test]
    fn after_a_success_what_has_gathered_goes_out_at_the_pace_of_a_pair() {
        let (pairs, now) = (PairPauses::default(), Instant::now());
        pairs.refused(ANA, now);
        pairs.refused(ANA, now);

        pairs.sent(ANA, now);

        assert_eq!(pairs.left(ANA, now), Some(PACE));
        assert_eq!(pairs.refused(ANA, now), Duration::from_secs(4));
    }

    #[test]
    fn what_was_long_ago_is_forgotten_and_the_memory_is_bounded() {
        let (pairs, now) = (PairPauses::default(), Instant::now());
        for number in 0..MOST + 5 {
            pairs.refused(&number.to_string(), now);
        }
        assert_eq!(pairs.0.lock().unwrap().len(), MOST);

        let later = now + LONGEST * 2;
        assert_eq!(pairs.refused("0", later), Duration::from_secs(4));
        pairs.refused("new", later);

        assert_eq!(pairs.0.lock().unwrap().len(), 2);
    }
}
