//! How fast each provider may be called, kept in Redis for the whole fleet.
//!
//! 1. `windows.rs`: so many calls per second, minute, day: what queues.toml says, or what a provider documents
//! 2. `desk.rs`: asks of this process are gathered while a call to Redis is under way, one call per allowance
//! 3. `take_turns.lua`, `script.rs`: generic cell rate algorithm (GCRA) over all windows at once, with a line: who has to
//!    wait is given a turn of its own, so a backlog comes back evenly spread and each job asks twice and not for ever
//! 4. `estimate.rs`: while Redis does not answer, each process keeps to the windows by itself. N processes may then
//!    together be N times too fast; the provider's own refusals still park the allowance here.
//!
//! `timeouts.rs` is beside the point of speed: how long one call may take, from the same tables.
//!
//! Allowances without a window are not asked about until the provider has refused a call as too fast. From then on this
//! process asks, for as long as the wait and ten minutes more; other processes find out by a refusal of their own.

mod desk;
mod estimate;
mod script;
mod timeouts;
mod windows;

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use flota_producer::{clock, keys::Prefix, link::Link};
use flota_providers::{
    pipeline::{LimitKey, Limits, Turn},
    usage::Usage,
};
use futures_util::future::BoxFuture;
use metrics::counter;
use tracing::warn;

use self::{desk::Desk, estimate::Estimate, script::Said};
pub use self::{
    timeouts::CallTimeouts,
    windows::{BUILT_IN, ProviderLimits, Window, markdown},
};
use crate::telemetry::metrics::PROVIDER_LIMIT_ESTIMATES;

/// Turns are given this far ahead. Who comes after that asks again: a line of days would be wrong by the time it is its
/// turn. So a job asks at most twice, and once more for each half hour that it waits.
pub const HORIZON: Duration = Duration::from_mins(30);
/// How long a refused allowance is asked about after the refusal has ended.
const WATCH: Duration = Duration::from_mins(10);
/// Wait after a refusal while Redis does not answer and the provider said nothing.
const UNKNOWN_WAIT: Duration = Duration::from_secs(10);
/// Pause between two log lines, or two messages to Redis, about one allowance.
const WARN_PAUSE: Duration = Duration::from_mins(1);
const TELL_PAUSE: Duration = Duration::from_secs(1);
/// Most allowances that are remembered: beyond, those that nobody asks about are forgotten, then those whose watch ends
/// first.
const MOST_REMEMBERED: usize = 4_096;
/// How many are forgotten at once, so that not each new one looks through all of them.
const FORGOTTEN_AT_ONCE: usize = MOST_REMEMBERED / 8;

/// The limits of a process. Cheap to share behind an `Arc`.
pub struct RedisLimits {
    windows: ProviderLimits,
    desk: Desk,
    known: Mutex<HashMap<LimitKey, Known>>,
    estimate: Mutex<Estimate>,
}

/// What this process remembers of one allowance.
#[derive(Default)]
struct Known {
    watched_until: Option<Instant>,
    closed_until: Option<Instant>,
    warned: Option<Instant>,
    told: Option<Instant>,
}

/// Forgets what nobody watches, and if that is too little what is watched for the shortest time.
fn make_room(known: &mut HashMap<LimitKey, Known>, now: Instant) {
    known.retain(|_, known| known.watched_until.is_some_and(|until| now < until));
    if MOST_REMEMBERED - FORGOTTEN_AT_ONCE < known.len() {
        let mut ends: Vec<Option<Instant>> = known.values().map(|known| known.watched_until).collect();
        let (_, last, _) = ends.select_nth_unstable(FORGOTTEN_AT_ONCE);
        let last = *last;
        known.retain(|_, known| last < known.watched_until);
    }
}

impl RedisLimits {
    /// Starts the task that talks to Redis; it ends with the last owner.
    pub fn start(link: Link, prefix: Prefix, windows: ProviderLimits) -> Self {
        Self::start_with(link, prefix, windows, desk::PATIENCE)
    }

    /// The same with another wait for Redis, at most.
    fn start_with(link: Link, prefix: Prefix, windows: ProviderLimits, patience: Duration) -> Self {
        let desk = Desk::open(link, prefix, patience);
        Self { windows, desk, known: Mutex::default(), estimate: Mutex::default() }
    }

    fn known(&self, key: &LimitKey, change: impl FnOnce(&mut Known)) {
        let mut known = self.all_known();
        let now = Instant::now();
        if MOST_REMEMBERED <= known.len() && !known.contains_key(key) {
            make_room(&mut known, now);
        }
        change(known.entry(key.clone()).or_default());
    }

