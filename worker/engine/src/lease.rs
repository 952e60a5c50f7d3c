//! Leases: which runs this process holds, and the thread that keeps them.
//!
//! The keeper runs on an operating-system thread of its own with its own connection, so that no busy processor can
//! stop a heartbeat. It lengthens exactly the runs in the table, hears which are lost or cancelled, and stops runs
//! itself when it cannot be sure that nobody else may take them (see [`fence_at`]).

use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use flota_producer::{
    keys::QueueKeys,
    link::{Link, LinkError},
};
use foldhash::fast::RandomState;
use tokio::{
    sync::Notify,
    time::{sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::store::{self, BATCH, RunId};

/// Why a run has to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum StopReason {
    /// Somebody cancelled the job.
    Cancelled = 1,
    /// The process shuts down.
    Shutdown = 2,
    /// The lease is lost, or may be.
    LeaseLost = 3,
}

/// Tells one run to stop. The first reason stands, except that a lost lease overrides everything: such a run must
/// not settle.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    reason: AtomicU8,
    notify: Notify,
    /// Milliseconds after [`EPOCH`] until which the lease is worth keeping.
    keep_until: AtomicU64,
}

/// What the keeping times are counted from.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Stop {
    /// Asks the run to stop.
    pub(crate) fn stop(&self, reason: StopReason) {
        let wins = |current: u8| (current == 0 || reason == StopReason::LeaseLost).then_some(reason as u8);
        if self.reason.fetch_update(Ordering::SeqCst, Ordering::SeqCst, wins).is_ok() {
            self.notify.notify_one();
        }
    }

    /// The lease is kept for this long from now, and no longer unless this is called again. A run that is stuck, or a
    /// runtime that no longer runs anything, must not hold its jobs for ever.
    pub(crate) fn keep_for(&self, time: Duration) {
        self.keep_from(Instant::now(), time);
    }

    /// The same, counted from a moment that is known.
    pub(crate) fn keep_from(&self, now: Instant, time: Duration) {
        let until = now.saturating_duration_since(*EPOCH).saturating_add(time).as_millis();
        self.keep_until.store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn is_kept(&self) -> bool {
        EPOCH.elapsed().as_millis() < u128::from(self.keep_until.load(Ordering::Relaxed))
    }

    /// The reason, once there is one.
    pub(crate) fn reason(&self) -> Option<StopReason> {
        match self.reason.load(Ordering::SeqCst) {
            1 => Some(StopReason::Cancelled),
            2 => Some(StopReason::Shutdown),
            3 => Some(StopReason::LeaseLost),
            _ => None,
        }
    }

    /// Resolves when the run has to stop. One waiter at a time.
    pub(crate) async fn stopped(&self) -> StopReason {
        loop {
            let notified = self.notify.notified();
            if let Some(reason) = self.reason() {
                return reason;
            }
            notified.await;
        }
    }
}

/// The runs of one queue that this process holds.
#[derive(Debug, Default)]
pub(crate) struct Leases(Mutex<HashMap<RunId, Arc<Stop>, RandomState>>);

impl Leases {
    /// Adds fetched runs, whose leases are kept as long as the answers live, at most for `time` from `now` until they say
    /// otherwise. Under one lock, as with [`Hold::give_up`]: the runtime's threads would hand it to and fro for each.
    pub(crate) fn hold(
        self: &Arc<Self>,
        runs: impl Iterator<Item = RunId>,
        now: Instant,
        time: Duration,
    ) -> Vec<Hold> {
        let mut held = self.lock();
        runs.map(|run| {
            let stop = Arc::new(Stop::default());
            stop.keep_from(now, time);
            held.insert(run, stop.clone());
            Hold { leases: self.clone(), run, stop, is_given_up: false }
        })
        .collect()
    }

    /// How many runs are held.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Asks every run to stop.
    pub(crate) fn stop_all(&self, reason: StopReason) {
        self.lock().values().for_each(|stop| stop.stop(reason));
    }

    fn stop(&self, run: RunId, reason: StopReason) {
        if let Some(stop) = self.lock().get(&run) {
            stop.stop(reason);
        }
    }

