//! What a dead letter holds beside its outcome: the envelope for a replay, and a copy of the payload for search.

use base64::{Engine, engine::general_purpose::STANDARD};
use flota_engine::Record;
use serde::Deserialize;
use serde_json::Value;

use super::fingerprint::fingerprint;

/// The dead letter of one record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Letter {
    /// Byte for byte as it lay in Redis. Empty when the record brought none, which no release writes.
    pub(super) envelope: Vec<u8>,
    /// JSON text; `None` where `jsonb` could not hold it.
    pub(super) payload: Option<String>,
    /// Equal for what failed in the same way.
    pub(super) fingerprint: String,
}

impl Letter {
    pub(super) fn new(record: &Record) -> Self {
        let envelope =
            record.envelope.as_deref().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
        Self {
            payload: searchable_payload(&envelope),
            fingerprint: fingerprint(
                &record.kind,
                record.class.map_or("", flota_engine::ErrorClass::word),
                record.code.as_deref().unwrap_or_default(),
                record.error.as_deref().unwrap_or_default(),
            ),
            envelope,
        }
    }
}

/// Only the payload is looked at, so an envelope of a version that we do not know can be searched too.
#[derive(Deserialize)]
struct PayloadOnly {
    payload: Value,
}

/// The payload as `jsonb` can hold it. Reading it as a `Value` leaves out what `jsonb` would refuse: half of a
/// surrogate pair, numbers beyond a double, nesting deeper than 128. NUL characters have to be looked for.
fn searchable_payload(envelope: &[u8]) -> Option<String> {
    let PayloadOnly { payload } = serde_json::from_slice(envelope).ok()?;
    (!holds_nul(&payload)).then(|| payload.to_string())
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use flota_engine::Status;
    use flota_producer::JobId;

    use super::*;

    fn letter(envelope: &[u8]) -> Letter {
        Letter::new(&Record::unreadable(JobId::mint(), Status::Dead).with_envelope(envelope))
    }

    #[test]
    fn the_envelope_is_kept_byte_for_byte() {
        for envelope in [&br#"{ "v":1, "payload":{} , "x":1}"#[..], b"\xff\x00garbage", b""] {
            assert_eq!(letter(envelope).envelope, envelope);
        }
    }

    #[test]
    fn a_payload_is_copied_for_search() {
        assert_eq!(letter(br#"{"v":1,"payload":{"to":"a"}}"#).payload.as_deref(), Some(r#"{"to":"a"}"#));
        assert_eq!(letter(br#"{"v":9,"payload":null}"#).payload.as_deref(), Some("null"));
    }

    #[test]
    fn a_payload_that_jsonb_cannot_hold_is_not() {
        for envelope in [
            &b"garbage"[..],
            br#"{"v":1}"#,
            br#"{"payload":"\u0000"}"#,
            br#"{"payload":{"a\u0000":[]}}"#,
            br#"{"payload":"\ud800"}"#,
            br#"{"payload":1e999}"#,
        ] {
            assert_eq!(letter(envelope).payload, None, "{}", String::from_utf8_lossy(envelope));
        }
    }
}
