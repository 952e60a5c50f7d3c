//! What the engine tells: one value per thing that happened. Metrics listen, and tests wait.

use std::time::Duration;

use flota_producer::JobId;

use tracing::Span;

use crate::{failure::ErrorClass, policy::Verdict, processor::Job};

/// Something that happened in the engine.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A fetch was answered, with jobs or without.
    Fetched { queue: &'a str },
    /// A run was given to a processor.
    Started { queue: &'a str, kind: &'a str, id: JobId, run: u32 },
    /// A verdict was carried out in Redis.
    Settled {
        queue: &'a str,
        kind: &'a str,
        id: JobId,
        run: u32,
        verdict: Verdict,
        class: Option<ErrorClass>,
        ran: Duration,
    },
    /// A run lost its lease: nothing it said was heard.
    LeaseLost { queue: &'a str, id: JobId, run: u32 },
    /// Runs of a vanished worker went back to ready, or were buried.
    Recovered { queue: &'a str, ready_again: usize, buried: usize },
    /// Due jobs became ready.
    Promoted { queue: &'a str, count: usize },
    /// Shelved jobs became ready, since a processor for them is here.
    Unparked { queue: &'a str, count: usize },
    /// Redis has lost everything of a queue.
    Wiped { queue: &'a str },
    /// A loop could not reach Redis, or was refused, and tries again.
    Trouble { queue: &'a str, step: &'a str },
}

/// Hears every event. Called from the engine's own tasks: it must not block.
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn observe(&self, event: &Event<'_>);

    /// The span that a run is in, for log and traces.
    fn span(&self, job: &Job) -> Span {
        job.span()
    }
}

impl<T: Observer + ?Sized> Observer for std::sync::Arc<T> {
    fn observe(&self, event: &Event<'_>) {
        (**self).observe(event);
    }

    fn span(&self, job: &Job) -> Span {
        (**self).span(job)
    }
}

/// Hears nothing.
impl Observer for () {
    fn observe(&self, _: &Event<'_>) {}
}
