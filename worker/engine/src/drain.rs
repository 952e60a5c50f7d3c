//! One time limit for the whole drain, and how it is divided.
//!
//! Whoever sends SIGTERM kills some time later (Kubernetes after 30 s, systemd after 90 s), and what has not been given
//! back by then costs a lease and a suspicion. So every step of the way has its end, and together they keep a limit of ten
//! seconds or more; a shorter one they exceed, by two seconds at most, because giving jobs back has two in any case.

use std::time::Duration;

/// Shares of a drain, from SIGTERM to the end of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainTime {
    /// For runs to finish.
    pub finish: Duration,
    /// For the rest to be stopped and given back.
    pub release: Duration,
    /// For the last outcomes to be recorded.
    pub record: Duration,
}

/// What comes after the runs takes this long at least, however short the limit is, and at most.
const WRAP_UP: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(5));

impl DrainTime {
    /// Divides `whole`: four fifths for runs to finish, all but five seconds when it is long.
    pub fn of(whole: Duration) -> Self {
        let fifth = whole / 5;
        let wrap_up = fifth.clamp(WRAP_UP.0, WRAP_UP.1);
        let finish = whole.saturating_sub(fifth.min(WRAP_UP.1));
        Self { finish, release: wrap_up * 3 / 5, record: wrap_up * 2 / 5 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_keep_the_limit() {
        for seconds in [10, 25, 600] {
            let time = DrainTime::of(Duration::from_secs(seconds));

            assert_eq!((time.finish + time.release + time.record).as_secs(), seconds);
            assert!(Duration::from_secs(2) <= time.release + time.record);
        }
    }

    #[test]
    fn without_any_time_there_is_still_some_to_give_jobs_back() {
        let time = DrainTime::of(Duration::ZERO);

        assert_eq!((time.finish, time.release + time.record), (Duration::ZERO, WRAP_UP.0));
    }
}
