//! The state of a circuit breaker: closed, open, half open. Pure; the time comes in.
//!
//! A host that fails again and again is left alone for a while, then asked by a single call. Each time that call fails,
//! the pause doubles.

use std::time::{Duration, Instant};

/// When a circuit opens, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct CircuitPolicy {
    /// Failures in a row that open it.
    pub failures: u32,
    /// First pause.
    pub pause: Duration,
    /// Longest pause.
    pub longest: Duration,
}

impl Default for CircuitPolicy {
    /// Ten in a row are no accident; five seconds are enough for a restart, a minute is not too long for an outage.
    fn default() -> Self {
        Self { failures: 10, pause: Duration::from_secs(5), longest: Duration::from_mins(1) }
    }
}

/// How a call ended, as far as its host is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answered, whatever it said.
    Well,
    /// It failed, was not there, or said nothing.
    Ill,
    /// The call was given up by us and says nothing of the host.
    Unknown,
}

/// One host.
#[derive(Debug, Clone, Copy, Default)]
pub struct Circuit {
    failed: u32,
    /// Pauses so far without an answer in between; 0 while closed.
    pauses: u32,
    open_until: Option<Instant>,
    /// When the single call began.
    asking: Option<Instant>,
}

impl Circuit {
    /// May a call be made? Otherwise, how long to wait.
    ///
    /// # Errors
    /// The time until the host is asked again.
    pub fn admit(&mut self, now: Instant, policy: &CircuitPolicy) -> Result<(), Duration> {
        let Some(until) = self.open_until else { return Ok(()) };
        if now < until {
            return Err(until - now);
        }
        // A call that never came back must not keep the host shut for ever.
        if self.asking.is_some_and(|since| now.duration_since(since) < policy.longest) {
            return Err(policy.pause);
        }
        self.asking = Some(now);
        Ok(())
    }

    /// Takes in how a call ended. True when that opened the circuit.
    pub fn report(&mut self, health: Health, now: Instant, policy: &CircuitPolicy) -> bool {
        match health {
            Health::Well => {
                *self = Self::default();
                false
            }
            Health::Unknown => {
                self.asking = None;
                false
            }
            Health::Ill => self.ill(now, policy),
        }
    }

    /// True once it was opened, until an answer closes it.
    pub fn is_open(&self) -> bool {
        self.open_until.is_some()
    }

    /// True while nothing is known against the host, so that it need not be remembered.
    pub fn is_blank(&self) -> bool {
        self.failed == 0 && self.open_until.is_none()
    }

    fn ill(&mut self, now: Instant, policy: &CircuitPolicy) -> bool {
        self.failed = self.failed.saturating_add(1);
        // Calls that were under way when it opened say nothing new.
        let asked = self.asking.take().is_some();
        if self.open_until.is_some_and(|until| now < until || !asked) || self.failed < policy.failures {
            return false;
        }
        let pause = policy.pause.saturating_mul(1 << self.pauses.min(16)).min(policy.longest);
        self.pauses += 1;
        self.open_until = Some(now + pause);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: CircuitPolicy =
        CircuitPolicy { failures: 3, pause: Duration::from_secs(5), longest: Duration::from_secs(60) };

    fn opened(now: Instant) -> Circuit {
        let mut circuit = Circuit::default();
        let opened = [Health::Ill; 3].map(|health| circuit.report(health, now, &POLICY));
        assert_eq!(opened, [false, false, true]);
        circuit
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_in_between_does_not_count_as_one() {
        let (now, mut circuit) = (Instant::now(), Circuit::default());
        for health in [Health::Ill, Health::Ill, Health::Well, Health::Ill, Health::Ill] {
            circuit.report(health, now, &POLICY);
        }

        assert_eq!(circuit.admit(now, &POLICY), Ok(()));
        assert!(circuit.report(Health::Ill, now, &POLICY));
        assert_eq!(circuit.admit(now, &POLICY), Err(POLICY.pause));
    }

    #[test]
    fn one_call_asks_and_its_success_lets_everybody_in() {
        let now = Instant::now();
        let (mut circuit, later) = (opened(now), now + POLICY.pause);

        assert_eq!(circuit.admit(later, &POLICY), Ok(()));
        assert_eq!(circuit.admit(later, &POLICY), Err(POLICY.pause));
        circuit.report(Health::Well, later, &POLICY);
        assert!(circuit.is_blank());
        assert_eq!(circuit.admit(later, &POLICY), Ok(()));
    }

    #[test]
    fn each_failed_question_doubles_the_pause_up_to_the_longest() {
        let mut now = Instant::now();
        let mut circuit = opened(now);

        for seconds in [5, 10, 20, 40, 60, 60] {
            assert_eq!(circuit.admit(now, &POLICY), Err(Duration::from_secs(seconds)));
            now += Duration::from_secs(seconds);
            assert_eq!(circuit.admit(now, &POLICY), Ok(()));
            assert!(circuit.report(Health::Ill, now, &POLICY));
        }
    }

    #[test]
    fn a_question_that_is_given_up_is_asked_by_the_next() {
        let now = Instant::now();
        let (mut circuit, later) = (opened(now), now + POLICY.pause);
        circuit.admit(later, &POLICY).unwrap();

        circuit.report(Health::Unknown, later, &POLICY);

        assert_eq!(circuit.admit(later, &POLICY), Ok(()));
        assert_eq!(circuit.admit(later + POLICY.longest, &POLICY), Ok(()));
    }

    #[test]
    fn calls_that_were_under_way_do_not_lengthen_the_pause() {
        let now = Instant::now();
        let mut circuit = opened(now);

        for _ in 0..50 {
            assert!(!circuit.report(Health::Ill, now, &POLICY));
        }

        assert_eq!(circuit.admit(now, &POLICY), Err(POLICY.pause));
    }
}
