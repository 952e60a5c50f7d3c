//! What is enqueued, and how the workers are set that run it.

use std::{iter, time::Duration};

use flota_engine::control::{self, Note, Setting};
use flota_producer::{NewJob, Priority, Producer, Settings, Trace, keys::Prefix};

use crate::bench::{
    case::Case,
    ground::{Field, Fsync},
    payload::{self, QUEUE},
};

/// Slots of a worker where nothing else is said.
pub(super) const SLOTS: usize = 1_024;
/// Jobs handed over at once; the producer sends them in batches of its own.
const AT_ONCE: usize = 5_000;
/// How far delayed jobs are put off.
pub(super) const DELAY: Duration = Duration::from_secs(1);
/// Lines of jobs that run in order.
const LINES: usize = 1_000;
/// A rate that is counted and never reached.
const UNREACHED: &str = "1000000/s";

/// Jobs of one case, and the workers for them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) case: Case,
    pub(super) jobs: usize,
    pub(super) processes: usize,
    pub(super) slots: usize,
    pub(super) fsync: Fsync,
}

impl Load {
    /// So many for one worker.
    pub(super) fn of(case: Case, jobs: usize) -> Self {
        Self { case, jobs, processes: 1, slots: SLOTS, fsync: Fsync::EverySecond }
    }

    /// The job with this number, with what the case adds to it.
    fn job(self, number: usize) -> NewJob {
        let job = payload::job(number);
        match self.case {
            Case::DedupKey => job.key(format!("key-{number}")),
            Case::Unique => job.unique(format!("unique-{number}")),
            Case::Delayed => job.after(DELAY),
            Case::Priority => job.priority([Priority::High, Priority::Normal, Priority::Low][number % 3]),
            Case::InOrder => job.in_order(format!("line-{}", number % LINES)),
            Case::Tracing => job.trace(trace(number)),
            _ => job,
        }
    }

    /// Sets what the case sets for the whole queue.
    pub(super) async fn set_up(self, field: &Field<'_>) -> anyhow::Result<()> {
        if self.case == Case::Limits {
            let keys = Prefix::default().queue(QUEUE);
            let rate = Setting::rate(vec![UNREACHED.parse()?])?;
            control::set(&field.link, &keys, &rate, &Note::default()).await?;
        }
        Ok(())
    }

    /// Enqueues everything in bulk, by one caller; the payloads are made meanwhile, as peers make theirs.
    pub(super) async fn enqueue(self, field: &Field<'_>) -> anyhow::Result<()> {
        let producer = producer(field)?;
        let mut numbers = 0..self.jobs;
        let batches = iter::from_fn(|| {
            let batch: Vec<NewJob> = numbers.by_ref().take(AT_ONCE).map(|number| self.job(number)).collect();
            (!batch.is_empty()).then_some(batch)
        });
        for batch in batches {
            for outcome in producer.enqueue_all(batch).await {
                anyhow::ensure!(!outcome?.deduplicated, "a job was taken for another one");
            }
        }
        Ok(())
    }
}

/// A producer that has not dialled yet.
pub(super) fn producer(field: &Field<'_>) -> anyhow::Result<Producer> {
    Ok(Producer::new(Settings::from_url(&field.redis_url)?)?)
}

fn trace(number: usize) -> Trace {
    let (trace, span) = (number + 1, number + 1);
    Trace { traceparent: format!("00-{trace:032x}-{span:016x}-01"), tracestate: None }
}