    fn all_known(&self) -> MutexGuard<'_, HashMap<LimitKey, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_watched(&self, key: &LimitKey) -> bool {
        let now = Instant::now();
        self.all_known().get(key).is_some_and(|known| known.watched_until.is_some_and(|until| now < until))
    }

    /// The turn by what this process knows alone.
    fn estimated(&self, key: &LimitKey) -> Turn {
        let now = Instant::now();
        counter!(PROVIDER_LIMIT_ESTIMATES, "provider" => key.provider).increment(1);
        let closed = self.all_known().get(key).and_then(|known| known.closed_until);
        if let Some(after) =
            closed.and_then(|until| until.checked_duration_since(now)).filter(|left| !left.is_zero())
        {
            return Turn::Later { after };
        }
        let mut estimate = self.estimate.lock().unwrap_or_else(PoisonError::into_inner);
        match estimate.take(key, self.windows.of(key.provider), now) {
            Ok(()) => Turn::Now { used: None },
            Err(after) => Turn::Later { after },
        }
    }

    /// Remembers that the provider wants to be left alone.
    fn close(&self, key: &LimitKey, wait: Option<Duration>) {
        let closed = Instant::now() + wait.unwrap_or(UNKNOWN_WAIT);
        self.known(key, |known| {
            known.watched_until = known.watched_until.max(Some(closed + WATCH));
            known.closed_until = known.closed_until.max(Some(closed));
        });
    }

    async fn ask(&self, key: &LimitKey, said: Said, ticket: &str) -> Option<Turn> {
        let windows = self.windows.of(key.provider);
        let given = self.desk.ask(key, said, windows, Some(ticket)).await?;
        Some(match given.wait {
            Some(Duration::ZERO) => Turn::Now { used: (!windows.is_empty()).then_some(given.used) },
            Some(after) => Turn::Reserved { after },
            None => Turn::Later { after: HORIZON.mul_f64(1.0 + rand::random::<f64>()) },
        })
    }

    /// Whether something about this allowance is due, at most once per `pause`.
    fn due(&self, key: &LimitKey, pause: Duration, which: fn(&mut Known) -> &mut Option<Instant>) -> bool {
        let (now, mut due) = (Instant::now(), false);
        self.known(key, |known| {
            let last = which(known);
            due = last.is_none_or(|last| pause <= now.duration_since(last));
            if due {
                *last = Some(now);
            }
        });
        due
    }
}

impl Limits for RedisLimits {
    fn take<'a>(&'a self, key: &'a LimitKey, ticket: &'a str) -> BoxFuture<'a, Turn> {
        Box::pin(async move {
            if self.windows.of(key.provider).is_empty() && !self.is_watched(key) {
                return Turn::Now { used: None };
            }
            match self.ask(key, Said::Nothing, ticket).await {
                Some(turn) => turn,
                None => self.estimated(key),
            }
        })
    }

    fn refused<'a>(
        &'a self,
        key: &'a LimitKey,
        ticket: &'a str,
        wait: Option<Duration>,
    ) -> BoxFuture<'a, Turn> {
        Box::pin(async move {
            self.close(key, wait);
            let after = wait.unwrap_or(UNKNOWN_WAIT);
            self.ask(key, Said::TooFast(wait), ticket).await.unwrap_or(Turn::Later { after })
        })
    }

    fn overloaded<'a>(&'a self, key: &'a LimitKey, wait: Option<Duration>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.close(key, wait);
            self.desk.ask(key, Said::TooFast(wait), self.windows.of(key.provider), None).await;
        })
    }

    fn heard<'a>(&'a self, key: &'a LimitKey, usage: Usage) -> BoxFuture<'a, Option<f64>> {
        Box::pin(async move {
            let Some(warning) = usage.warning() else { return Some(usage.used()) };
            if self.due(key, WARN_PAUSE, |known| &mut known.warned) {
                let (service, tenant, credential) = (key.provider, &*key.tenant, &*key.credential);
                warn!(service, tenant, credential, "{warning}");
            }
            let left = usage.left(clock::unix_now_ms()).filter(|left| !left.is_zero());
            if let Some(left) = left
                && self.due(key, TELL_PAUSE, |known| &mut known.told)
            {
                let until = Instant::now() + left;
                self.known(key, |known| {
                    known.watched_until = known.watched_until.max(Some(until));
                    if usage.remaining < 1.0 {
                        known.closed_until = known.closed_until.max(Some(until));
                    }
                });
                let windows = self.windows.of(key.provider);
                self.desk.ask(key, Said::of(usage, left), windows, None).await;
            }
            Some(usage.used())
        })
    }
}

/// Limits that may be shared.
pub fn shared(link: Link, prefix: Prefix, windows: ProviderLimits) -> Arc<dyn Limits> {
    Arc::new(RedisLimits::start(link, prefix, windows))
}
