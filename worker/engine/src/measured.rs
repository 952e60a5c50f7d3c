//! The way of a job through this process, without Redis: what `cargo xtask check --perf` counts the instructions of.
//!
//! Bodies come in as the fetcher reads them, finished runs go out as the settler takes them; the lease table, the slots,
//! the runtime, the time limit, the panic wall, the decision and the record are those of a worker.

use std::{sync::Arc, time::Instant};

use flota_producer::{JobId, keys::Prefix};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    ApalisRunner,
    fleet::RunAndPass,
    lease::{Hold, Leases},
    leased::{Finished, Leased, Slot},
    marks::RareMarks,
    policy::QueuePolicy,
    quarantine::{Care, Leave, Quarantine},
    registry::Handlers,
    run::{RunContext, admit},
    runner::JobRunner,
    slots::Slots,
    store::RunId,
};

/// Everything between fetch and settle, for one queue.
pub struct RunPath {
    context: Arc<RunContext>,
    leases: Arc<Leases>,
    slots: Slots,
    quarantine: Quarantine,
    jobs: mpsc::UnboundedSender<Vec<Leased>>,
    finished: mpsc::UnboundedReceiver<Finished>,
}

impl RunPath {
    /// For these processors. Must be called inside the runtime that is to run them.
    pub fn new(policy: QueuePolicy, handlers: Handlers) -> Self {
        let (jobs, incoming) = mpsc::unbounded_channel();
        let (outgoing, finished) = mpsc::unbounded_channel();
        let slots = Slots::new(policy.concurrency);
        let keys = Prefix::default().queue(&policy.name);
        let context = Arc::new(RunContext { policy, keys, handlers, observer: Arc::new(()) });
        let execute = Arc::new(RunAndPass { context: context.clone(), finished: outgoing });
        tokio::spawn(ApalisRunner.run("measured".to_owned(), incoming, execute));
        Self { context, leases: Arc::default(), slots, quarantine: Quarantine::default(), jobs, finished }
    }

    /// Runs jobs with these bodies to their ends. Answers the bytes of their records.
    ///
    /// # Panics
    /// When there are more than the queue has places, or the runtime has ended.
    pub async fn run(&mut self, bodies: Vec<(JobId, Vec<u8>)>) -> usize {
        let stop = CancellationToken::new();
        let mut places = self.slots.take(bodies.len(), &stop).await.expect("nobody stops it");
        let count = bodies.len();
        let runs = bodies.iter().map(|(id, _)| RunId { id: *id, run: 1 });
        let holds = self.leases.hold(runs, Instant::now(), self.context.policy.lease);
        let lease = |((id, bytes), hold): ((JobId, Vec<u8>), Hold)| {
            let run = RunId { id, run: 1 };
            let place = places.split_off().expect("a place for each");
            let slot = Slot { hold, place, leave: Leave::default() };
            let body = admit(&self.context, id, 1, 1, &bytes, 0);
            let mut leased = Leased { run, marks: RareMarks::default(), body, bytes, slot };
            let care = self.quarantine.admit(&mut leased, self.context.policy.max_deliveries);
            assert_eq!(care, Care::None, "nobody lost a worker");
            leased
        };
        let leased = bodies.into_iter().zip(holds).map(lease).collect();
        assert!(self.jobs.send(leased).is_ok(), "the runtime goes on");
        let mut batch = Vec::with_capacity(count);
        while batch.len() < count {
            let left = count - batch.len();
            assert_ne!(self.finished.recv_many(&mut batch, left).await, 0, "the runtime goes on");
        }
        batch.iter().map(|run| run.settlement.record.len()).sum()
    }
}
