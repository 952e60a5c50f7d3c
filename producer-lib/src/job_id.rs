//! The name of a job: a UUID of version 7, minted by the producer before anything is sent.
//!
//! Because the producer knows the id first, an enqueue whose reply was lost can still be looked up.

use std::{fmt, str::FromStr};

use redis::{RedisWrite, ToRedisArgs};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Identity of one job, the same in Redis, Postgres, logs and provider calls.
///
/// ```
/// let id: flota_producer::JobId = "0199a7c2-9c1e-7cc3-98c4-dc0c0c07398f".parse().unwrap();
/// assert_eq!(id.to_string().len(), 36);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Uuid);

impl JobId {
    /// A new id whose order follows the time of minting.
    pub fn mint() -> Self {
        Self(Uuid::now_v7())
    }

    /// When it was minted, Unix ms; `None` for an id that does not tell (not UUID version 7).
    pub fn minted_ms(self) -> Option<u64> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        Some(seconds * 1_000 + u64::from(nanos) / 1_000_000)
    }

    /// The raw value, for Postgres.
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for JobId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for JobId {
    type Err = uuid::Error;

    /// Reads the hyphenated form only: one job has one spelling, since the text is a field name in Redis.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = text.parse::<uuid::fmt::Hyphenated>()?.into_uuid();
        // Upper case reads as the same number but is another field name; nobody would ever find it again.
        if id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text {
            return Ok(Self(id));
        }
        Err(Uuid::parse_str("").expect_err("an empty text is no id"))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl ToRedisArgs for JobId {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        out.write_arg(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    }
}
