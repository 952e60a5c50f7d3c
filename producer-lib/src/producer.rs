//! Enqueueing: check, encode, send, and say exactly what is known of the result.
//!
//! Jobs are grouped by queue and sent in batches, one script call each. A job with an idempotency key is sent again
//! when its reply was lost; one without is reported as [`EnqueueError::Unknown`], never guessed about.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use futures_util::{StreamExt, stream};

use crate::{
    clock,
    envelope::{Envelope, MAX_BYTES},
    error::EnqueueError,
    job_id::JobId,
    keys::{Prefix, QueueKeys},
    link::{Link, LinkError},
    new_job::NewJob,
    outgoing::{Answer, Dedup, Outgoing, body_hash, enqueue},
    settings::Settings,
};

/// Jobs of one call where there are many: enough that the call itself costs nothing, and few enough that the next ones
/// are made ready while Redis works on these.
const PART: usize = 200;
/// Calls under way at the same time.
const AT_ONCE: usize = 3;
/// How often a keyed job is sent when replies keep getting lost.
const TRIES: usize = 4;

/// Puts jobs into queues. Cheap to share by reference; one per process is enough.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use flota_producer::{EmailBody, NewJob, Producer, SendEmail, Settings};
///
/// let producer = Producer::new(Settings::from_env()?)?;
/// let mail = SendEmail::new("ana@example.com", EmailBody::text("Hi", "Hello"));
/// let receipt = producer.enqueue(NewJob::new(mail).tenant("acme").key("welcome-ana")).await?;
/// println!("accepted as {}", receipt.id);
/// # Ok(()) }
/// ```
pub struct Producer {
    link: Link,
    prefix: Prefix,
    max_bytes: usize,
    /// Queues that this producer has put on the list of queues.
    announced: Mutex<HashSet<String>>,
}

/// Proof that a job was accepted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Receipt {
    /// Id of the job: the new one, or the one that was there first.
    pub id: JobId,
    /// Queue that it waits in.
    pub queue: String,
    /// Its kind.
    pub kind: String,
    /// True when an earlier job with the same idempotency or unique key stands for this one.
    pub deduplicated: bool,
}

/// Jobs that are sent together, each with its place in the list.
type Part = Vec<(usize, NewJob)>;

type Outcome = Result<Receipt, EnqueueError>;

impl Producer {
    /// A producer that dials on first use.
    ///
    /// # Errors
    /// [`EnqueueError::Unreachable`] when the address is not one that the driver understands.
    pub fn new(settings: Settings) -> Result<Self, EnqueueError> {
        let link = Link::new(settings.address()).map_err(EnqueueError::Unreachable)?;
        let max_bytes = settings.max_bytes.min(MAX_BYTES);
        Ok(Self { link, prefix: settings.prefix, max_bytes, announced: Mutex::default() })
    }

    /// Enqueues one job. When this returns a receipt, Redis has it.
    pub async fn enqueue(&self, job: NewJob) -> Outcome {
        let queue = job.queue.clone();
        let (_, outcome) = self.send(&queue, vec![(0, job)]).await.pop().expect("one job gives one outcome");
        if outcome.is_ok() {
            self.announce(&queue).await;
        }
        outcome
    }

