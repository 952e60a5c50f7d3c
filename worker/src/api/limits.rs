//! How much one server takes: requests in hand, long waits, requests a second per token, and time for each.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use uuid::Uuid;

use super::problem::Problem;

/// Most requests in hand.
const IN_HAND: usize = 1_024;
/// Most of them that wait for a job to end, so that there is always room for others.
const WAITING: usize = 512;
/// Most of them with a large body, of up to 8 MiB each: what is in memory at once is known then.
const LARGE_BODIES: usize = 16;
/// Longest time for an answer.
pub(super) const ANSWER: Duration = Duration::from_secs(15);
/// The same where it is known to take longer: a wait for a job, a selection among a million letters.
pub(super) const LONG_ANSWER: Duration = Duration::from_secs(60);

/// What this process takes.
pub(super) struct Limits {
    in_hand: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    large: Arc<Semaphore>,
    rate: Rate,
    /// By token: when all of its requests would be through at an even pace.
    through: Mutex<HashMap<Uuid, Instant>>,
}

/// An even pace, with a second's worth at once after a pause.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    step: Duration,
    ahead: Duration,
}

impl Rate {
    pub(super) fn per_second(requests: u32) -> Self {
        Self { step: Duration::from_secs(1) / requests.max(1), ahead: Duration::from_secs(1) }
    }

    /// Takes one request: when all would be through then. Otherwise how long to wait. Pure.
    fn take(self, through: Option<Instant>, now: Instant) -> Result<Instant, Duration> {
        let next = through.unwrap_or(now).max(now) + self.step;
        let early = next.saturating_duration_since(now + self.ahead);
        if early.is_zero() { Ok(next) } else { Err(early) }
    }
}

impl Limits {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            in_hand: Arc::new(Semaphore::new(IN_HAND)),
            waiting: Arc::new(Semaphore::new(WAITING)),
            large: Arc::new(Semaphore::new(LARGE_BODIES)),
            rate,
            through: Mutex::default(),
        }
    }

    /// A place for a request.
    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.in_hand.clone().try_acquire_owned().map_err(|_| Problem::overloaded())
    }

    /// A place for a request that waits.
    pub(super) fn waiting_place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.waiting.clone().try_acquire_owned().map_err(|_| Problem::overloaded())
    }

    /// A place for a request with a large body.
    pub(super) fn large_place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.large.clone().try_acquire_owned().map_err(|_| Problem::overloaded())
    }

    /// Counts a request of this token.
    pub(super) fn count(&self, token: Uuid) -> Result<(), Problem> {
        let mut through = self.through.lock().unwrap_or_else(PoisonError::into_inner);
        match self.rate.take(through.get(&token).copied(), Instant::now()) {
            Ok(next) => {
                through.insert(token, next);
                Ok(())
            }
            Err(wait) => {
                let detail = "this token makes more requests a second than it may (FLOTA_API_RATE): slow down, \
                              or send jobs in batches";
                Err(Problem::too_many(wait.as_secs() + 1, detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_a_second_s_worth_at_once_and_then_an_even_pace() {
        let (rate, now) = (Rate::per_second(10), Instant::now());
        let mut through = None;
        let mut taken = |at: Instant| rate.take(through, at).inspect(|next| through = Some(*next)).is_ok();

        assert_eq!((0..20).filter(|_| taken(now)).count(), 10);
        let later = now + Duration::from_millis(250);
        assert_eq!((0..20).filter(|_| taken(later)).count(), 2);
        assert!(rate.take(through, later).unwrap_err() <= Duration::from_millis(100));
    }
}
