//! When a fetch is too old to be relied on.

use std::time::Duration;

use crate::policy::QueuePolicy;

/// True when a fetch was read so late that nobody should rely on its leases: the process was frozen, none of its threads had
/// time, or the bodies were long in coming. A worker that lives sends a heartbeat within two of them; one that did not may
/// go on not doing so, and its leases are never more than a lease away from their end. Both times are of Redis, in Unix ms.
pub(super) fn is_late(fetched_ms: u64, read_ms: u64, policy: &QueuePolicy) -> bool {
    patience(policy).as_millis() <= u128::from(read_ms.saturating_sub(fetched_ms))
}

/// How old a fetch may be.
pub(super) fn patience(policy: &QueuePolicy) -> Duration {
    policy.lease.min(policy.heartbeat * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_is_late_after_two_heartbeats_or_a_lease_and_never_for_a_clock_that_went_back() {
        let with = |lease, heartbeat| QueuePolicy {
            lease: Duration::from_secs(lease),
            heartbeat: Duration::from_secs(heartbeat),
            ..crate::policy::tests::policy()
        };

        let (usual, hasty) = (with(30, 5), with(3, 2));

        assert_eq!([19_999, 20_000, 0].map(|read| is_late(10_000, read, &usual)), [false, true, false]);
        assert_eq!([12_999, 13_000].map(|read| is_late(10_000, read, &hasty)), [false, true]);
    }
}
