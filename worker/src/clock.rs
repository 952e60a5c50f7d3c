//! The time of this machine as calendars have it.

use chrono::{DateTime, Utc};
use flota_producer::clock;

/// Now, to the millisecond.
pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(clock::unix_now_ms() as i64).unwrap_or_default()
}
