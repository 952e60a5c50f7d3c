//! Under which circumstances a sample was taken.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Circumstances that are not the usual ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// One worker, no feature, AOF every second.
    Usual,
    /// Half as many plain jobs: what features are compared with.
    Plain,
    /// Every job has an idempotency key of its own.
    DedupKey,
    /// Every job has a unique key of its own.
    Unique,
    /// Every job is put off, and all are due when the worker starts.
    Delayed,
    /// A third each of high, normal and low.
    Priority,
    /// A thousand ordering keys.
    InOrder,
    /// The queue has a rate, which is never reached.
    Limits,
    /// Every job carries a trace, and the worker sends its spans to a collector.
    Tracing,
    /// As many jobs wait all the time.
    Backlog(u64),
    /// As many worker processes of 32 slots.
    Workers(usize),
    /// 256 slots, jobs of 100 ms.
    Slots,
    /// AOF every second, next to the other.
    EverySecond,
    /// AOF at every write.
    Always,
}

impl Case {
    /// What a job may ask for, each compared with [`Case::Plain`].
    pub const FEATURES: [Self; 7] = [
        Self::DedupKey,
        Self::Unique,
        Self::Delayed,
        Self::Priority,
        Self::InOrder,
        Self::Limits,
        Self::Tracing,
    ];
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::Usual => "usual",
            Self::Plain => "plain",
            Self::DedupKey => "idempotency key",
            Self::Unique => "unique key",
            Self::Delayed => "delayed",
            Self::Priority => "priorities",
            Self::InOrder => "ordering key",
            Self::Limits => "rate on the queue",
            Self::Tracing => "traces",
            Self::Backlog(jobs) => return write!(f, "{jobs} waiting"),
            Self::Workers(1) => "1 worker",
            Self::Workers(processes) => return write!(f, "{processes} workers"),
            Self::Slots => "256 slots, 100 ms",
            Self::EverySecond => "fsync every second",
            Self::Always => "fsync at every write",
        };
        f.write_str(word)
    }
}
