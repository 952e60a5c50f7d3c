//! Running: from leased bytes to a verdict.
//!
//! 1. read the envelope, or find out why it cannot be run here
//! 2. run the processor under its time limit, until it ends or has to stop
//! 3. decide, and write down what happened
//!
//! Nothing here talks to Redis: the result is a [`Finished`] run for the settler.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use flota_producer::{
    Envelope, EnvelopeError, JobId,
    keys::{MAX_NAME, QueueKeys},
};
use tokio::time::timeout;
use tracing::{Instrument, warn};

use crate::{
    event::{Event, Observer},
    failpoint,
    failure::{ErrorClass, Failure, Remedy},
    lease::{Stop, StopReason},
    leased::{Body, Finished, Leased},
    policy::{self, Ended, QueuePolicy, Verdict},
    processor::Job,
    record::{Record, Status},
    registry::Handlers,
    store::{Settlement, Step},
};

/// How long a lease is kept for a result that waits for Redis.
const UNSETTLED: Duration = Duration::from_hours(1);

/// What every run of one queue shares.
pub(crate) struct RunContext {
    pub(crate) policy: QueuePolicy,
    pub(crate) keys: QueueKeys,
    pub(crate) handlers: Handlers,
    pub(crate) observer: Arc<dyn Observer>,
}

/// Reads the bytes of a job. `now_ms` is the time of Redis at the fetch.
pub(crate) fn admit(
    context: &RunContext,
    id: JobId,
    run: u32,
    attempt: u32,
    bytes: &[u8],
    now_ms: u64,
) -> Body {
    let envelope = match Envelope::decode(bytes) {
        Ok(envelope) => envelope,
        Err(error @ EnvelopeError::UnknownVersion { .. }) => {
            return Body::Not(Box::new(Ended::Unreadable(error.to_string())), None);
        }
        Err(error) => {
            let message = format!(
                "{error}: {}",
                std::error::Error::source(&error).map_or_else(String::new, ToString::to_string)
            );
            let failure = Failure::new(ErrorClass::Undecodable, Remedy::Bury, message);
            return Body::Not(Box::new(Ended::Failed(failure)), None);
        }
    };
    let job = Box::new(Job { id, queue: context.policy.name.clone(), run, attempt, envelope });
    if !context.handlers.knows(&job.envelope.kind) {
        let reason = format!("no processor for kind `{}` in this release", shown(&job.envelope.kind));
        return Body::Not(Box::new(Ended::Unreadable(reason)), Some(job));
    }
    if job.envelope.deadline.is_some_and(|deadline| deadline <= now_ms) {
        return Body::Not(Box::new(Ended::Expired), Some(job));
    }
    Body::Job(job)
}

/// A kind that anybody may have written, short enough for a sentence and without characters that steer terminals.
fn shown(kind: &str) -> String {
    kind.chars().take(MAX_NAME).filter(|c| !c.is_control()).collect()
}

/// Runs a leased job to its end.
pub(crate) fn run(context: Arc<RunContext>, leased: Leased) -> impl Future<Output = Finished> {
    // A block holds what it takes once; an async function would hold its arguments twice, for every job under way.
    let Leased { run, marks, body, bytes, mut slot } = leased;
    async move {
        let started = Instant::now();
        let stop = slot.hold.stop();
        let (ended, job) = match (stop.reason(), body) {
            // It was told to stop before it could start.
            (Some(reason), Body::Job(job) | Body::Not(_, Some(job))) => (stopped_by(reason), Some(job)),
            (_, Body::Not(ended, job)) => (*ended, job),
            (None, Body::Job(job)) => (process(&context, &job, stop, started).await, Some(job)),
        };
        let now = Instant::now();
        let ran = now - started;
        stop.keep_from(now, UNSETTLED);
        // A run that was told to stop for a lost lease must not be heard, even if it just finished. It asks to be released,
        // and the fence decides: a lease that is still ours gives the job back at once, one that is gone changes nothing.
        let ended = if stop.reason() == Some(StopReason::LeaseLost) { Ended::Lost } else { ended };
        let max_attempts = job.as_ref().and_then(|job| job.envelope.max_attempts);
        let verdict = policy::decide(&ended, &marks, max_attempts, &context.policy, rand::random());
        let mut told =
            Told { context: &context, run, marks: &marks, job: job.as_deref(), bytes: &bytes, ran };
        let settlement = told.settlement(&ended, verdict);
        told.log(&ended, verdict);
        let class = if let Ended::Failed(failure) = &ended { Some(failure.class) } else { None };
        let kind = job.map(|job| job.envelope.kind).unwrap_or_default();
        slot.place.free();
        Finished { settlement, verdict, class, kind, ran, slot }
    }
}

