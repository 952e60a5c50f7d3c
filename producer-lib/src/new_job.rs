//! A job that has not been sent yet: a payload and how it should be run.

use std::time::Duration;

use serde_json::{Map, Value, value::RawValue};

use crate::{
    envelope::{Envelope, Trace},
    job_id::JobId,
    keys::{MAX_NAME, Priority, check_queue_name},
    payload::{Invalid, Payload},
};

/// How long an idempotency key is remembered unless said otherwise.
pub const DEFAULT_KEY_WINDOW: Duration = Duration::from_hours(24);

/// Longest idempotency, unique or ordering key, in bytes.
const MAX_KEY: usize = 200;
/// Furthest that a job may be put off: ten years, so that a wrong unit is noticed.
const MAX_DELAY: Duration = Duration::from_hours(10 * 366 * 24);
/// Longest time that one run may ask for: what queues.toml allows a queue.
const MAX_TIMEOUT: Duration = Duration::from_hours(24);
/// Shortest memory of an idempotency key: longer than a producer keeps trying.
const MIN_KEY_WINDOW: Duration = Duration::from_mins(1);
/// Latest time that a job may be put off to: the last second of the year 9999, in Unix ms.
const MAX_TIME: u64 = 253_402_300_799_000;

/// When a job becomes ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At once.
    Now,
    /// This long after Redis accepted it.
    After(Duration),
    /// At this Unix time in milliseconds, by the clock of Redis; at once when that has passed.
    At(u64),
}

/// A job to be enqueued.
///
/// ```
/// use std::time::Duration;
/// use flota_producer::{EmailBody, NewJob, SendEmail};
///
/// let job = NewJob::new(SendEmail::new("ana@example.com", EmailBody::text("Hi", "Hello")))
///     .tenant("acme")
///     .key("welcome-ana")
///     .after(Duration::from_secs(300));
/// ```
#[derive(Debug, Clone)]
pub struct NewJob {
    pub(crate) kind: String,
    pub(crate) queue: String,
    /// A payload that failed its check is reported by enqueue, so that building a job never fails.
    pub(crate) payload: Result<Box<RawValue>, Invalid>,
    pub(crate) tenant: Option<String>,
    pub(crate) when: When,
    pub(crate) key: Option<String>,
    pub(crate) key_window: Duration,
    pub(crate) unique: Option<String>,
    pub(crate) order: Option<String>,
    pub(crate) priority: Priority,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Option<u64>,
    pub(crate) trace: Option<Trace>,
    pub(crate) parent: Option<JobId>,
    pub(crate) meta: Map<String, Value>,
}

impl NewJob {
    /// A job that runs at once, once, in the payload's own queue.
    pub fn new<P: Payload>(payload: P) -> Self {
        let checked = payload.validate().and_then(|()| {
            serde_json::value::to_raw_value(&payload)
                .map_err(|error| Invalid::new("payload", format!("cannot be written as JSON: {error}")))
        });
        Self::raw(P::KIND, P::QUEUE, checked)
    }

    /// A job of a kind that this program has no struct for. Nothing checks the payload before the worker does.
    pub fn untyped(kind: impl Into<String>, queue: impl Into<String>, payload: Box<RawValue>) -> Self {
        Self::raw(kind, queue, Ok(payload))
    }

    fn raw(
        kind: impl Into<String>,
        queue: impl Into<String>,
        payload: Result<Box<RawValue>, Invalid>,
    ) -> Self {
        Self {
            kind: kind.into(),
            queue: queue.into(),
            payload,
            tenant: None,
            when: When::Now,
            key: None,
            key_window: DEFAULT_KEY_WINDOW,
            unique: None,
            order: None,
            priority: Priority::Normal,
            max_attempts: None,
            timeout: None,
            deadline: None,
            trace: None,
            parent: None,
            meta: Map::new(),
        }
    }

