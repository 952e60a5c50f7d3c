//! What a job kind has to offer, and what it is given.

use std::{borrow::Cow, future::Future, sync::Arc};

use flota_producer::{Envelope, JobId, Payload};
use serde_json::Value;

use crate::failure::Failure;

/// Carries out one kind of job. The payload itself is the processor: what it needs comes in as `services`.
///
/// A run may be stopped at any await point (timeout, cancel, shutdown, lost lease), and may be repeated after a fault,
/// so an outside effect should carry the job's id as its idempotency key.
pub trait Processor<S>: Payload {
    /// What a run that is repeated after a fault means outside. People read it in `flota queue get` and in
    /// docs/guarantees.md.
    const IF_REPEATED: IfRepeated;

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
