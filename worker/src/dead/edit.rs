//! Mending one letter before its replay: `--set payload.to=ana@example.com`.
//!
//! Only the payload can be changed. The rest of the envelope stays as it is, members that this release does not know
//! included; the order of members is not kept.

use std::{collections::BTreeMap, str::FromStr};

use flota_engine::Registry;
use flota_producer::{Envelope, Invalid, MAX_BYTES};
use serde_json::{Value, value::RawValue};

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    path: Vec<String>,
    value: Value,
}

/// Why an edit cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// It is not written as an edit.
    #[error("`{0}` is not payload.path=value, for example payload.to=ana@example.com")]
    Unreadable(String),
    /// The envelope cannot be changed because it cannot be read.
    #[error("this letter's envelope cannot be read, so it cannot be edited")]
    Envelope(#[source] flota_producer::EnvelopeError),
    /// The path leads through something that has no members.
    #[error(
        "there is nothing at `{0}` to set: the path leads through a plain value or past the end of a list"
    )]
    NoSuchPlace(String),
    /// The worker has no processor for the letter's kind, so nobody can say whether the edit is valid.
    #[error("this release has no kind `{0}` and cannot check the edit; use the release that runs it")]
    UnknownKind(String),
    /// The payload would not be valid any more.
    #[error("with this edit the payload is not valid: {0}")]
    Invalid(#[source] Invalid),
    /// The envelope would be too large.
    #[error("with this edit the job has {0} bytes, more than the {MAX_BYTES} allowed")]
    TooLarge(usize),
}

impl FromStr for Change {
    type Err = EditError;

    /// Reads `payload.path=value`. A value that is JSON is taken as such, everything else as text.
    fn from_str(text: &str) -> Result<Self, EditError> {
        let wrong = || EditError::Unreadable(text.to_owned());
        let (path, value) = text.split_once('=').ok_or_else(wrong)?;
        let path: Vec<String> =
            path.strip_prefix("payload.").ok_or_else(wrong)?.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(wrong());
        }
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        Ok(Self { path, value })
    }
}

/// The envelope with these changes, checked as if it were enqueued.
pub fn edit<S: Send + Sync + 'static>(
    envelope: &[u8],
    changes: &[Change],
    registry: &Registry<S>,
) -> Result<Vec<u8>, EditError> {
    let known = Envelope::decode(envelope).map_err(EditError::Envelope)?;
    let mut payload: Value = serde_json::from_str(known.payload.get()).map_err(undecodable)?;
    for change in changes {
        set(&mut payload, change)?;
    }
    let payload = RawValue::from_string(payload.to_string()).map_err(undecodable)?;
    let kind = registry.get(&known.kind).ok_or_else(|| EditError::UnknownKind(known.kind.clone()))?;
    (kind.check)(&payload).map_err(EditError::Invalid)?;
    let mut members: BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(envelope).map_err(undecodable)?;
    members.insert("payload".to_owned(), payload);
    let bytes = serde_json::to_vec(&members).map_err(undecodable)?;
    if MAX_BYTES < bytes.len() { Err(EditError::TooLarge(bytes.len())) } else { Ok(bytes) }
}

fn undecodable(error: serde_json::Error) -> EditError {
    EditError::Envelope(flota_producer::EnvelopeError::Undecodable(error))
}

/// Sets one value. Where a list is and a plain value is given, the list becomes that one element, so that
/// `payload.to=ana@example.com` does what it says.
fn set(payload: &mut Value, change: &Change) -> Result<(), EditError> {
    let nowhere = || EditError::NoSuchPlace(format!("payload.{}", change.path.join(".")));
    let (last, way) = change.path.split_last().ok_or_else(nowhere)?;
    let mut place = payload;
    for name in way {
        place = member(place, name).ok_or_else(nowhere)?;
    }
    if let Value::Object(members) = place {
        let value = match (members.get(last), &change.value) {
            (Some(Value::Array(_)), plain) if !plain.is_array() => Value::Array(vec![plain.clone()]),
            _ => change.value.clone(),
        };
        members.insert(last.clone(), value);
    } else {
        *member(place, last).ok_or_else(nowhere)? = change.value.clone();
    }
    Ok(())
}

fn member<'a>(place: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    match place {
        Value::Object(members) => members.get_mut(name),
        Value::Array(items) => items.get_mut(name.parse::<usize>().ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processors;

    const MAIL: &str = r#"{"v":1,"x-new":{"b":1,"a":2},"kind":"send_email","at":7,"payload":{"to":["ana@example.con"],"body":{"subject":"Hi","text":"Hello"}}}"#;

    fn edited(change: &str) -> Result<Value, EditError> {
        let bytes = edit(MAIL.as_bytes(), &[change.parse()?], &processors::registry())?;
        Ok(serde_json::from_slice(&bytes).unwrap())
    }

    #[test]
    fn a_value_is_set_and_everything_else_stays() {
        let envelope = edited("payload.to=ana@example.com").unwrap();

        assert_eq!(envelope["payload"]["to"], serde_json::json!(["ana@example.com"]));
        assert_eq!(envelope["x-new"], serde_json::json!({"b": 1, "a": 2}));
        assert_eq!((&envelope["at"], &envelope["v"]), (&7.into(), &1.into()));
        let element = edited("payload.to.0=luis@example.com").unwrap();
        assert_eq!(element["payload"]["to"][0], "luis@example.com");
    }

    #[test]
    fn an_edit_that_makes_the_payload_invalid_is_refused_by_field() {
        for (change, field) in [
            ("payload.to=nobody", "`to[0]`"),
            ("payload.to=[]", "`to`"),
            ("payload.body.subject=", "`body.subject`"),
            ("payload.colour=red", "colour"),
        ] {
            let error = edited(change).unwrap_err();
            assert!(matches!(error, EditError::Invalid(_)), "{error}");
            assert!(error.to_string().contains(field), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_set_is_said() {
        assert!(matches!(edited("to=x"), Err(EditError::Unreadable(_))));
        assert!(matches!(edited("payload.to.7=x"), Err(EditError::NoSuchPlace(_))));
        assert!(matches!(edited("payload.a.b=x"), Err(EditError::NoSuchPlace(_))));
        let registry = processors::registry();
        let change = || ["payload.a=1".parse().unwrap()];
        let unknown = br#"{"v":1,"kind":"fly","at":1,"payload":{}}"#;
        assert!(matches!(edit(unknown, &change(), &registry), Err(EditError::UnknownKind(_))));
        assert!(matches!(edit(b"garbage", &change(), &registry), Err(EditError::Envelope(_))));
    }
}