    /// Enqueues many jobs, of any queues, some hundred in a call. One outcome per job, in the same order; some may be
    /// accepted and others not. What is accepted waits in the order of the list.
    pub async fn enqueue_all(&self, jobs: Vec<NewJob>) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = Vec::new();
        outcomes.resize_with(jobs.len(), || None);
        // A call that is repeated must not come behind the next one.
        let at_once = if jobs.iter().any(|job| job.order.is_some()) { 1 } else { AT_ONCE };
        for (queue, parts) in parts(jobs) {
            let mut calls = stream::iter(parts).map(|part| self.send(&queue, part)).buffered(at_once);
            let mut accepted = false;
            while let Some(answered) = calls.next().await {
                for (place, outcome) in answered {
                    accepted |= outcome.is_ok();
                    outcomes[place] = Some(outcome);
                }
            }
            if accepted {
                self.announce(&queue).await;
            }
        }
        outcomes.into_iter().map(|outcome| outcome.expect("every job was refused or sent")).collect()
    }

    /// Most bytes of one envelope.
    #[cfg(feature = "outbox")]
    pub(crate) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    fn prepare(&self, place: usize, job: NewJob, keys: &QueueKeys) -> Result<Outgoing, EnqueueError> {
        let (when, window) = (job.when, job.key_window);
        let (envelope, bytes) = sealed(job, self.max_bytes)?;
        let tenant = envelope.tenant.as_deref();
        let unique = envelope.unique.as_deref().map(|key| keys.unique(tenant, key));
        let line = envelope.order().map(|key| keys.line(tenant, key));
        let key = envelope.key.as_ref().map(|name| Dedup {
            name: name.clone(),
            redis_key: keys.dedup(tenant, name),
            body_hash: body_hash(&envelope),
            window_ms: window.as_millis() as u64,
        });
        let priority = envelope.priority;
        let (id, kind) = (JobId::mint(), envelope.kind);
        Ok(Outgoing { place, id, kind, bytes, when, priority, key, unique, line })
    }

    /// Sends jobs of one queue until each has an outcome.
    async fn send(&self, queue: &str, jobs: Part) -> Vec<(usize, Outcome)> {
        let keys = self.prefix.queue(queue);
        let (mut waiting, mut outcomes) = (Vec::with_capacity(jobs.len()), Vec::with_capacity(jobs.len()));
        for (place, job) in jobs {
            match self.prepare(place, job, &keys) {
                Ok(job) => waiting.push(job),
                Err(error) => outcomes.push((place, Err(error))),
            }
        }
        let mut attempt = 0;
        while !waiting.is_empty() {
            attempt += 1;
            let sent = std::mem::take(&mut waiting);
            match enqueue(&self.link, &keys, &sent, None).await {
                Ok(answers) => outcomes.extend(
                    sent.into_iter()
                        .zip(answers)
                        .map(|(job, answer)| (job.place, receive(job, queue, answer))),
                ),
                Err(error) => {
                    let is_lost = matches!(error, LinkError::Lost(_));
                    let again = |job: &Outgoing| is_lost && job.key.is_some() && attempt < TRIES;
                    let failed: Vec<Outgoing>;
                    (waiting, failed) = sent.into_iter().partition(again);
                    let tell = |job: Outgoing| (job.place, Err(failure(job.id, attempt, &error)));
                    outcomes.extend(failed.into_iter().map(tell));
                }
            }
        }
        outcomes
    }

    /// Puts a queue on the list that people see, once per producer: a queue without a worker must not be invisible.
    async fn announce(&self, queue: &str) {
        let announced = || self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        if announced().contains(queue) {
            return;
        }
        // The jobs are accepted, and that is what counts; the next call tries again.
        if self.link.query::<()>(redis::cmd("SADD").arg(self.prefix.queues()).arg(queue)).await.is_ok() {
            announced().insert(queue.to_owned());
        }
    }
}

/// The envelope of a job, once everything has been checked, and its bytes.
pub(crate) fn sealed(job: NewJob, max_bytes: usize) -> Result<(Envelope, Vec<u8>), EnqueueError> {
    let envelope = job.into_envelope(clock::unix_now_ms())?;
    let bytes = envelope.encode();
    if max_bytes < bytes.len() {
        return Err(EnqueueError::TooLarge { bytes: bytes.len(), limit: max_bytes });
    }
    Ok((envelope, bytes))
}

/// Jobs by queue, and the jobs of a queue in parts that are sent one after the other.
fn parts(jobs: Vec<NewJob>) -> Vec<(String, Vec<Part>)> {
    let mut queues: Vec<(String, Vec<Part>)> = Vec::new();
    for (place, job) in jobs.into_iter().enumerate() {
        let at = queues.iter().position(|(name, _)| *name == job.queue).unwrap_or_else(|| {
            queues.push((job.queue.clone(), Vec::new()));
            queues.len() - 1
        });
        let parts = &mut queues[at].1;
        match parts.last_mut() {
            Some(part) if part.len() < PART => part.push((place, job)),
            _ => parts.push(vec![(place, job)]),
        }
    }
    queues
}

fn receive(job: Outgoing, queue: &str, answer: Answer) -> Outcome {
    let id = match answer {
        Answer::Queued => job.id,
        Answer::StoodFor(other) => other,
        Answer::Full => return Err(EnqueueError::QueueFull { queue: queue.to_owned() }),
        Answer::Conflict(first) => {
            let key = job.key.map_or_else(String::new, |key| key.name);
            return Err(EnqueueError::KeyConflict { key, first });
        }
        Answer::Late => unreachable!("a producer's call has no end"),
    };
    // A repeat after a lost reply meets itself: that is acceptance, not a duplicate.
    let deduplicated = id != job.id;
    Ok(Receipt { id, queue: queue.to_owned(), kind: job.kind, deduplicated })
}

/// At the first send, a missing connection and a refusal are certain; after a lost reply they leave the result open.
fn failure(id: JobId, attempt: usize, error: &LinkError) -> EnqueueError {
    let source = error.redis().clone();
    match error {
        LinkError::Lost(_) => EnqueueError::Unknown { id, source },
        _ if 1 < attempt => EnqueueError::Unknown { id, source },
        LinkError::Down(_) => EnqueueError::Unreachable(source),
        LinkError::Refused(_) => EnqueueError::Refused(source),
    }
}
