//! Settling: what happens in Redis once runs have ended.
//!
//! `decide` has already chosen; this loop only carries it out. One call is in flight at a time: while it is under way
//! the next batch gathers, so an idle queue settles at once and a busy one in batches, without any waiting on purpose.
//! When Redis is away the batch is kept and sent again. A run whose lease is gone is answered as lost and nothing
//! changes; after a repeated call that may also mean that the first call had settled it.

use std::{sync::Arc, time::Duration};

use flota_producer::{keys::QueueKeys, link::Link};
use tokio::{sync::mpsc, time::sleep};
use tracing::{error, warn};

use crate::{
    event::{Event, Observer},
    lease::Hold,
    leased::Finished,
    store::{self, BATCH, Settlement},
};

/// Most bytes of records in one call, so that a batch of dead letters does not hold Redis up, and in one entry of the
/// outcomes stream, of which recorders read many at once. Ordinary records never come near it.
const MAX_RECORD_BYTES: usize = 256 * 1024;
/// Pause between two tries while Redis is away.
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) struct Settler {
    pub(crate) queue: Arc<str>,
    pub(crate) worker: Arc<str>,
    pub(crate) link: Link,
    pub(crate) keys: QueueKeys,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Settler {
    /// Settles until every sender is gone and everything received is settled.
    pub(crate) async fn run(self, mut finished: mpsc::UnboundedReceiver<Finished>) {
        let mut batch = Vec::with_capacity(BATCH);
        while 0 < finished.recv_many(&mut batch, BATCH).await {
            let mut rest = batch.as_slice();
            while !rest.is_empty() {
                let (now, later) = rest.split_at(fitting(rest));
                self.settle(now).await;
                rest = later;
            }
            Hold::give_up(batch.iter_mut().map(|run| &mut run.slot.hold));
            batch.clear();
        }
    }

    async fn settle(&self, batch: &[Finished]) {
        let settlements: Vec<&Settlement> = batch.iter().map(|run| &run.settlement).collect();
        let (lost, repeated) = self.until_answered(&settlements).await;
        for (n, run) in batch.iter().enumerate() {
            match lost.binary_search(&n) {
                Ok(_) if !repeated => self.lost(run),
                _ => self.settled(run),
            }
        }
    }

    /// Calls until Redis answers. Says whether it had to be called again after a call that may have been carried out, or
    /// some of it.
    async fn until_answered(&self, batch: &[&Settlement]) -> (Vec<usize>, bool) {
        let (mut repeated, mut told) = (false, false);
        loop {
            let error = match store::settle(&self.link, &self.keys, &self.worker, batch).await {
                Ok(lost) => return (lost, repeated),
                Err(error) => error,
            };
            repeated |= !error.is_certain();
            self.observer.observe(&Event::Trouble { queue: &self.queue, step: "settle" });
            if !told {
                told = true;
                warn!(
                    queue.name = %self.queue, runs = batch.len(), error = &error as &dyn std::error::Error,
                    "{} finished runs of queue {} wait for Redis: {}", batch.len(), self.queue, error.redis(),
                );
            }
            sleep(PAUSE).await;
        }
    }

    fn settled(&self, run: &Finished) {
        self.observer.observe(&Event::Settled {
            queue: &self.queue,
            kind: &run.kind,
            id: run.id(),
            run: run.settlement.run.run,
            verdict: run.verdict,
            class: run.class,
            ran: run.ran,
        });
    }

    fn lost(&self, run: &Finished) {
        let (id, number) = (run.id(), run.settlement.run.run);
        error!(job.id = %id, queue.name = %self.queue, "Run {number} of job {id} lost its lease: its result is not heard");
        self.observer.observe(&Event::LeaseLost { queue: &self.queue, id, run: number });
    }
}

/// How many of these fit into one call, at least one.
fn fitting(batch: &[Finished]) -> usize {
    let mut bytes = 0;
    let over = batch.iter().position(|run| {
        bytes += run.settlement.record.len();
        MAX_RECORD_BYTES < bytes
    });
    over.map_or(batch.len(), |position| position.max(1))
}
