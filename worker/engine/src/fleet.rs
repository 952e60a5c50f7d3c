//! All loops of one worker process: started together, drained in order.
//!
//! Per queue: fetcher → runner → settler, and the upkeep loops promote, recover, unpark. One lease keeper thread for
//! all. Draining goes down the same path: fetchers stop, runs finish or are released, verdicts are settled, and only
//! then do the leases end.

mod publish;
mod queue;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use flota_producer::{keys::Prefix, link::Link};
use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use self::queue::Queue;
use crate::{
    drain::DrainTime,
    event::Observer,
    lease::{self, Leases, StopReason},
    leased::{Finished, Leased},
    policy::QueuePolicy,
    quarantine::Quarantine,
    registry::Handlers,
    roster::QueueLoad,
    run::{self, RunContext},
    runner::{Execute, JobRunner},
    slots::Slots,
};

/// What a fleet is made of.
pub struct Parts {
    /// A link to Redis; what is on the way of a job gets some of its own like it.
    pub link: Link,
    /// First part of every key.
    pub prefix: Prefix,
    /// Name of this process, unlike any other's: `host:pid:random`.
    pub worker: Arc<str>,
    /// The queues to work on.
    pub queues: Vec<QueuePolicy>,
    /// The processors.
    pub handlers: Handlers,
    /// Hears every event.
    pub observer: Arc<dyn Observer>,
    /// The runtime that executes jobs.
    pub runner: Arc<dyn JobRunner>,
}

/// A worker process at work.
pub struct Fleet {
    stop_fetching: CancellationToken,
    end: CancellationToken,
    leases: Vec<Arc<Leases>>,
    fetchers: Vec<JoinHandle<()>>,
    fetching: TaskTracker,
    runners: Vec<JoinHandle<()>>,
    settlers: Vec<JoinHandle<()>>,
    upkeep: Vec<JoinHandle<()>>,
    keeper: std::thread::JoinHandle<()>,
    broken: CancellationToken,
    handle: FleetHandle,
}

/// What can be done with a fleet while somebody else runs it. Cheap to clone.
#[derive(Clone)]
pub struct FleetHandle {
    stop_fetching: CancellationToken,
    fetching: TaskTracker,
    queues: Arc<[Gauge]>,
}

/// Tells how busy a queue is.
struct Gauge {
    queue: String,
    slots: Arc<Slots>,
    leases: Arc<Leases>,
}

impl FleetHandle {
    /// Fetches nothing more; what runs goes on, and so does upkeep. There is no way back but a new process.
    pub fn quiet(&self) {
        self.stop_fetching.cancel();
    }

    /// True when it was told to fetch nothing more.
    pub fn is_quiet(&self) -> bool {
        self.stop_fetching.is_cancelled()
    }

    /// True when it was told so and no fetch is under way any more that could still bring jobs.
    pub fn has_stopped_fetching(&self) -> bool {
        self.is_quiet() && self.fetching.is_empty()
    }

    /// Resolves when that is so.
    pub async fn stopped_fetching(&self) {
        self.stop_fetching.cancelled().await;
        self.fetching.wait().await;
    }

    /// How busy it is, queue by queue.
    pub fn load(&self) -> Vec<QueueLoad> {
        let now = |gauge: &Gauge| QueueLoad {
            queue: gauge.queue.clone(),
            slots: gauge.slots.size(),
            // Those that have run and wait for Redis have leases and no places.
            busy: gauge.leases.len().saturating_sub(gauge.slots.seated()),
        };
        self.queues.iter().map(now).collect()
    }
}

impl Fleet {
    /// Starts all loops. Redis need not be reachable yet: every loop tries for ever.
    ///
    /// # Errors
    /// When the operating system gives no thread for the lease keeper.
    pub fn start(parts: Parts) -> std::io::Result<Self> {
        let end = CancellationToken::new();
        let quarantine = Arc::new(Quarantine::default());
        let queues = parts.queues.iter().map(|policy| Queue::new(&parts, policy, quarantine.clone()));
        let queues: Vec<Queue> = queues.collect();
        let (stop_fetching, fetching) = (CancellationToken::new(), TaskTracker::new());
        let handle = FleetHandle {
            stop_fetching: stop_fetching.clone(),
            fetching: fetching.clone(),
            queues: queues.iter().map(Queue::gauge).collect(),
        };
        let broken = CancellationToken::new();
        let guard = EndGuard { broken: broken.clone(), allowed: Some(end.clone()) };
        let keeper =
            lease::keep(queues.iter().map(|queue| queue.keeper(&parts)).collect(), end.clone(), guard)?;
        let mut fleet = Self {
            stop_fetching,
            end,
            leases: queues.iter().map(|queue| queue.leases.clone()).collect(),
            fetchers: Vec::new(),
            fetching,
            runners: Vec::new(),
            settlers: Vec::new(),
            upkeep: Vec::new(),
            keeper,
            broken,
            handle,
        };
        let upkeep = Arc::new(parts.link.again());
        for queue in queues {
            fleet.start_queue(&parts, &queue, &upkeep);
        }
        fleet.fetching.close();
        Ok(fleet)
    }

    /// A hand on it for others.
    pub fn handle(&self) -> FleetHandle {
        self.handle.clone()
    }

    /// Resolves when a loop ended that should not have: the process should say so and exit, never go on half alive.
    pub async fn broken(&self) {
        self.broken.cancelled().await;
    }

