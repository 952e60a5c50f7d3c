//! The one place that reads the wall clock.
//!
//! Everything else takes time as an argument, so that a test can own it. Due times and leases never come from
//! here: the scripts ask Redis, because the clocks of producers and workers may disagree.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since the Unix epoch, from this machine's clock. A clock set before 1970 reads as zero.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Milliseconds since the Unix epoch, from this machine's clock.
pub fn unix_now_ms() -> u64 {
    unix_now().as_millis() as u64
}
