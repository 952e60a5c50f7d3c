//! Handing jobs over that were written down elsewhere: envelope and id exist already, only Redis does not know them.
//!
//! The outbox relay of a worker uses this. The same script takes the job as takes one from a producer, with the same
//! checks, but nothing is retried or guessed here: who has the job in writing decides what an answer means.

use std::time::Duration;

use crate::{
    envelope::{Envelope, EnvelopeError, MAX_BYTES},
    job_id::JobId,
    keys::{Priority, QueueKeys},
    link::{Link, LinkError},
    new_job::{DEFAULT_KEY_WINDOW, When, check_terms},
    outgoing::{Answer, Dedup, Outgoing, body_hash, enqueue},
    payload::Invalid,
};

/// A job on its way into one queue.
pub struct Handover {
    outgoing: Outgoing,
    line: Option<String>,
}

/// How a written job wants to be handed over.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Not before this Unix time in milliseconds; `None` for at once.
    pub due_ms: Option<u64>,
    /// How long its idempotency key is remembered; `None` for [`DEFAULT_KEY_WINDOW`].
    pub key_window: Option<Duration>,
    /// False when its idempotency key must not be looked at, because it repeats another job on purpose.
    pub keyed: bool,
}

/// Why a written job cannot be handed over, now or later.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandoverError {
    /// The bytes are no envelope.
    #[error("it is not a job envelope: {0}")]
    Undecodable(#[source] serde_json::Error),
    /// Something in the envelope is not as a producer would have allowed it.
    #[error("the job is not valid: {0}")]
    Invalid(#[from] Invalid),
    /// It is larger than jobs may be.
    #[error(
        "the job has {bytes} bytes, more than the {MAX_BYTES} allowed; store large data and send its reference"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handed {
    /// Redis has it, since now or before.
    Taken,
    /// Another job with its idempotency or unique key stands for it.
    StoodFor(JobId),
    /// Its idempotency key was used by this job for something else.
    Conflict(JobId),
    /// The queue is full.
    Full,
    /// The call came too late and changed nothing.
    Late,
}

impl Handover {
    /// Reads what has to be known of the envelope. Bytes of a version that this release does not know are handed over
    /// as they are, for workers that do, without looking at keys and priority.
    ///
    /// # Errors
    /// When no worker could ever run it.
    pub fn new(id: JobId, bytes: Vec<u8>, terms: &Terms, keys: &QueueKeys) -> Result<Self, HandoverError> {
        if MAX_BYTES < bytes.len() {
            return Err(HandoverError::TooLarge { bytes: bytes.len() });
        }
        let mut outgoing = Outgoing {
            place: 0,
            id,
            kind: String::new(),
            bytes,
            when: terms.due_ms.map_or(When::Now, When::At),
            priority: Priority::Normal,
            key: None,
            unique: None,
            line: None,
        };
        let mut line = None;
        match Envelope::decode(&outgoing.bytes) {
            Ok(envelope) => {
                address(&mut outgoing, &envelope, terms, keys)?;
                line = line_of(&envelope);
            }
            Err(EnvelopeError::UnknownVersion { .. }) => {}
            Err(EnvelopeError::Undecodable(error)) => return Err(HandoverError::Undecodable(error)),
        }
        Ok(Self { outgoing, line })
    }

    /// Tenant and ordering key, as the outbox writes down which rows are in order; `None` for a job without an order.
    pub fn line(&self) -> Option<&str> {
        self.line.as_deref()
    }

    /// The job.
    pub fn id(&self) -> JobId {
        self.outgoing.id
    }
}

fn line_of(envelope: &Envelope) -> Option<String> {
    Some(format!("{}:{}", envelope.tenant.as_deref().unwrap_or_default(), envelope.order()?))
}

fn address(
    outgoing: &mut Outgoing,
    envelope: &Envelope,
    terms: &Terms,
    keys: &QueueKeys,
) -> Result<(), Invalid> {
    let tenant = envelope.tenant.as_deref();
    let window = terms.key_window.unwrap_or(DEFAULT_KEY_WINDOW);
    envelope.check()?;
    check_terms(envelope, terms.due_ms.is_some(), window)?;
    outgoing.priority = envelope.priority;
    outgoing.line = envelope.order().map(|key| keys.line(tenant, key));
    outgoing.unique = envelope.unique.as_ref().map(|_| keys.unique_of(envelope));
    outgoing.key = envelope.key.as_ref().filter(|_| terms.keyed).map(|name| Dedup {
        name: name.clone(),
        redis_key: keys.dedup(tenant, name),
        body_hash: body_hash(envelope),
        window_ms: window.as_millis() as u64,
    });
    Ok(())
}

/// Hands jobs of one queue over in one call, at most [`crate::BATCH`] of them; one answer per job, in the same order.
/// After `not_after`, Unix ms by the clock of Redis, the call changes nothing and every answer is [`Handed::Late`].
///
/// # Errors
/// As [`Link::invoke`]; after [`LinkError::Lost`] nobody knows.
pub async fn hand_over(
    link: &Link,
    keys: &QueueKeys,
    jobs: &[Handover],
    not_after: u64,
) -> Result<Vec<Handed>, LinkError> {
    let outgoing: Vec<&Outgoing> = jobs.iter().map(|job| &job.outgoing).collect();
    let answers = enqueue(link, keys, &outgoing, Some(not_after)).await?;
    Ok(outgoing.iter().zip(answers).map(|(job, answer)| handed(job.id, answer)).collect())
}

fn handed(id: JobId, answer: Answer) -> Handed {
    match answer {
        Answer::Queued => Handed::Taken,
        // It met itself: an earlier call had been carried out.
        Answer::StoodFor(other) if other == id => Handed::Taken,
        Answer::StoodFor(other) => Handed::StoodFor(other),
        Answer::Conflict(other) => Handed::Conflict(other),
        Answer::Full => Handed::Full,
        Answer::Late => Handed::Late,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Prefix;

    const TERMS: Terms = Terms { due_ms: None, key_window: None, keyed: true };

    fn handover(json: &str) -> Result<Handover, HandoverError> {
        Handover::new(JobId::mint(), json.as_bytes().to_vec(), &TERMS, &Prefix::default().queue("email"))
    }

    #[test]
    fn keys_and_priority_come_from_the_envelope() {
        let json = r#"{"v":1,"kind":"x","payload":{},"at":1,"tenant":"acme","key":"k","unique":"u","priority":"high"}"#;

        let job = handover(json).unwrap().outgoing;

        assert_eq!(job.key.unwrap().redis_key, "flota:{email}:dedup:acme:k");
        assert_eq!(job.unique.as_deref(), Some("flota:{email}:unique:acme:u"));
        assert_eq!((job.priority, job.line), (Priority::High, None));
    }

    #[test]
    fn an_order_is_taken_from_version_2_and_goes_with_no_date() {
        let json = r#"{"v":2,"kind":"x","payload":{},"at":1,"tenant":"acme","order":"shop-7"}"#;

        let job = handover(json).unwrap().outgoing;

        assert_eq!(job.line.as_deref(), Some("flota:{email}:line:acme:shop-7"));
        assert_eq!(handover(json).unwrap().line(), Some("acme:shop-7"));
        let dated = Terms { due_ms: Some(1), ..TERMS };
        let keys = Prefix::default().queue("email");
        for refused in [
            Handover::new(JobId::mint(), json.as_bytes().to_vec(), &dated, &keys),
            handover(&json.replace(r#""v":2"#, r#""v":1"#)),
            handover(&json.replace("shop-7", "")),
        ] {
            assert!(matches!(refused, Err(HandoverError::Invalid(_))));
        }
    }

    #[test]
    fn a_key_is_remembered_for_as_long_as_a_producer_may_ask_and_no_longer() {
        let keys = Prefix::default().queue("email");
        let with = |window_ms| {
            let terms = Terms { key_window: Some(Duration::from_millis(window_ms)), ..TERMS };
            let json = r#"{"v":1,"kind":"x","payload":{},"at":1,"key":"k"}"#;
            Handover::new(JobId::mint(), json.as_bytes().to_vec(), &terms, &keys)
        };

        let refused = [0, 59_999, 316_224_000_001, i64::MAX as u64].map(|window_ms| with(window_ms).is_err());

        assert_eq!(refused, [true; 4]);
        assert_eq!(with(316_224_000_000).unwrap().outgoing.key.unwrap().window_ms, 316_224_000_000);
    }

    #[test]
    fn what_no_worker_could_run_is_refused_and_what_a_newer_one_can_is_not() {
        assert!(matches!(handover("{"), Err(HandoverError::Undecodable(_))));
        assert!(matches!(
            handover(r#"{"v":1,"kind":"x","payload":{},"at":1,"tenant":"a:b"}"#),
            Err(HandoverError::Invalid(_))
        ));
        assert!(matches!(handover(&"x".repeat(MAX_BYTES + 1)), Err(HandoverError::TooLarge { .. })));
        assert!(handover(r#"{"v":3,"body":{}}"#).is_ok());
    }
}