    /// Stops fetching, lets runs finish, releases the rest, and settles everything, each for its share of `whole`
    /// ([`DrainTime`]). When `hurry` is cancelled, runs are released at once. Answers how many runs had to be left
    /// behind; their leases run out and others take them.
    pub async fn drain(self, whole: Duration, hurry: CancellationToken) -> usize {
        let time = DrainTime::of(whole);
        let finish_by = Instant::now() + time.finish;
        self.stop_fetching.cancel();
        let (fetchers, runners) = (join_all(self.fetchers), join_all(self.runners));
        let mut ended = Box::pin(async { tokio::join!(fetchers, runners) });
        let (finished, end_by) = tokio::select! {
            _ = &mut ended => (true, finish_by + time.release),
            () = sleep_until(finish_by) => (false, finish_by + time.release),
            () = hurry.cancelled() => (false, Instant::now() + time.release),
        };
        if !finished {
            let waiting: usize = self.leases.iter().map(|leases| leases.len()).sum();
            info!(runs = waiting, "Releasing {waiting} runs that have not finished in time");
            // What is given back is for others: a fetch of ours that is still under way must not take it again.
            drop(timeout(time.release / 3, self.fetching.wait()).await);
            self.leases.iter().for_each(|leases| leases.stop_all(StopReason::Shutdown));
            // A processor that does not stop must not take the time that the others need to be given back.
            if timeout(time.release * 2 / 3, ended).await.is_err() {
                warn!("Some processors did not stop when asked to");
            }
        }
        let hurried = async {
            hurry.cancelled().await;
            sleep(time.release).await;
        };
        tokio::select! {
            _ = join_all(self.settlers) => {}
            () = sleep_until(end_by) => warn!("Redis did not take the last verdicts in time"),
            () = hurried => warn!("Redis did not take the last verdicts before this worker was told to hurry"),
        }
        self.upkeep.iter().for_each(JoinHandle::abort);
        self.end.cancel();
        if self.keeper.join().is_err() {
            error!("The lease keeper had panicked");
        }
        self.leases.iter().map(|leases| leases.len()).sum()
    }

    fn start_queue(&mut self, parts: &Parts, queue: &Queue, link: &Arc<Link>) {
        let (jobs, incoming) = mpsc::unbounded_channel::<Vec<Leased>>();
        let (finished, outgoing) = mpsc::unbounded_channel::<Finished>();
        let execute = Arc::new(RunAndPass { context: queue.context.clone(), finished });
        let name = format!("{}/{}", parts.worker, queue.policy.name);
        let fetcher = Arc::new(queue.fetcher(parts, jobs)).run(self.stop_fetching.clone());
        let fetcher = self.fetching.track_future(fetcher);
        self.fetchers.push(self.watched(fetcher, Some(self.stop_fetching.clone())));
        let runner = parts.runner.run(name, incoming, execute);
        self.runners.push(self.watched(runner, Some(self.stop_fetching.clone())));
        self.settlers
            .push(self.watched(queue.settler(parts).run(outgoing), Some(self.stop_fetching.clone())));
        for upkeep in queue.upkeep(parts, link) {
            self.upkeep.push(self.watched(upkeep, None));
        }
    }

    /// Spawns a loop that may end only after `allowed` is cancelled.
    fn watched(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
        allowed: Option<CancellationToken>,
    ) -> JoinHandle<()> {
        let broken = self.broken.clone();
        let guard = EndGuard { broken, allowed };
        tokio::spawn(async move {
            let _guard = guard;
            work.await;
        })
    }
}

/// Tells the fleet when a loop ends or panics without having been told to stop.
struct EndGuard {
    broken: CancellationToken,
    allowed: Option<CancellationToken>,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        let expected = self.allowed.as_ref().is_some_and(CancellationToken::is_cancelled);
        if std::thread::panicking() || (!expected && self.allowed.is_some()) {
            self.broken.cancel();
        }
    }
}

/// Executes a job and passes the result to the settler.
pub(crate) struct RunAndPass {
    pub(crate) context: Arc<RunContext>,
    pub(crate) finished: mpsc::UnboundedSender<Finished>,
}

impl Execute for RunAndPass {
    /// A processor's panic is caught in run.rs, where it becomes a verdict; here is the wall behind it.
    fn execute(self: Arc<Self>, leased: Leased) -> BoxFuture<'static, ()> {
        let run = AssertUnwindSafe(run::run(self.context.clone(), leased)).catch_unwind();
        Box::pin(run.map(move |ended| match ended {
            // The settler outlives the runner, except when the process is being torn down.
            Ok(finished) => drop(self.finished.send(finished)),
            Err(_) => {
                error!("A run panicked outside of its processor: its lease runs out, and the job comes back");
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_panics_breaks_the_fleet_even_when_it_was_allowed_to_end() {
        let ends = |told_to_stop: bool, panics: bool| {
            let (broken, allowed) = (CancellationToken::new(), CancellationToken::new());
            if told_to_stop {
                allowed.cancel();
            }
            let guard = EndGuard { broken: broken.clone(), allowed: Some(allowed) };
            let ended = std::thread::spawn(move || {
                let _guard = guard;
                assert!(!panics, "told to panic");
            });
            assert_eq!(ended.join().is_err(), panics);
            broken.is_cancelled()
        };

        assert_eq!([ends(true, false), ends(false, false)], [false, true]);
        assert_eq!([ends(true, true), ends(false, true)], [true, true]);
    }
}
