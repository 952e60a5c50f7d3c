//! Turns by what one process knows, for the time in which Redis does not answer. Pure; the time comes in.
//!
//! The same windows as everywhere, each with the whole allowance: nobody knows how many processes there are. Nobody is
//! given a turn ahead; who is too early comes again.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use flota_providers::pipeline::LimitKey;

use super::windows::Window;

/// Allowances that are remembered; those at rest are forgotten beyond.
const MOST: usize = 4_096;

/// When each window of each allowance is at rest again (the theoretical arrival time of GCRA).
#[derive(Default)]
pub(super) struct Estimate {
    rests: HashMap<LimitKey, Vec<Instant>>,
}

impl Estimate {
    /// A turn now, or how long until there is one.
    pub(super) fn take(&mut self, key: &LimitKey, windows: &[Window], now: Instant) -> Result<(), Duration> {
        if windows.is_empty() {
            return Ok(());
        }
        if MOST <= self.rests.len() {
            self.rests.retain(|_, rests| rests.iter().any(|rest| now < *rest));
        }
        let rests = self.rests.entry(key.clone()).or_default();
        rests.resize(windows.len(), now);
        let early = rests.iter().zip(windows).map(|(rest, window)| {
            let next = (*rest).max(now) + window.gap();
            next.saturating_duration_since(now + window.gap() * window.burst)
        });
        if let Some(wait) = early.max().filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        for (rest, window) in rests.iter_mut().zip(windows) {
            *rest = (*rest).max(now) + window.gap();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> LimitKey {
        LimitKey { provider: "whatsapp", tenant: "".into(), credential: "global".into() }
    }

    #[test]
    fn no_window_lets_more_through_than_its_calls_and_its_burst() {
        let windows =
            [Window::new(Duration::from_secs(1), 10, 2), Window::new(Duration::from_mins(1), 100, 10)];
        let (mut estimate, start, mut passed) = (Estimate::default(), Instant::now(), Vec::new());

        for millisecond in 0..120_000_u64 {
            let now = start + Duration::from_millis(millisecond);
            if estimate.take(&key(), &windows, now).is_ok() {
                passed.push(millisecond);
            }
        }

        for (length, most) in [(1_000, 12), (60_000, 110)] {
            let fullest = passed
                .iter()
                .map(|from| passed.iter().filter(|at| (*from..from + length).contains(*at)).count())
                .max()
                .unwrap();
            assert!(fullest <= most, "{fullest} in {length} ms");
        }
        assert!(200 <= passed.len(), "{}", passed.len());
    }

    #[test]
    fn the_wait_ends_when_there_is_a_turn() {
        let windows = [Window::new(Duration::from_secs(1), 4, 1)];
        let (mut estimate, now) = (Estimate::default(), Instant::now());
        estimate.take(&key(), &windows, now).unwrap();

        let wait = estimate.take(&key(), &windows, now).unwrap_err();

        assert_eq!(wait, Duration::from_millis(250));
        assert_eq!(estimate.take(&key(), &windows, now + wait), Ok(()));
    }
}
