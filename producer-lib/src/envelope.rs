//! The envelope: what travels through Redis for one job, versions 1 and 2.
//!
//! JSON bytes, written once by the producer and never rewritten: counters live elsewhere, so a dead letter can be
//! replayed byte for byte. Defaults are left out. Fields that a reader does not know are ignored while reading and
//! kept, because the bytes are kept. Golden files in `tests/wire/` hold every form ever released.

mod ordinary;

use serde::{Deserialize, Serialize, de::Error as _};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    job_id::JobId,
    keys::Priority,
    new_job::{check_key, check_tenant},
    payload::Invalid,
};

/// The version that jobs without an order have.
pub const VERSION: u64 = 1;

/// The version that jobs in order have, and only those: a worker that knows nothing of lines would run such a job and
/// leave its line standing still, but a version that it does not know it parks.
pub const VERSION_IN_ORDER: u64 = 2;

/// Most bytes of an envelope, whichever way it comes; a producer may allow fewer. Files go by storage reference, never
/// inline.
pub const MAX_BYTES: usize = 64 * 1024;

/// Room for what is usually written beside the payload.
const ROOM: usize = 192;

/// One job as it waits in Redis. The id is not inside: it is the field name of the `jobs` hash.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Envelope {
    /// Version of this form; readers park what they do not know.
    v: u64,
    /// Which processor runs it, for example `send_email`.
    pub kind: String,
    /// Whose work it is; scopes keys and credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The processor's input, untouched.
    pub payload: Box<RawValue>,
    /// When it was enqueued, Unix ms, by the producer's clock. For people, never for decisions.
    pub at: u64,
    /// Most failed tries before it is buried; the queue's setting when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Unix ms after which it must not start: it expires instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u64>,
    /// Most milliseconds one run may take; the queue's setting when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Which ready list it waits in.
    #[serde(default, skip_serializing_if = "Priority::is_normal")]
    pub priority: Priority,
    /// Idempotency key, as given by the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Unique key: no second job with it while this one is alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<String>,
    /// Ordering key; read it with [`Envelope::order`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order: Option<String>,
    /// W3C trace context of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
    /// The dead letter that this job repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<JobId>,
    /// The job whose run enqueued this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<JobId>,
    /// Free labels of the caller.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub meta: Map<String, Value>,
}

/// W3C trace context (<https://www.w3.org/TR/trace-context/>), carried unread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The `traceparent` header.
    pub traceparent: String,
    /// The `tracestate` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
}

/// Why bytes are not an envelope that this release can run.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// A newer release wrote it. The job is parked until a worker of that release takes it.
    #[error(
        "envelope version {version} is not known to this release, which reads {VERSION} and {VERSION_IN_ORDER}"
    )]
    UnknownVersion {
        /// What `v` says.
        version: u64,
    },
    /// It is not an envelope at all. The job is buried with this sentence.
    #[error("the bytes are not a job envelope")]
    Undecodable(#[source] serde_json::Error),
}

/// Just enough to tell a newer envelope from garbage.
#[derive(Deserialize)]
struct VersionOnly {
    v: u64,
}

impl Envelope {
    /// An envelope with everything optional left out.
    pub fn new(kind: impl Into<String>, payload: Box<RawValue>, at: u64) -> Self {
        Self {
            v: VERSION,
            kind: kind.into(),
            tenant: None,
            payload,
            at,
            max_attempts: None,
            deadline: None,
            timeout_ms: None,
            priority: Priority::Normal,
            key: None,
            unique: None,
            order: None,
            trace: None,
            replay_of: None,
            parent: None,
            meta: Map::new(),
        }
    }

    /// The same job in order: it starts when all jobs of its queue and tenant that were enqueued with this key before it
    /// have ended.
    #[must_use]
    pub fn in_order(mut self, key: impl Into<String>) -> Self {
        self.v = VERSION_IN_ORDER;
        self.order = Some(key.into());
        self
    }

    /// The ordering key. Version 1 knows none, so workers that read only that take no notice of it, and neither may any.
    pub fn order(&self) -> Option<&str> {
        self.order.as_deref().filter(|_| VERSION_IN_ORDER <= self.v)
    }

    /// True when an ordering key was written into a version that knows none.
    fn has_unheard_order(&self) -> bool {
        self.order.is_some() && self.order().is_none()
    }

