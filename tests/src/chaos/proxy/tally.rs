//! Counts what the proxy saw and did.

use std::sync::atomic::{AtomicU64, Ordering};

/// What has happened so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Connections that were accepted; refused ones never reach us.
    pub connections: u64,
    /// Connections that live now.
    pub live: u64,
    /// Bytes of requests that were delivered.
    pub bytes_to_server: u64,
    /// Bytes of replies that were delivered.
    pub bytes_to_client: u64,
    /// Bytes that vanished in a black hole.
    pub bytes_lost: u64,
    /// Connections that were reset by order, or because they had lost bytes.
    pub resets: u64,
    /// Connections that were cut at a marker.
    pub cuts: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) connections: AtomicU64,
    pub(super) live: AtomicU64,
    pub(super) bytes_to_server: AtomicU64,
    pub(super) bytes_to_client: AtomicU64,
    pub(super) bytes_lost: AtomicU64,
    pub(super) resets: AtomicU64,
    pub(super) cuts: AtomicU64,
}

impl Tally {
    pub(super) fn read(&self) -> Counters {
        let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        Counters {
            connections: count(&self.connections),
            live: count(&self.live),
            bytes_to_server: count(&self.bytes_to_server),
            bytes_to_client: count(&self.bytes_to_client),
            bytes_lost: count(&self.bytes_lost),
            resets: count(&self.resets),
            cuts: count(&self.cuts),
        }
    }
}

/// Adds to a counter.
pub(super) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::SeqCst);
}