    /// Puts it into another queue than the payload's own.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = queue.into();
        self
    }

    /// Whose work it is. Idempotency and unique keys of different tenants never meet.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Not before this long from now. A day-long delay costs nothing while it waits.
    pub fn after(mut self, delay: Duration) -> Self {
        self.when = When::After(delay);
        self
    }

    /// Not before this Unix time in milliseconds.
    pub fn at(mut self, unix_ms: u64) -> Self {
        self.when = When::At(unix_ms);
        self
    }

    /// Idempotency key: within the window, the same key and payload give the first job back, and the same key
    /// with another payload is a conflict. A lost reply is then retried instead of reported.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// How long the idempotency key is remembered; 24 hours unless set.
    pub fn key_window(mut self, window: Duration) -> Self {
        self.key_window = window;
        self
    }

    /// Unique key: while a job with it is alive (waiting, delayed or running), a second one is not accepted and
    /// the first one's id is returned.
    pub fn unique(mut self, key: impl Into<String>) -> Self {
        self.unique = Some(key.into());
        self
    }

    /// Ordering key: jobs of one queue and tenant with the same key run one after the other, in the order in which they
    /// were enqueued. The next starts when the one before has *ended*: while that waits for another try, all behind it
    /// wait too, and when it is dead or cancelled they go on. Other keys are not affected, and neither are jobs without.
    ///
    /// A job in order starts as soon as its turn comes, so it cannot have a delay. Priorities count between lines, not
    /// within one. Workers of a release that does not know about order park such jobs until a newer one takes them.
    pub fn in_order(mut self, key: impl Into<String>) -> Self {
        self.order = Some(key.into());
        self
    }

    /// Before or after the other jobs of the queue.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Most failed tries before it is buried, in place of the queue's setting.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// Longest time that one run may take, in place of the queue's setting: 1 ms to a day.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Unix time in milliseconds after which it expires instead of starting.
    pub fn deadline(mut self, unix_ms: u64) -> Self {
        self.deadline = Some(unix_ms);
        self
    }

    /// Carries the caller's W3C trace context to the worker.
    pub fn trace(mut self, trace: Trace) -> Self {
        self.trace = Some(trace);
        self
    }

    /// Names the job whose run enqueues this one.
    pub fn parent(mut self, parent: JobId) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Adds a free label.
    pub fn meta(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.meta.insert(name.into(), value.into());
        self
    }

    /// The envelope, once everything has been checked. `now_ms` is the producer's clock in Unix ms.
    pub(crate) fn into_envelope(self, now_ms: u64) -> Result<Envelope, Invalid> {
        self.check()?;
        let dated = self.when != When::Now;
        let mut envelope = Envelope::new(self.kind, self.payload?, now_ms);
        envelope.tenant = self.tenant;
        envelope.max_attempts = self.max_attempts;
        envelope.deadline = self.deadline;
        envelope.timeout_ms = self.timeout.map(|timeout| timeout.as_millis() as u64);
        envelope.priority = self.priority;
        envelope.key = self.key;
        envelope.unique = self.unique;
        envelope.trace = self.trace;
        envelope.parent = self.parent;
        envelope.meta = self.meta;
        if let Some(key) = self.order {
            envelope = envelope.in_order(key);
        }
        envelope.check()?;
        check_terms(&envelope, dated, self.key_window)?;
        Ok(envelope)
    }

    fn check(&self) -> Result<(), Invalid> {
        check_word("queue", &self.queue)?;
        check_word("kind", &self.kind)?;
        Invalid::unless(self.max_attempts != Some(0), "max_attempts", "must be at least 1")?;
        let one_run = Duration::from_millis(1)..=MAX_TIMEOUT;
        let short = self.timeout.is_none_or(|timeout| one_run.contains(&timeout));
        Invalid::unless(short, "timeout", "must be from 1 ms to a day")?;
        let soon = match self.when {
            When::Now => true,
            When::After(delay) => delay <= MAX_DELAY,
            When::At(unix_ms) => unix_ms <= MAX_TIME,
        };
        Invalid::unless(soon, "delay", "must not be longer than ten years, and `at` not after the year 9999")
    }
}

/// Checks a name that people type and that is part of keys or metrics.
fn check_word(field: &str, name: &str) -> Result<(), Invalid> {
    Invalid::unless(check_queue_name(name).is_ok(), field, "must be 1 to 64 of a-z, 0-9, `_`, `-`")
}

/// Checks a tenant's id: it becomes part of a key, so `:` and braces are out.
pub fn check_tenant(tenant: &str) -> Result<(), Invalid> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let valid = (1..=MAX_NAME).contains(&tenant.len()) && tenant.chars().all(plain);
    Invalid::unless(valid, "tenant", "must be 1 to 64 letters, digits, `_`, `-` or `.`")
}

pub(crate) fn check_key(field: &str, key: Option<&str>) -> Result<(), Invalid> {
    let valid =
        key.is_none_or(|key| (1..=MAX_KEY).contains(&key.len()) && !key.chars().any(char::is_control));
    Invalid::unless(valid, field, "must be 1 to 200 bytes without control characters")
}

/// Checks what a job is enqueued with and its envelope does not say, whichever way it comes: whether it has a date, and how
/// long its idempotency key is remembered. All jobs behind one in order that waits for a date would wait for that date.
pub(crate) fn check_terms(envelope: &Envelope, dated: bool, key_window: Duration) -> Result<(), Invalid> {
    let sentence =
        "cannot have a delay or a date: all jobs behind it would wait for that; enqueue it when it is due";
    Invalid::unless(envelope.order().is_none() || !dated, "order", sentence)?;
    let window = (MIN_KEY_WINDOW..=MAX_DELAY).contains(&key_window);
    Invalid::unless(window, "key_window", "must be from a minute to ten years")
}