    /// Checks what becomes part of keys, whichever way the job comes. What no worker can run is for workers to say.
    ///
    /// # Errors
    /// Names the field that is not as it must be.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        self.tenant.as_deref().map_or(Ok(()), check_tenant)?;
        check_key("key", self.key.as_deref())?;
        check_key("unique", self.unique.as_deref())?;
        check_key("order", self.order.as_deref())?;
        let sentence =
            "needs version 2 of the envelope: write \"v\": 2, which workers that know no order park";
        Invalid::unless(!self.has_unheard_order(), "order", sentence)
    }

    /// The bytes that go into Redis.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.payload.get().len() + ROOM);
        serde_json::to_writer(&mut bytes, self).expect("strings, numbers and checked JSON always encode");
        bytes
    }

    /// Reads bytes from Redis.
    ///
    /// # Errors
    /// [`EnvelopeError::UnknownVersion`] when a newer release wrote them, otherwise [`EnvelopeError::Undecodable`].
    pub fn decode(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if let Some(envelope) = ordinary::read(bytes) {
            return Ok(envelope);
        }
        // serde would also take an array with the values in the order of the fields, which nobody ever promised.
        if bytes.trim_ascii_start().first() == Some(&b'[') {
            return Err(EnvelopeError::Undecodable(serde_json::Error::custom(
                "it is an array, not an object",
            )));
        }
        match read_json::<Self>(bytes) {
            Ok(envelope) if is_known(envelope.v) => Ok(envelope),
            Ok(Self { v: version, .. }) => Err(EnvelopeError::UnknownVersion { version }),
            Err(error) => match read_json(bytes) {
                Ok(VersionOnly { v: version }) if !is_known(version) => {
                    Err(EnvelopeError::UnknownVersion { version })
                }
                _ => Err(EnvelopeError::Undecodable(error)),
            },
        }
    }
}

/// Reads JSON. That all of it is text is seen at once, and not once more for each of its strings.
///
/// # Errors
/// When it is not what `T` is read from.
#[doc(hidden)]
pub fn read_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> serde_json::Result<T> {
    // Of what is no text, serde_json says where.
    std::str::from_utf8(bytes).map_or_else(|_| serde_json::from_slice(bytes), serde_json::from_str)
}

/// True for versions that this release reads.
fn is_known(version: u64) -> bool {
    (VERSION..=VERSION_IN_ORDER).contains(&version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smallest() -> Envelope {
        let payload = RawValue::from_string(r#"{"to":"ana@example.com"}"#.to_owned()).unwrap();
        Envelope::new("send_email", payload, 1_795_280_202_384)
    }

    #[test]
    fn defaults_are_left_out() {
        let bytes = smallest().encode();

        let expected = r#"{"v":1,"kind":"send_email","payload":{"to":"ana@example.com"},"at":1795280202384}"#;
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn a_newer_version_is_told_from_garbage() {
        let newer = br#"{"v":3,"body":{}}"#;
        let garbage: &[&[u8]] =
            &[b"", b"null", b"{}", b"{\"v\":1}", b"\xff\xfe", b"[1]", b"[2]", b"{\"v\":\"1\"}"];

        assert!(matches!(Envelope::decode(newer), Err(EnvelopeError::UnknownVersion { version: 3 })));
        for bytes in garbage {
            assert!(matches!(Envelope::decode(bytes), Err(EnvelopeError::Undecodable(_))), "{bytes:?}");
        }
    }

    #[test]
    fn only_a_job_in_order_has_the_version_that_older_workers_park() {
        let ordered = smallest().in_order("shop-7");

        let bytes = String::from_utf8(ordered.encode()).unwrap();

        assert!(bytes.starts_with(r#"{"v":2,"#) && bytes.contains(r#""order":"shop-7""#), "{bytes}");
        assert_eq!(Envelope::decode(bytes.as_bytes()).unwrap().order(), Some("shop-7"));
        let unheard = Envelope::decode(bytes.replace(r#""v":2"#, r#""v":1"#).as_bytes()).unwrap();
        assert_eq!((unheard.order(), unheard.has_unheard_order()), (None, true));
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_crash() {
        let deep = format!(r#"{{"v":1,"kind":"x","at":1,"payload":{}}}"#, "[".repeat(100_000));

        assert!(matches!(Envelope::decode(deep.as_bytes()), Err(EnvelopeError::Undecodable(_))));
    }
}
