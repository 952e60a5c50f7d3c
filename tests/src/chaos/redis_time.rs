//! Redis time for entries of a history, which carry the machine's monotonic clock: due times are Redis's.

use std::time::Duration;

use flota_producer::link::{Link, LinkError};

use super::{history::Entry, monotonic::now_ns};

/// How often Redis is asked; the quickest answer counts.
const ASKED: usize = 20;

/// What has to be added to the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct RedisTime {
    offset_ns: i128,
    /// How far off that may be.
    pub error: Duration,
}

impl RedisTime {
    /// Asks Redis for the time.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ask(link: &Link) -> Result<Self, LinkError> {
        let mut best: Option<Self> = None;
        for _ in 0..ASKED {
            let sent = now_ns();
            let (seconds, micros): (u64, u64) = link.query(&redis::cmd("TIME")).await?;
            let received = now_ns();
            let redis_ns = i128::from(seconds) * 1_000_000_000 + i128::from(micros) * 1_000;
            let middle = i128::from(sent.midpoint(received));
            let error = Duration::from_nanos((received - sent).div_ceil(2));
            if best.is_none_or(|best| error < best.error) {
                best = Some(Self { offset_ns: redis_ns - middle, error });
            }
        }
        // Asked at least once.
        Ok(best.unwrap_or(Self { offset_ns: 0, error: Duration::MAX }))
    }

    /// How many microseconds after this Unix time in milliseconds an entry was written; negative before it.
    pub fn micros_after(&self, unix_ms: u64, entry: &Entry) -> i64 {
        let at = i128::from(entry.ns) + self.offset_ns;
        ((at - i128::from(unix_ms) * 1_000_000) / 1_000) as i64
    }

    /// What Redis says now, as far as the monotonic clock tells; Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        ((i128::from(now_ns()) + self.offset_ns) / 1_000_000) as u64
    }
}
