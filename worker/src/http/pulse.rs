//! When each loop of this process last had an answer: what readiness is judged by.
//!
//! An open socket says little. A worker is ready when its fetches are answered and its history is written, so both
//! loops leave a mark after every round trip, and the page shows how old it is.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use flota_engine::{Event, Observer};
use serde::Serialize;
use tokio::time::Instant;

/// Age from which on a loop counts as stuck: three waits at the bell, which end after five seconds each.
const STALE: Duration = Duration::from_secs(15);

/// The last round trip of every loop, by its step and queue.
#[derive(Debug, Default)]
pub struct Pulse {
    beats: Mutex<BTreeMap<(&'static str, String), Mark>>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Instant,
    failed: bool,
}

/// How one loop is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Beat {
    /// `fetch` or `record`.
    pub step: &'static str,
    /// Its queue.
    pub queue: String,
    /// How long ago it last had an answer; since it was expected first, if it never had one.
    pub age_ms: u64,
    /// True when it had one lately, and has met no trouble since.
    pub well: bool,
}

impl Pulse {
    /// Expects these loops: until they have had their first answer they are not well.
    pub fn expect<'a>(&self, step: &'static str, queues: impl IntoIterator<Item = &'a str>) {
        let mark = Mark { at: Instant::now(), failed: true };
        self.lock().extend(queues.into_iter().map(|queue| ((step, queue.to_owned()), mark)));
    }

    /// A loop had an answer.
    pub fn answered(&self, step: &'static str, queue: &str) {
        if let Some(mark) = self.lock().get_mut(&(step, queue.to_owned())) {
            *mark = Mark { at: Instant::now(), failed: false };
        }
    }

    /// A loop had none, or was refused. Its age goes on.
    pub fn troubled(&self, step: &'static str, queue: &str) {
        if let Some(mark) = self.lock().get_mut(&(step, queue.to_owned())) {
            mark.failed = true;
        }
    }

    /// Every loop as it is at this time, in the order of steps and queues.
    pub fn beats(&self, now: Instant) -> Vec<Beat> {
        let beat = |((step, queue), mark): (&(&'static str, String), &Mark)| {
            let age = now.saturating_duration_since(mark.at);
            let well = !mark.failed && age < STALE;
            Beat { step, queue: queue.clone(), age_ms: age.as_millis() as u64, well }
        };
        self.lock().iter().map(beat).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(&'static str, String), Mark>> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Pulse {
    fn observe(&self, event: &Event<'_>) {
        match *event {
            Event::Fetched { queue } => self.answered("fetch", queue),
            Event::Trouble { queue, step: "fetch" } => self.troubled("fetch", queue),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well(pulse: &Pulse, now: Instant) -> Vec<bool> {
        pulse.beats(now).iter().map(|beat| beat.well).collect()
    }

    #[test]
    fn a_loop_is_well_after_an_answer_until_trouble_or_silence() {
        let pulse = Pulse::default();
        pulse.expect("fetch", ["email"]);
        assert_eq!(well(&pulse, Instant::now()), [false], "nothing was answered yet");

        pulse.observe(&Event::Fetched { queue: "email" });
        assert_eq!(well(&pulse, Instant::now()), [true]);
        pulse.observe(&Event::Trouble { queue: "email", step: "fetch" });
        assert_eq!(well(&pulse, Instant::now()), [false]);

        pulse.observe(&Event::Fetched { queue: "email" });
        pulse.observe(&Event::Trouble { queue: "email", step: "settle" });
        assert_eq!(well(&pulse, Instant::now()), [true], "the trouble of another loop is not its own");
        assert_eq!(well(&pulse, Instant::now() + STALE), [false], "a silent loop is stuck");
    }
}