    /// Runs whose leases are worth keeping. The others are told to stop: others will take them.
    fn kept(&self) -> Vec<RunId> {
        let keep = |(run, stop): (&RunId, &Arc<Stop>)| {
            if stop.is_kept() {
                return Some(*run);
            }
            stop.stop(StopReason::LeaseLost);
            None
        };
        self.lock().iter().filter_map(keep).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, Arc<Stop>, RandomState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run that this process holds. When it is dropped, settled or not, its lease is lengthened no more: a run that got
/// lost on its way (a panic, a channel that closed) comes back by recovery instead of being kept for ever.
#[derive(Debug)]
pub(crate) struct Hold {
    leases: Arc<Leases>,
    run: RunId,
    stop: Arc<Stop>,
    is_given_up: bool,
}

impl Hold {
    /// Tells the run to stop.
    pub(crate) fn stop(&self) -> &Arc<Stop> {
        &self.stop
    }

    /// Gives up many of one queue at once, as dropping each would.
    pub(crate) fn give_up<'a>(holds: impl IntoIterator<Item = &'a mut Self>) {
        let mut holds = holds.into_iter().peekable();
        let Some(leases) = holds.peek().map(|hold| hold.leases.clone()) else { return };
        let mut held = leases.lock();
        for hold in holds.filter(|hold| Arc::ptr_eq(&hold.leases, &leases)) {
            held.remove(&hold.run);
            hold.is_given_up = true;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.is_given_up {
            self.leases.lock().remove(&self.run);
        }
    }
}

/// Keeps the leases of one queue.
pub(crate) struct Keeper {
    pub(crate) queue: Arc<str>,
    pub(crate) link: Link,
    pub(crate) keys: QueueKeys,
    pub(crate) lease: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) leases: Arc<Leases>,
}

/// When a process must stop its own runs, because others may soon take them: when their leases may have ended. Others
/// take them two heartbeats later at the earliest, since recovery wants to see an ended lease for that long
/// (`recover.rs`).
///
/// `renewed` is when leases were last lengthened, `answered` when Redis or its host last said that it serves nobody
/// ([`LinkError::is_for_everybody`]), so that nobody could take a run for a heartbeat from then.
pub(crate) fn fence_at(renewed: Instant, answered: Instant, lease: Duration, heartbeat: Duration) -> Instant {
    (renewed + lease).max(answered + heartbeat)
}

/// Starts the thread that keeps all leases of this process until `end`. `guard` is dropped when it ends.
pub(crate) fn keep(
    keepers: Vec<Keeper>,
    end: CancellationToken,
    guard: impl Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("flota-leases".into()).spawn(move || {
        let _guard = guard;
        runtime.block_on(async {
            let loops = keepers.into_iter().map(Keeper::run);
            end.run_until_cancelled(futures_util::future::join_all(loops)).await;
        });
    })
}

impl Keeper {
    async fn run(self) {
        let mut renewed = Instant::now();
        let mut answered = renewed;
        let mut fenced = false;
        loop {
            let sent = Instant::now();
            let beat = self.beat();
            tokio::pin!(beat);
            let fence_at = |answered| fence_at(renewed, answered, self.lease, self.heartbeat).into();
            // A call may take longer than the lease lasts: the fence does not wait for it.
            let result = loop {
                tokio::select! {
                    result = &mut beat => break result,
                    () = sleep_until(fence_at(answered)), if !fenced => {
                        fenced = true;
                        self.fence();
                    }
                }
            };
            match result {
                Ok(()) => {
                    if fenced {
                        info!(queue.name = %self.queue, "Redis answers again, queue {} goes on", self.queue);
                    }
                    (renewed, answered, fenced) = (sent, sent, false);
                    sleep(self.heartbeat).await;
                }
                Err(error) => {
                    if error.is_for_everybody() {
                        answered = sent;
                    }
                    debug!(queue.name = %self.queue, error = &error as &dyn std::error::Error, "A heartbeat failed");
                    sleep((self.heartbeat / 10).min(Duration::from_millis(250))).await;
                }
            }
        }
    }

    async fn beat(&self) -> Result<(), LinkError> {
        for runs in self.leases.kept().chunks(BATCH) {
            let pulse = store::heartbeat(&self.link, &self.keys, self.lease, runs).await?;
            for run in pulse.lost {
                self.leases.stop(run, StopReason::LeaseLost);
            }
            for run in pulse.cancelled {
                self.leases.stop(run, StopReason::Cancelled);
            }
        }
        Ok(())
    }

    fn fence(&self) {
        let count = self.leases.len();
        if 0 < count {
            warn!(
                queue.name = %self.queue, runs = count,
                "Leases of queue {} cannot be lengthened: stopping {count} runs before others may take them",
                self.queue,
            );
        }
        self.leases.stop_all(StopReason::LeaseLost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);
    const BEAT: Duration = Duration::from_secs(5);

    #[test]
    fn a_silent_redis_stops_runs_when_their_lease_may_have_ended() {
        let renewed = Instant::now();

        assert_eq!(fence_at(renewed, renewed, LEASE, BEAT), renewed + LEASE);
    }

    #[test]
    fn a_redis_that_is_down_for_everybody_stops_nothing() {
        let (renewed, answered) = (Instant::now(), Instant::now() + LEASE * 20);

        assert_eq!(fence_at(renewed, answered, LEASE, BEAT), answered + BEAT);
    }

    #[test]
    fn a_lost_lease_overrides_an_earlier_reason() {
        let stop = Stop::default();

        stop.stop(StopReason::Shutdown);
        stop.stop(StopReason::Cancelled);
        assert_eq!(stop.reason(), Some(StopReason::Shutdown));
        stop.stop(StopReason::LeaseLost);
        assert_eq!(stop.reason(), Some(StopReason::LeaseLost));
    }
}
