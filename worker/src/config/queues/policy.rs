//! The layers of one queue → its [`QueuePolicy`]. Here it is checked that settings fit together.

use std::time::Duration;

use flota_engine::{ErrorClass, QueuePolicy, RetryPolicy};

use super::{
    check::{Layer, Place, Setting},
    keys::{
        BACKOFF_BASE, BACKOFF_CAP, CONCURRENCY, HEARTBEAT, KEYS, Key, LEASE, MAX_ATTEMPTS, MAX_DELIVERIES,
        MAX_LEN, PARK, TIMEOUT, spoken,
    },
    problem::{Document, Problem},
};

/// The settings of one queue, nearest layer first.
pub(super) struct Layers<'a> {
    pub(super) queue: &'a Layer,
    pub(super) defaults: &'a Layer,
}

impl Layers<'_> {
    /// Everything that the engine needs to know of this queue.
    pub(super) fn policy(&self, name: &str) -> QueuePolicy {
        let time = |key| Duration::from_millis(self.value(key));
        QueuePolicy {
            name: name.into(),
            concurrency: self.value(&CONCURRENCY) as usize,
            lease: time(&LEASE),
            heartbeat: time(&HEARTBEAT),
            timeout: time(&TIMEOUT),
            max_attempts: self.value(&MAX_ATTEMPTS) as u32,
            max_deliveries: self.value(&MAX_DELIVERIES) as u32,
            max_len: self.value(&MAX_LEN),
            park: time(&PARK),
            retry: RetryPolicy {
                base: time(&BACKOFF_BASE),
                cap: time(&BACKOFF_CAP),
                delays: self.delays(),
                tries: self.tries(),
            },
        }
    }

    /// The nearest plan of delays; a queue that says `base` or `cap` has none.
    fn delays(&self) -> Vec<Duration> {
        let doubles = self.queue.get(&BACKOFF_BASE).or(self.queue.get(&BACKOFF_CAP)).is_some();
        let inherited = self.defaults.delays.as_ref().filter(|_| !doubles);
        self.queue.delays.as_ref().or(inherited).cloned().unwrap_or_default()
    }

    /// Tells settings that cannot go together.
    pub(super) fn fit_together(&self, document: Document<'_>, problems: &mut Vec<Problem>) {
        let misfits = [self.lease_and_heartbeat(), self.base_and_cap()];
        for (place, sentence) in misfits.into_iter().flatten() {
            let problem = document.problem(place.at, format!("{} = {} {sentence}", place.key, place.written));
            // Several queues may inherit the same bad pair from [defaults]: it is one problem.
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }

    /// Fewer than two heartbeats in a lease, and one lost packet looks like a dead worker.
    fn lease_and_heartbeat(&self) -> Option<(Place, String)> {
        let (lease, heartbeat) = (self.setting(&LEASE), self.setting(&HEARTBEAT));
        if 2 * heartbeat.value <= lease.value || self.unclear(&LEASE) || self.unclear(&HEARTBEAT) {
            return None;
        }
        let shortest = LEASE.written((2 * heartbeat.value).max(LEASE.least));
        let longest = HEARTBEAT.written((lease.value / 2).max(HEARTBEAT.least));
        let (lease_text, heartbeat_text) = (spoken(lease.value), spoken(heartbeat.value));
        self.blame(
            (&LEASE, lease, format!("is shorter than two heartbeats of {heartbeat_text}; write at least {shortest}, or a shorter heartbeat")),
            (&HEARTBEAT, heartbeat, format!("is longer than half of the lease of {lease_text}; write at most {longest}, or a longer lease")),
        )
    }

    fn base_and_cap(&self) -> Option<(Place, String)> {
        let (base, cap) = (self.setting(&BACKOFF_BASE), self.setting(&BACKOFF_CAP));
        if base.value <= cap.value || self.unclear(&BACKOFF_BASE) || self.unclear(&BACKOFF_CAP) {
            return None;
        }
        let (longest, shortest) = (BACKOFF_BASE.written(cap.value), BACKOFF_CAP.written(base.value));
        let (base_text, cap_text) = (spoken(base.value), spoken(cap.value));
        self.blame(
            (
                &BACKOFF_BASE,
                base,
                format!("is longer than the cap of {cap_text}; write at most {longest}, or a longer cap"),
            ),
            (
                &BACKOFF_CAP,
                cap,
                format!(
                    "is shorter than the base of {base_text}; write at least {shortest}, or a shorter base"
                ),
            ),
        )
    }

    /// The setting that was written nearest to the queue is the one to change; of two, the first.
    fn blame(
        &self,
        first: (&Key, Setting, String),
        second: (&Key, Setting, String),
    ) -> Option<(Place, String)> {
        let distance = |key: &Key| {
            if self.queue.get(key).is_some() { 0 } else { 1 + u8::from(self.defaults.get(key).is_none()) }
        };
        let (_, setting, sentence) = if distance(first.0) <= distance(second.0) { first } else { second };
        Some((setting.place?, sentence))
    }

    fn tries(&self) -> [u32; ErrorClass::ALL.len()] {
        let mut tries = [1; ErrorClass::ALL.len()];
        for key in &KEYS {
            if let Some(class) = key.name.strip_prefix("tries.").and_then(ErrorClass::from_word) {
                tries[class.index()] = self.value(key) as u32;
            }
        }
        tries
    }

    /// True when the value that counts was refused, so that it cannot be compared.
    fn unclear(&self, key: &Key) -> bool {
        self.queue.is_refused(key) || (self.queue.get(key).is_none() && self.defaults.is_refused(key))
    }

    fn value(&self, key: &Key) -> u64 {
        self.setting(key).value
    }

    fn setting(&self, key: &Key) -> Setting {
        let written = self.queue.get(key).or_else(|| self.defaults.get(key));
        written.cloned().unwrap_or(Setting { value: key.default, place: None })
    }
}
