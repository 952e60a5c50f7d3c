//! What travels through Redis: envelopes, counters, records.

use flota_engine::{ErrorClass, Marks, Record};
use flota_producer::{
    Envelope, EnvelopeError, JobId,
    envelope::{VERSION, VERSION_IN_ORDER},
    handover::{Handover, Terms},
    keys::Prefix,
};
use uuid::Uuid;

/// An envelope that is read is written as it was meant, and one that is not is told apart from a newer one.
pub fn envelope(bytes: &[u8]) {
    let terms = Terms { due_ms: None, key_window: None, keyed: true };
    let keys = Prefix::default().queue("email");
    let handed = Handover::new(JobId::from(Uuid::nil()), bytes.to_vec(), &terms, &keys);
    match Envelope::decode(bytes) {
        Ok(envelope) => {
            let encoded = envelope.encode();
            let again = Envelope::decode(&encoded).expect("what we wrote can be read");
            assert_eq!(again.payload.get(), envelope.payload.get(), "the payload is untouched");
            assert_eq!(again.encode(), encoded, "writing what was read changes nothing");
        }
        Err(EnvelopeError::UnknownVersion { version }) => {
            assert!(!(VERSION..=VERSION_IN_ORDER).contains(&version));
        }
        Err(EnvelopeError::Undecodable(_)) => assert!(handed.is_err(), "nobody could ever run it"),
    }
}

/// Counters read back as they are written, and count on from any number.
pub fn marks(bytes: &[u8]) {
    let marks = Marks::parse(&String::from_utf8_lossy(bytes));
    let line = marks.to_string();
    assert!(line.starts_with("run="), "the scripts read the run at the beginning: {line:?}");
    assert_eq!(Marks::parse(&line), marks, "{line:?}");

    let next = marks.charged(marks.run.saturating_add(1), ErrorClass::Timeout, "slow\nnote=1");
    assert!(marks.attempt <= next.attempt && marks.deliveries <= next.lost_lease(7, 4).deliveries);
    assert!(!next.to_string().contains('\n'), "a note is one line");
}

/// A record is one line, since an entry of the outcomes stream is lines, and reads back.
pub fn record(bytes: &[u8]) {
    let Ok(record) = serde_json::from_slice::<Record>(bytes) else { return };
    let line = record.encode();
    assert!(!line.contains('\n'), "a record is one line");
    let again: Record = serde_json::from_str(&line).expect("what we wrote can be read");
    // A result is JSON of any kind, and its numbers may be longer than a double.
    assert_eq!(Record { result: None, ..again }, Record { result: None, ..record });
}
