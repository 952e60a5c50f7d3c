//! The clock of histories and ledgers: one for all processes of a machine, and no clock jump moves it.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of the machine's monotonic clock.
pub fn now_ns() -> u64 {
    // Linux always has this clock.
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}
