//! One worker process: the engine's fleet, the recorders that carry its outcomes to Postgres, and the relay that brings
//! jobs from the outbox there into Redis.
//!
//! `flota worker`, `flota dev`, the demo and the tests all start this, and stop it the same way.

use std::{sync::Arc, time::Duration};

use flota_engine::{
    ApalisRunner, DrainTime, Fleet, FleetHandle, Handlers, Observer, Parts, QueuePolicy, roster::Announcer,
};
use flota_producer::{clock, keys::Prefix, link::Link};
use sqlx::PgPool;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    additions::Both,
    http::Pulse,
    outbox::{Pace, Relay},
    outcomes::Recorder,
    retention::{Ages, Retention},
    schedules::Scheduler,
    shutdown::Shutdown,
};

/// Longest time for recorders to write down the last outcomes.
const RECORD_WAIT: Duration = Duration::from_secs(5);
/// How long a worker that has ended waits to be taken off the list.
const LEAVE_WAIT: Duration = Duration::from_secs(1);
/// Longest time between two announcements of a worker.
const ANNOUNCE: Duration = Duration::from_secs(5);

/// What a worker process is made of.
pub struct Setup {
    /// Redis.
    pub link: Link,
    /// First part of every key.
    pub prefix: Prefix,
    /// The queues to work on.
    pub queues: Vec<QueuePolicy>,
    /// The processors.
    pub handlers: Handlers,
    /// Hears every event.
    pub observer: Arc<dyn Observer>,
    /// Postgres.
    pub pool: PgPool,
    /// How often the outbox is looked at.
    pub outbox: Pace,
    /// Enqueues what is due by the clock.
    pub scheduler: Option<Scheduler>,
    /// How long history is kept; `None` where another process sees to it.
    pub ages: Option<Ages>,
    /// Is told what fetching and recording last heard.
    pub pulse: Arc<Pulse>,
}

/// A worker process at work.
pub struct Process {
    fleet: Fleet,
    recorders: JoinSet<()>,
    stop_recording: CancellationToken,
    announcer: Announcer,
}

impl Process {
    /// Starts fetching, running and recording.
    ///
    /// # Errors
    /// When the operating system gives no thread for the lease keeper.
    pub fn start(setup: Setup) -> std::io::Result<Self> {
        let stop_recording = CancellationToken::new();
        let mut recorders = JoinSet::new();
        for step in ["fetch", "record"] {
            setup.pulse.expect(step, setup.queues.iter().map(|queue| &*queue.name));
        }
        for queue in &setup.queues {
            let keys = setup.prefix.queue(&queue.name);
            let recorder = Recorder::new(setup.link.again(), keys, queue.name.clone(), setup.pool.clone())
                .telling(setup.pulse.clone());
            recorders.spawn(recorder.run(stop_recording.clone()));
        }
        let relay = Relay::new(setup.link.again(), setup.prefix.clone(), setup.pool.clone(), setup.outbox);
        recorders.spawn(relay.run(stop_recording.clone()));
        if let Some(scheduler) = setup.scheduler {
            recorders.spawn(scheduler.run(stop_recording.clone()));
        }
        if let Some(ages) = setup.ages {
            recorders.spawn(Retention::new(setup.pool.clone(), ages).run(stop_recording.clone()));
        }
        let worker: Arc<str> = worker_name().into();
        let heartbeats = setup.queues.iter().map(|queue| queue.heartbeat);
        let every = heartbeats.min().unwrap_or(ANNOUNCE).min(ANNOUNCE);
        let (link, prefix) = (setup.link.again(), setup.prefix.clone());
        let fleet = Fleet::start(Parts {
            link: setup.link,
            prefix: setup.prefix,
            worker: worker.clone(),
            queues: setup.queues,
            handlers: setup.handlers,
            observer: Arc::new(Both(setup.pulse, setup.observer)),
            runner: Arc::new(ApalisRunner),
        })?;
        let announcer = Announcer {
            link,
            prefix,
            worker,
            version: env!("CARGO_PKG_VERSION"),
            started_ms: clock::unix_now_ms(),
            fleet: fleet.handle(),
            stop: CancellationToken::new(),
            every,
        };
        Ok(Self { fleet, recorders, stop_recording, announcer })
    }

    /// How busy it is, for whoever asks while it works.
    pub fn fleet(&self) -> FleetHandle {
        self.fleet.handle()
    }

    /// Works until told to stop, then drains, all within `whole` if that is ten seconds or more ([`DrainTime`]). Answers
    /// whether every loop lived until then.
    pub async fn run(mut self, shutdown: &Shutdown, whole: Duration) -> bool {
        let gone = CancellationToken::new();
        let announcer = Announcer { stop: shutdown.stop.clone(), ..self.announcer };
        let announced = tokio::spawn(announcer.run(gone.clone()));
        let healthy = tokio::select! {
            () = shutdown.stop.cancelled() => true,
            () = self.fleet.broken() => false,
            Some(_) = self.recorders.join_next() => false,
        };
        let end_by = Instant::now() + whole;
        let left = self.fleet.drain(whole, shutdown.hurry.clone()).await;
        if 0 < left {
            warn!(runs = left, "{left} runs were left behind; others take them when their leases end");
        }
        self.stop_recording.cancel();
        gone.cancel();
        // What recorders do not manage waits in Redis for others.
        let most =
            end_by.saturating_duration_since(Instant::now()).clamp(DrainTime::of(whole).record, RECORD_WAIT);
        let recorded = async { while self.recorders.join_next().await.is_some() {} };
        // Taking it off the list is a courtesy: an announcement ends by itself.
        let (recorded, _) = tokio::join!(timeout(most, recorded), timeout(LEAVE_WAIT, announced));
        if recorded.is_err() {
            warn!("Not every outcome is in Postgres yet; the rest waits in Redis for another worker");
        }
        info!("This worker has stopped");
        healthy
    }
}

/// A name unlike any other process's: host, process id, and something random, since both repeat in containers.
fn worker_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "host" } else { host.trim() };
    format!("{host}:{}:{:08x}", std::process::id(), rand::random::<u32>())
}
