//! Golden envelopes: every form that a release has ever written must be read by this one, for ever.

use flota_producer::{Envelope, EnvelopeError, Priority};

/// Every file in `wire/`, by name.
fn golden(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/wire/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read(path).expect("a golden file");
    text.trim_ascii_end().to_vec()
}

#[test]
fn the_smallest_envelope_reads_and_writes_as_it_was() {
    let bytes = golden("v1-smallest.json");

    let envelope = Envelope::decode(&bytes).unwrap();

    assert_eq!(
        (envelope.kind.as_str(), envelope.at, envelope.priority),
        ("send_email", 1_795_280_202_384, Priority::Normal)
    );
    assert_eq!(envelope.encode(), bytes);
}

#[test]
fn an_envelope_with_everything_reads_and_writes_as_it_was() {
    let bytes = golden("v1-everything.json");

    let envelope = Envelope::decode(&bytes).unwrap();

    assert_eq!(envelope.tenant.as_deref(), Some("acme"));
    assert_eq!(
        (envelope.max_attempts, envelope.timeout_ms, envelope.deadline),
        (Some(5), Some(30_000), Some(1_795_366_602_384))
    );
    assert_eq!(
        (envelope.priority, envelope.key.as_deref(), envelope.unique.as_deref()),
        (Priority::High, Some("k"), Some("u"))
    );
    assert!(envelope.trace.is_some() && envelope.replay_of.is_some() && envelope.parent.is_some());
    assert_eq!(envelope.encode(), bytes);
}

#[test]
fn an_envelope_in_order_reads_and_writes_as_it_was() {
    let bytes = golden("v2-in-order.json");

    let envelope = Envelope::decode(&bytes).unwrap();

    assert_eq!((envelope.tenant.as_deref(), envelope.order()), (Some("acme"), Some("shop-7")));
    assert_eq!(envelope.encode(), bytes);
}

#[test]
fn fields_of_a_newer_release_do_not_disturb() {
    let envelope = Envelope::decode(&golden("v1-unknown-fields.json")).unwrap();

    assert_eq!(envelope.kind, "send_email");
}

#[test]
fn a_newer_version_is_recognised_as_such() {
    let answer = Envelope::decode(&golden("v3-from-the-future.json"));

    assert!(matches!(answer, Err(EnvelopeError::UnknownVersion { version: 3 })));
}
