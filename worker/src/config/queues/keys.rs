//! Every key of a queue's table: limits, default, meaning. The checks, the built-in defaults and the documentation
//! all come from here.

use std::{fmt::Write, time::Duration};

/// One key, named as it is written below `[queues.<name>]` or `[defaults]`.
#[derive(Debug)]
pub(crate) struct Key {
    /// `lease`, or `backoff.base` for a key of an inner table.
    pub(crate) name: &'static str,
    /// What the number counts.
    pub(crate) unit: Unit,
    /// Smallest value.
    pub(crate) least: u64,
    /// Largest value.
    pub(crate) most: u64,
    /// Value where neither the queue nor `[defaults]` says one.
    pub(crate) default: u64,
    /// One sentence for people.
    pub(crate) meaning: &'static str,
}

/// What a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A whole number.
    Count,
    /// Milliseconds, written as text with a unit.
    Time,
}

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

pub(crate) const CONCURRENCY: Key =
    count("concurrency", 1, 4096, 16, "Most jobs that one process runs at once.");
/// The floor keeps a late heartbeat from looking like a dead worker; promised in the documentation.
pub(crate) const LEASE: Key = time(
    "lease",
    3 * SECOND,
    HOUR,
    30 * SECOND,
    "How long a run keeps its job without a heartbeat; at least two heartbeats. A vanished worker's jobs run again within `lease` + 2 × `heartbeat`.",
);
pub(crate) const HEARTBEAT: Key = time(
    "heartbeat",
    SECOND / 2,
    HOUR / 2,
    5 * SECOND,
    "How often leases are lengthened; at most half of `lease`.",
);
pub(crate) const TIMEOUT: Key =
    time("timeout", 100, DAY, MINUTE, "Longest time one run may take, unless the job says otherwise.");
pub(crate) const MAX_ATTEMPTS: Key = count(
    "max_attempts",
    1,
    100,
    10,
    "Most failed runs of all classes together before a job is dead, unless the job says otherwise.",
);
/// Two crashes with neighbours tell who may be to blame, the third is the proof: fewer would let a job run alone after
/// every ordinary crash.
pub(crate) const MAX_DELIVERIES: Key = count(
    "max_deliveries",
    3,
    100,
    4,
    "Workers that a job may take down before it is dead as a poison pill. The last time it runs alone there.",
);
/// A job takes some 450 bytes of Redis, so the largest value is already 450 GB.
pub(crate) const MAX_LEN: Key = count(
    "max_len",
    0,
    1_000_000_000,
    0,
    "Most live jobs; enqueueing more is refused. 0 means no limit, and Redis memory is the limit.",
);
pub(crate) const PARK: Key = time(
    "park",
    100,
    DAY,
    10 * SECOND,
    "How long \"not now\" lasts (rate limit, spent quota, refused credential) when the other side did not say.",
);
pub(crate) const BACKOFF_BASE: Key = time(
    "backoff.base",
    10,
    HOUR,
    SECOND,
    "First delay before a retry, doubled with each try of the same class; the real delay is a random share of it.",
);
pub(crate) const BACKOFF_CAP: Key =
    time("backoff.cap", 10, DAY, 15 * MINUTE, "Longest delay before a retry.");

/// Every key, in the order of the documentation.
pub(crate) const KEYS: [Key; 16] = [
    CONCURRENCY,
    LEASE,
    HEARTBEAT,
    TIMEOUT,
    MAX_ATTEMPTS,
    MAX_DELIVERIES,
    MAX_LEN,
    PARK,
    BACKOFF_BASE,
    BACKOFF_CAP,
    tries(
        "tries.server_error",
        3,
        "Most tries when the other side failed (5xx; of webhooks, every refusal).",
    ),
    tries("tries.timeout", 2, "Most tries when no answer came in time."),
    tries("tries.network", 8, "Most tries when there was no connection."),
    tries(
        "tries.ambiguous",
        2,
        "Most tries when it may have happened already; each repeat may be a duplicate.",
    ),
    tries(
        "tries.internal",
        8,
        "Most tries when the worker itself could not do its part, for example without Postgres.",
    ),
    tries("tries.panic", 2, "Most tries when the processor panicked."),
];

const fn count(name: &'static str, least: u64, most: u64, default: u64, meaning: &'static str) -> Key {
    Key { name, unit: Unit::Count, least, most, default, meaning }
}

const fn time(name: &'static str, least: u64, most: u64, default: u64, meaning: &'static str) -> Key {
    Key { name, unit: Unit::Time, least, most, default, meaning }
}

const fn tries(name: &'static str, default: u64, meaning: &'static str) -> Key {
    count(name, 1, 100, default, meaning)
}

impl Key {
    /// A value of this key as it is written in the file.
    pub(crate) fn written(&self, value: u64) -> String {
        match self.unit {
            Unit::Count => value.to_string(),
            Unit::Time => format!("\"{}\"", spoken(value)),
        }
    }
}

/// `1m 30s` for 90,000 milliseconds.
pub(crate) fn spoken(milliseconds: u64) -> String {
    humantime::format_duration(Duration::from_millis(milliseconds)).to_string()
}

/// The keys as a table for `docs/configuration.md`.
pub fn markdown() -> String {
    let mut text = String::from("| key | default | from | to | meaning |\n|---|---|---|---|---|\n");
    for key in &KEYS {
        let [default, least, most] = [key.default, key.least, key.most].map(|value| key.written(value));
        // Writing into a String cannot fail.
        let _ = writeln!(text, "| `{}` | `{default}` | `{least}` | `{most}` | {} |", key.name, key.meaning);
        if key.name == BACKOFF_CAP.name {
            text.push_str(super::delays::ROW);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use flota_engine::{ErrorClass, RetryPolicy};

    use super::*;

    #[test]
    fn defaults_lie_within_their_limits() {
        for key in &KEYS {
            assert!(key.least <= key.default && key.default <= key.most, "{}", key.name);
        }
    }

    #[test]
    fn defaults_of_retries_are_those_of_the_engine() {
        let engine = RetryPolicy::default();
        let default = |name: &str| KEYS.iter().find(|key| key.name == name).map(|key| key.default);

        for class in ErrorClass::ALL {
            let tries = default(&format!("tries.{}", class.word())).unwrap_or(1);
            assert_eq!(u64::from(engine.tries[class.index()]), tries, "{}", class.word());
        }
        assert_eq!(engine.base, Duration::from_millis(BACKOFF_BASE.default));
        assert_eq!(engine.cap, Duration::from_millis(BACKOFF_CAP.default));
    }
}
