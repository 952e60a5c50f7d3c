//! The hostile envelopes do what is written beside them, one by one and without a fleet.

use std::collections::BTreeMap;

use flota_producer::{
    Envelope, EnvelopeError, JobId, Payload,
    handover::{Handover, Terms},
    keys::Prefix,
};
use flota_tests::{
    hostile::{Fate, Hostile, payloads},
    toys::Toy,
};

/// Redis time of the imagined fetch, Unix ms.
const NOW: u64 = 1_795_280_202_384;
const COUNT: usize = 10_000;

/// What a worker that knows toys makes of these bytes.
fn fate(bytes: &[u8]) -> Fate {
    let envelope = match Envelope::decode(bytes) {
        Ok(envelope) => envelope,
        Err(EnvelopeError::UnknownVersion { .. }) => return Fate::Parked,
        Err(EnvelopeError::Undecodable(_)) => return Fate::Dead,
    };
    if envelope.kind != Toy::KIND {
        return Fate::Parked;
    }
    if envelope.deadline.is_some_and(|deadline| deadline <= NOW) {
        return Fate::Expired;
    }
    let valid = serde_json::from_str::<Toy>(envelope.payload.get()).is_ok_and(|toy| toy.validate().is_ok());
    if valid { Fate::Succeeded } else { Fate::Dead }
}

fn refused(hostile: &Hostile) -> bool {
    let terms = Terms { due_ms: None, key_window: None, keyed: true };
    let keys = Prefix::default().queue("toys");
    Handover::new(JobId::mint(), hostile.bytes.clone(), &terms, &keys).is_err()
}

#[test]
fn ten_thousand_hostile_envelopes_end_as_they_should() {
    let mut seen: BTreeMap<Fate, usize> = BTreeMap::new();

    for hostile in payloads(7, COUNT) {
        let told = String::from_utf8_lossy(&hostile.bytes[..hostile.bytes.len().min(300)]);
        assert_eq!(fate(&hostile.bytes), hostile.fate, "{}: {told}", hostile.what);
        assert_eq!(refused(&hostile), hostile.refused_at_enqueue, "{}: {told}", hostile.what);
        *seen.entry(hostile.fate).or_default() += 1;
    }

    assert_eq!(seen.len(), 4, "every fate is among them: {seen:?}");
    assert!(seen.values().all(|count| COUNT / 50 < *count), "{seen:?}");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let bytes = |seed| payloads(seed, 300).map(|hostile| hostile.bytes).collect::<Vec<_>>();

    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2));
}
