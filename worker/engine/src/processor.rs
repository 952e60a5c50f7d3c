//! What a job kind has to offer, and what it is given.

use std::{borrow::Cow, future::Future, sync::Arc};

use flota_producer::{Envelope, JobId, Payload};
use serde_json::Value;
use tracing::{Span, field::Empty, info_span};
use uuid::Uuid;

use crate::failure::{ErrorClass, Failure};

/// Longest time between minting an id and stamping its envelope, ms: one statement after the other.
const MINTED_WITHIN_MS: u64 = 1_000;

/// Carries out one kind of job. The payload itself is the processor: what it needs comes in as `services`.
///
/// A run may be stopped at any await point (timeout, cancel, shutdown, lost lease), and may be repeated after a fault,
/// so an outside effect should carry the job's id as its idempotency key.
pub trait Processor<S>: Payload {
    /// What a run that is repeated after a fault means outside. People read it in `flota queue get` and in
    /// docs/guarantees.md.
    const IF_REPEATED: IfRepeated;

    /// What a run is that its time limit cut off, whatever it was doing. [`ErrorClass::Ambiguous`] for work that a repeat
    /// does twice: it may have been done just before.
    const CUT_OFF: ErrorClass = ErrorClass::Timeout;

    /// The processor's own error; it must say what class of failure it is.
    type Error: Into<Failure>;

    /// Does the work once.
    fn run(self, job: &Job, services: &S) -> impl Future<Output = Result<Receipt, Self::Error>> + Send;
}

/// What it means outside when a run is repeated after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct IfRepeated {
    /// What happens at worst.
    pub at_worst: &'static str,
    /// What goes along with every run of a job, so that a repeat can be known, and for how long it is honoured.
    pub key: &'static str,
    /// What the other side should do.
    pub receiver: &'static str,
}

/// The job that a processor works on.
#[derive(Debug)]
pub struct Job {
    /// Its id, the same on every run.
    pub id: JobId,
    /// Queue it came from.
    pub queue: Arc<str>,
    /// Number of this run: rises with every fetch.
    pub run: u32,
    /// Number of this try, from 1: rises with every failed one.
    pub attempt: u32,
    /// Everything that was enqueued.
    pub envelope: Envelope,
}

impl Job {
    /// The span of its run. What is empty at first is for whoever follows traces.
    pub fn span(&self) -> Span {
        let (id, mut letters) = (self.id.uuid().hyphenated(), Uuid::encode_buffer());
        info_span!(
            "run",
            job.id = &*id.encode_lower(&mut letters),
            job.kind = self.envelope.kind,
            job.attempt = self.attempt,
            queue.name = &*self.queue,
            tenant = self.envelope.tenant.as_deref(),
            trace_id = self.trace_id(),
            otel.name = Empty,
            otel.kind = Empty,
            otel.status_code = Empty,
            error.r#type = Empty,
        )
    }

    /// True for a job that repeats a dead letter: it has the letter's envelope to the byte, and an id of its own that was
    /// minted later.
    pub fn is_replay(&self) -> bool {
        let minted_later = |minted: u64| self.envelope.at.saturating_add(MINTED_WITHIN_MS) < minted;
        self.envelope.replay_of.is_some() || self.id.minted_ms().is_some_and(minted_later)
    }

    /// The trace that the job was enqueued in, as logs are searched for it.
    fn trace_id(&self) -> Option<&str> {
        // W3C Trace Context, section 3.2.2: version, trace id, parent id and flags between hyphens.
        self.envelope.trace.as_ref()?.traceparent.split('-').nth(1).filter(|id| id.len() == 32)
    }
}

/// What a finished run leaves behind, kept in Postgres.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Receipt {
    /// Who did it, for example `smtp`.
    pub provider: Option<Cow<'static, str>>,
    /// The provider's name for it, for example a Message-ID.
    pub provider_ref: Option<String>,
    /// A small result. Large ones go to storage, and their reference here.
    pub result: Option<Value>,
}
