//! Enqueueing: check, encode, send, and say exactly what is known of the result.
//!
//! Jobs are grouped by queue and sent in batches, one script call each. A job with an idempotency key is sent again
//! when its reply was lost; one without is reported as [`EnqueueError::Unknown`], never guessed about.

use std::{
    collections::HashSet,
    sync::{LazyLock, Mutex, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};
use redis::Script;

use crate::{
    clock,
    envelope::{Envelope, MAX_BYTES},
    error::EnqueueError,
    job_id::JobId,
    keys::{Prefix, Priority, QueueKeys},
    link::{Link, LinkError},
    new_job::{NewJob, When},
    script::script,
    settings::Settings,
};

/// Most jobs in one script call: what Lua can unpack, with room to spare.
pub const BATCH: usize = 500;

/// How often a keyed job is sent when replies keep getting lost.
const TRIES: usize = 4;

static ENQUEUE: LazyLock<Script> = LazyLock::new(|| script("enqueue", include_str!("scripts/enqueue.lua")));

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

/// A checked job on its way.
pub(crate) struct Outgoing {
    /// Place in the caller's list.
    pub(crate) place: usize,
    pub(crate) id: JobId,
    pub(crate) kind: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) when: When,
    pub(crate) priority: Priority,
    pub(crate) key: Option<Dedup>,
    pub(crate) unique: Option<String>,
    pub(crate) line: Option<String>,
}

pub(crate) struct Dedup {
    pub(crate) name: String,
    pub(crate) redis_key: String,
    pub(crate) body_hash: String,
    pub(crate) window_ms: u64,
}

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
        let mut outcomes = self.enqueue_all(vec![job]).await;
        outcomes.pop().expect("one job gives one outcome")
    }

    /// Enqueues many jobs, of any queues, in batches of [`BATCH`]. One outcome per job, in the same order; some
    /// may be accepted and others not.
    pub async fn enqueue_all(&self, jobs: Vec<NewJob>) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = Vec::new();
        outcomes.resize_with(jobs.len(), || None);
        let mut queues: Vec<(String, Vec<Outgoing>)> = Vec::new();
        for (place, job) in jobs.into_iter().enumerate() {
            let queue = job.queue.clone();
            match self.prepare(place, job) {
                Err(error) => outcomes[place] = Some(Err(error)),
                Ok(job) => match queues.iter_mut().find(|(name, _)| *name == queue) {
                    Some((_, batch)) => batch.push(job),
                    None => queues.push((queue, vec![job])),
                },
            }
        }
        for (queue, jobs) in queues {
            for batch in jobs.chunks(BATCH) {
                self.send(&queue, batch, &mut outcomes).await;
            }
            if jobs.iter().any(|job| matches!(outcomes[job.place], Some(Ok(_)))) {
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

    fn prepare(&self, place: usize, job: NewJob) -> Result<Outgoing, EnqueueError> {
        let (when, window, queue) = (job.when, job.key_window, job.queue.clone());
        let (envelope, bytes) = sealed(job, self.max_bytes)?;
        let keys = self.prefix.queue(&queue);
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

    /// Sends one batch until every job in it has an outcome.
    async fn send(&self, queue: &str, batch: &[Outgoing], outcomes: &mut [Option<Outcome>]) {
        let keys = self.prefix.queue(queue);
        let mut waiting: Vec<&Outgoing> = batch.iter().collect();
        for attempt in 1..=TRIES {
            match call(&self.link, &keys, &waiting, None).await {
                Ok(answers) => {
                    for (job, answer) in waiting.iter().zip(answers) {
                        outcomes[job.place] = Some(receive(job, queue, answer));
                    }
                    return;
                }
                Err(LinkError::Lost(source)) => {
                    let (again, unknown): (Vec<&Outgoing>, Vec<&Outgoing>) =
                        waiting.into_iter().partition(|job| job.key.is_some() && attempt < TRIES);
                    for job in unknown {
                        outcomes[job.place] =
                            Some(Err(EnqueueError::Unknown { id: job.id, source: source.clone() }));
                    }
                    waiting = again;
                }
                Err(error @ (LinkError::Down(_) | LinkError::Refused(_))) => {
                    return refuse(&waiting, outcomes, attempt, &error);
                }
            }
            if waiting.is_empty() {
                return;
            }
        }
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

/// One script call for at most [`BATCH`] jobs. After `not_after`, Unix ms by the clock of Redis, it changes nothing.
pub(crate) async fn call(
    link: &Link,
    keys: &QueueKeys,
    jobs: &[&Outgoing],
    not_after: Option<u64>,
) -> Result<Vec<Answer>, LinkError> {
    let mut call = ENQUEUE.key(keys.jobs());
    for priority in [Priority::Normal, Priority::High, Priority::Low] {
        call.key(keys.ready(priority));
    }
    call.key(keys.delayed()).key(keys.bell()).key(keys.config()).key(keys.in_line());
    for job in jobs {
        call.arg(job.id).arg(&job.bytes).arg(due(job.when)).arg(job.priority.mark());
        match &job.key {
            Some(key) => call.arg(&key.redis_key).arg(&key.body_hash).arg(key.window_ms),
            None => call.arg("").arg("").arg(""),
        };
        call.arg(job.unique.as_deref().unwrap_or_default()).arg(job.line.as_deref().unwrap_or_default());
    }
    if let Some(not_after) = not_after {
        call.arg(not_after);
    }
    link.invoke(&call).await
}

/// One word, and the id of the other job or an empty string.
pub(crate) type Answer = (String, String);

fn receive(job: &Outgoing, queue: &str, (word, other): Answer) -> Outcome {
    let other = other.parse().unwrap_or(job.id);
    let receipt = |id: JobId| Receipt {
        id,
        queue: queue.to_owned(),
        kind: job.kind.clone(),
        // A repeat after a lost reply meets itself: that is acceptance, not a duplicate.
        deduplicated: id != job.id,
    };
    match word.as_str() {
        "queued" => Ok(receipt(job.id)),
        "duplicate" | "taken" => Ok(receipt(other)),
        "full" => Err(EnqueueError::QueueFull { queue: queue.to_owned() }),
        "conflict" => {
            let key = job.key.as_ref().map_or_else(String::new, |key| key.name.clone());
            Err(EnqueueError::KeyConflict { key, first: other })
        }
        word => unreachable!("enqueue.lua never answers {word:?}"),
    }
}

/// At the first send, a missing connection and a refusal are certain; after a lost reply they leave the result open.
fn refuse(jobs: &[&Outgoing], outcomes: &mut [Option<Outcome>], attempt: usize, error: &LinkError) {
    for job in jobs {
        let source = error.redis().clone();
        outcomes[job.place] = Some(Err(match error {
            _ if 1 < attempt => EnqueueError::Unknown { id: job.id, source },
            LinkError::Down(_) => EnqueueError::Unreachable(source),
            _ => EnqueueError::Refused(source),
        }));
    }
}

fn due(when: When) -> String {
    match when {
        When::Now => String::new(),
        When::After(delay) => format!("+{}", delay.as_millis()),
        When::At(unix_ms) => format!("@{unix_ms}"),
    }
}

/// What makes two jobs with one key the same job: kind and payload. 128 bits are plenty to tell them apart.
pub(crate) fn body_hash(envelope: &Envelope) -> String {
    let input = format!("{}\0{}", envelope.kind, envelope.payload.get());
    hex::encode(&digest(&SHA256, input.as_bytes()).as_ref()[..16])
}
