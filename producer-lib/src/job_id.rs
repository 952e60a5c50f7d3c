//! The name of a job: a UUID of version 7, minted by the producer before anything is sent.
//!
//! Because the producer knows the id first, an enqueue whose reply was lost can still be looked up.
//!
//! An id has two forms. People, logs, JSON and Postgres have the hyphenated UUID; Redis alone has its 16 bytes, which every
//! job carries there several times (docs/decisions/0010-ids-in-redis.md).

use std::{fmt, str::FromStr};

use redis::{FromRedisValue, ParsingError, RedisWrite, ToRedisArgs, Value};
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
    /// Bytes of an id.
    pub const BYTES: usize = 16;

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

    /// As it lies in Redis.
    pub fn bytes(&self) -> &[u8; Self::BYTES] {
        self.0.as_bytes()
    }

    /// What lies in Redis where an id should; `None` for anything that is not 16 bytes, and so was not written by us.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        Uuid::from_slice(bytes).ok().map(Self)
    }

    /// What lies in Redis where an id should, for people: the id, or what somebody has put in its place.
    pub fn shown(bytes: &[u8]) -> String {
        Self::read(bytes).map_or_else(|| String::from_utf8_lossy(bytes).into_owned(), |id| id.to_string())
    }
}

impl From<Uuid> for JobId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for JobId {
    type Err = uuid::Error;

    /// Reads the hyphenated form only: one job has one spelling, since logs and providers are searched for the text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = text.parse::<uuid::fmt::Hyphenated>()?.into_uuid();
        // Upper case reads as the same number, but is another text.
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
        out.write_arg(self.bytes());
    }
}

impl FromRedisValue for JobId {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let bytes: Vec<u8> = redis::from_redis_value(value)?;
        Self::read(&bytes).ok_or_else(|| {
            format!("an id of a job is {} bytes, and there are {}", Self::BYTES, bytes.len()).into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_redis_an_id_is_its_bytes_and_nothing_else_is_an_id() {
        let id: JobId = "0199a7c2-9c1e-7cc3-98c4-dc0c0c07398f".parse().unwrap();

        let written = id.to_redis_args();

        assert_eq!(written, [b"\x01\x99\xa7\xc2\x9c\x1e\x7c\xc3\x98\xc4\xdc\x0c\x0c\x07\x39\x8f"]);
        assert_eq!(redis::from_redis_value::<JobId>(Value::BulkString(written[0].clone())).unwrap(), id);
        for other in [&b""[..], &written[0][1..], id.to_string().as_bytes()] {
            let error = redis::from_redis_value::<JobId>(Value::BulkString(other.to_vec())).unwrap_err();
            assert!(
                error.to_string().ends_with(&format!("16 bytes, and there are {}", other.len())),
                "{error}"
            );
        }
    }

    #[test]
    fn people_see_the_same_id_everywhere() {
        let id = JobId::mint();

        assert_eq!(JobId::shown(id.bytes()), id.to_string());
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{id}\""));
        assert_eq!(JobId::shown(b"hand-made"), "hand-made");
    }
}
