//! The job of all measures: 200 bytes that a worker reads, and nothing to do.
//!
//! It is a kind of the real `flota worker` here, beside the others, so that whatever a worker does for a job is done.

use std::{env, sync::LazyLock, time::Duration};

use flota_engine::{Failure, IfRepeated, Job, Processor, Receipt};
use flota_producer::{Invalid, NewJob, Payload, clock};
use flota_worker::services::Services;
use serde::{Deserialize, Serialize};

use super::tally;

/// Queue of all measures.
pub const QUEUE: &str = "bench";
/// Filler that makes `{"t":…,"id":…,"pad":…}` 200 bytes, with a time of 19 digits and an id of 5; peers have the same.
const FILLER: usize = 155;

/// For jobs that take their time: how long, in milliseconds.
pub const SLEEP: &str = "BENCH_SLEEP_MS";

static NAP: LazyLock<Option<Duration>> = LazyLock::new(|| {
    let ms = env::var(SLEEP).ok().and_then(|ms| ms.parse().ok()).filter(|ms| 0 < *ms);
    ms.map(Duration::from_millis)
});

/// What a peer's payload holds too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenchJob {
    /// Unix time before it was enqueued, in nanoseconds.
    t: u64,
    /// Which one it is.
    id: u64,
    /// Makes it 200 bytes.
    pad: String,
}

impl Payload for BenchJob {
    const KIND: &'static str = "bench_job";
    const QUEUE: &'static str = QUEUE;

    fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }
}

impl Processor<Services> for BenchJob {
    const IF_REPEATED: IfRepeated = IfRepeated {
        at_worst: "It is counted twice.",
        key: "None.",
        receiver: "Nothing: a run counts only if as many ran as were enqueued.",
    };

    type Error = Failure;

    async fn run(self, _: &Job, _: &Services) -> Result<Receipt, Failure> {
        let began = unix_ns();
        if let Some(nap) = *NAP {
            tokio::time::sleep(nap).await;
        }
        tally::count(self.t, began);
        Ok(Receipt::default())
    }
}

/// The job with this number, sent now.
pub fn job(number: usize) -> NewJob {
    NewJob::new(BenchJob { t: unix_ns(), id: number as u64, pad: "x".repeat(FILLER) })
}

/// Unix time in nanoseconds.
pub fn unix_ns() -> u64 {
    clock::unix_now().as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_two_hundred_bytes() {
        let payload = BenchJob { t: 1_763_800_000_000_000_000, id: 12_345, pad: "x".repeat(FILLER) };

        assert_eq!(serde_json::to_string(&payload).unwrap().len(), 200);
    }
}