async fn process(context: &RunContext, job: &Job, stop: &Stop, now: Instant) -> Ended {
    let kind = job.envelope.kind.as_str();
    context.observer.observe(&Event::Started { queue: &job.queue, kind, id: job.id, run: job.run });
    let span = context.observer.span(job);
    let limit = job.envelope.timeout_ms.map_or(context.policy.timeout, Duration::from_millis);
    stop.keep_from(now, limit.saturating_add(context.policy.lease));
    tokio::select! {
        biased;
        reason = stop.stopped() => stopped_by(reason),
        result = timeout(limit, context.handlers.run(job).instrument(span.clone())) => match result {
            Ok(Ok(receipt)) => {
                failpoint!("run-returned");
                Ended::Done(receipt)
            }
            Ok(Err(failure)) => {
                span.record("error.type", failure.class.word()).record("otel.status_code", "ERROR");
                Ended::Failed(failure)
            }
            Err(_) => Ended::Failed(context.handlers.cut_off(kind, limit)),
        },
    }
}

fn stopped_by(reason: StopReason) -> Ended {
    match reason {
        StopReason::Cancelled => Ended::Cancelled,
        StopReason::Shutdown => Ended::Released,
        StopReason::LeaseLost => Ended::Lost,
    }
}

/// A run that is over, and how to tell of it.
struct Told<'a> {
    context: &'a RunContext,
    run: crate::store::RunId,
    marks: &'a crate::marks::Marks,
    job: Option<&'a Job>,
    bytes: &'a [u8],
    ran: Duration,
}

impl Told<'_> {
    fn settlement(&mut self, ended: &Ended, verdict: Verdict) -> Settlement {
        let failure = if let Ended::Failed(failure) = ended { Some(failure) } else { None };
        let why = failure.map(|failure| failure.class);
        let note = failure.map(|failure| &*failure.message);
        let excused = || self.marks.excused(self.run.run, why, note).to_string();
        let (step, marks, status) = match verdict {
            Verdict::Complete => (Step::End, String::new(), Some(Status::Succeeded)),
            Verdict::Bury => (Step::End, String::new(), Some(Status::Dead)),
            Verdict::Cancel => (Step::End, String::new(), Some(Status::Cancelled)),
            Verdict::Expire => (Step::End, String::new(), Some(Status::Expired)),
            Verdict::Retry(after) => {
                let class = why.unwrap_or(ErrorClass::Internal);
                (
                    Step::Delay(after),
                    self.marks.charged(self.run.run, class, note.unwrap_or_default()).to_string(),
                    Some(Status::Retried),
                )
            }
            Verdict::Park(after) => (Step::Delay(after), excused(), None),
            Verdict::Release => (Step::Release, excused(), None),
            Verdict::Shelve => {
                let reason =
                    if let Ended::Unreadable(reason) = ended { reason.clone() } else { String::new() };
                (Step::Shelve(reason), excused(), None)
            }
        };
        let envelope = self.job.map(|job| &job.envelope);
        Settlement {
            run: self.run,
            step,
            marks,
            record: status.map_or_else(String::new, |status| self.record(ended, status).encode()),
            unique: envelope.map(|envelope| self.context.keys.unique_of(envelope)).unwrap_or_default(),
            line: envelope.map(|envelope| self.context.keys.line_of(envelope)).unwrap_or_default(),
            priority: envelope.map(|envelope| envelope.priority).unwrap_or_default(),
        }
    }

    fn record(&self, ended: &Ended, status: Status) -> Record {
        let mut record = match self.job {
            Some(job) => Record::of(self.run.id, &job.envelope, status),
            None => Record::unreadable(self.run.id, status),
        };
        record.run = self.run.run;
        record.attempt = self.marks.attempt + 1;
        record.ran_us = self.ran.as_micros() as u64;
        record = match ended {
            Ended::Done(receipt) => record.with_receipt(receipt),
            Ended::Failed(failure) => record.with_failure(failure),
            _ => record,
        };
        if status == Status::Dead { record.with_envelope(self.bytes) } else { record }
    }

    fn log(&self, ended: &Ended, verdict: Verdict) {
        let (id, queue) = (self.run.id, &self.context.policy.name);
        match (ended, verdict) {
            (Ended::Failed(failure), Verdict::Retry(after)) => warn!(
                job.id = %id, queue.name = %queue, error.class = failure.class.word(), code = failure.code,
                "Job {id} failed, trying again in {after:.1?}: {failure}"
            ),
            (Ended::Failed(failure), Verdict::Park(after)) => warn!(
                job.id = %id, queue.name = %queue, error.class = failure.class.word(), code = failure.code,
                "Job {id} has to wait {after:.1?}: {failure}"
            ),
            (Ended::Failed(failure), _) => warn!(
                job.id = %id, queue.name = %queue, error.class = failure.class.word(), code = failure.code,
                "Job {id} is dead: {failure}"
            ),
            (Ended::Unreadable(reason), _) => warn!(
                job.id = %id, queue.name = %queue, "Job {id} is parked for a newer worker: {reason}"
            ),
            _ => {}
        }
    }
}
