//! The circuits of a process, by whatever they are kept for: hosts, credentials.
//!
//! In this process only: each notices trouble by itself after a call or a few, and nothing has to be agreed on.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::circuit::{Circuit, CircuitPolicy, Health};

/// Circuits that are remembered; beyond, those that are not open are forgotten. Users' URLs come without end.
const MOST: usize = 4_096;

/// Circuits that are open or have something against them, each with a note of what happened last.
pub(super) struct Circuits<K, N> {
    policy: CircuitPolicy,
    troubled: Mutex<HashMap<K, (Circuit, N)>>,
}

impl<K: Hash + Eq + Clone, N: Clone> Circuits<K, N> {
    pub(super) fn new(policy: CircuitPolicy) -> Self {
        Self { policy, troubled: Mutex::default() }
    }

    /// May the holder of `ticket` call? Otherwise, how long it waits and why. Waits differ by ticket, up to twofold, so
    /// that a backlog does not come back as one.
    pub(super) fn admit(&self, key: &K, ticket: &str) -> Result<(), (Duration, N)> {
        let mut troubled = self.lock();
        let Some((circuit, note)) = troubled.get_mut(key) else { return Ok(()) };
        let admitted = circuit.admit(Instant::now(), &self.policy);
        admitted.map_err(|wait| (wait.mul_f64(1.0 + share(ticket)), note.clone()))
    }

    /// Takes in how a call ended. True when that opened the circuit.
    pub(super) fn report(&self, key: &K, health: Health, note: N) -> bool {
        let mut troubled = self.lock();
        if health != Health::Ill && !troubled.contains_key(key) {
            return false;
        }
        if MOST <= troubled.len() && !troubled.contains_key(key) {
            troubled.retain(|_, (circuit, _)| circuit.is_open());
        }
        let (circuit, kept) = troubled.entry(key.clone()).or_insert((Circuit::default(), note.clone()));
        if health == Health::Ill {
            *kept = note;
        }
        let opened = circuit.report(health, Instant::now(), &self.policy);
        // Customers' endpoints come and go: only those in trouble are remembered.
        if circuit.is_blank() {
            troubled.remove(key);
        }
        opened
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, (Circuit, N)>> {
        self.troubled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number from 0 to 1 that belongs to this ticket.
fn share(ticket: &str) -> f64 {
    let mut hasher = DefaultHasher::new();
    ticket.hash(&mut hasher);
    f64::from((hasher.finish() >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: CircuitPolicy =
        CircuitPolicy { failures: 1, pause: Duration::from_secs(60), longest: Duration::from_mins(5) };

    #[test]
    fn waits_are_spread_over_twice_the_pause_and_say_why() {
        let circuits = Circuits::new(POLICY);
        assert!(circuits.report(&"twilio", Health::Ill, "revoked"));

        let waits: Vec<f64> = (0..1_000)
            .map(|job| {
                let (wait, why) = circuits.admit(&"twilio", &format!("job-{job}")).unwrap_err();
                assert_eq!(why, "revoked");
                wait.as_secs_f64()
            })
            .collect();

        let early = waits.iter().filter(|wait| **wait < 90.0).count();
        assert!(waits.iter().all(|wait| (59.0..=120.0).contains(wait)));
        assert!((400..600).contains(&early), "{early} of 1000 come back in the first half");
    }

    #[test]
    fn what_has_no_trouble_is_not_remembered() {
        let circuits = Circuits::new(POLICY);

        for health in [Health::Well, Health::Unknown, Health::Ill, Health::Well] {
            circuits.report(&"twilio", health, ());
        }

        assert!(circuits.lock().is_empty());
    }

    #[test]
    fn of_hosts_without_end_only_those_left_alone_are_remembered() {
        let circuits = Circuits::new(CircuitPolicy { failures: 2, ..POLICY });
        for _ in 0..2 {
            circuits.report(&usize::MAX, Health::Ill, ());
        }

        for host in 0..3 * MOST {
            circuits.report(&host, Health::Ill, ());
        }

        assert!(circuits.lock().len() <= MOST + 1, "{}", circuits.lock().len());
        assert!(circuits.admit(&usize::MAX, "job").is_err());
    }
}
