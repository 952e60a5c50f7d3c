//! What is measured: names, units, and which way is better.

use serde::{Deserialize, Serialize};

/// One kind of number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Jobs a second by the fastest way to enqueue many: bulk calls where there are any.
    BulkPerS,
    /// Jobs a second, one call after the other by one caller.
    SinglePerS,
    /// Jobs a second from the end of the first handler until the last has left the queue. Of peers, until the last
    /// handler has ended, which is earlier.
    SettledPerS,
    /// The same until the last outcome is committed to Postgres.
    CommittedPerS,
    /// From just before a job is enqueued until its handler begins, median, ms.
    PickUpP50Ms,
    /// The same, 99th percentile.
    PickUpP99Ms,
    /// The same, longest.
    PickUpMaxMs,
    /// CPU of an idle worker, in hundredths of a core.
    IdleCpuPercent,
    /// CPU of Redis meanwhile.
    IdleRedisPercent,
    /// Resident memory of an idle worker, MB of 10⁶ bytes.
    IdleRssMb,
    /// Highest resident memory of all worker processes in a drain, MB.
    LoadRssMb,
    /// Memory of Redis for each waiting job, bytes.
    BytesPerQueued,
    /// Memory of Redis that is not given back, for each job that ended, bytes.
    BytesLeft,
    /// CPU of Redis for each job while it is enqueued in bulk, µs.
    RedisBulkUs,
    /// CPU of Redis for each job from its fetch until its record, µs.
    RedisDrainUs,
    /// Both together.
    RedisBothUs,
    /// CPU of the workers for each job of a drain, their start included, µs.
    WorkerUs,
    /// CPU of Postgres for each job of a drain, µs.
    PostgresUs,
    /// CPU that others on this machine used during a drain, in hundredths of a core.
    OthersPercent,
    /// Throughput of jobs that take their time, as a share of slots ÷ duration.
    ShareOfIdeal,
    /// Share of looks that found the held backlog empty.
    Starved,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Rates, shares.
    Higher,
    /// Times, costs.
    Lower,
}

impl Metric {
    /// As the head of a column.
    pub fn title(self) -> &'static str {
        match self {
            Self::BulkPerS => "bulk enqueue/s",
            Self::SinglePerS => "single enqueue/s",
            Self::SettledPerS => "drain to settled/s",
            Self::CommittedPerS => "drain to committed/s",
            Self::PickUpP50Ms => "pick-up p50 ms",
            Self::PickUpP99Ms => "p99 ms",
            Self::PickUpMaxMs => "max ms",
            Self::IdleCpuPercent => "idle, % of a core",
            Self::IdleRedisPercent => "idle, Redis %",
            Self::IdleRssMb => "idle RSS MB",
            Self::LoadRssMb => "RSS MB under load",
            Self::BytesPerQueued => "Redis B/queued",
            Self::BytesLeft => "Redis B left/done",
            Self::RedisBulkUs => "Redis µs/enqueue",
            Self::RedisDrainUs => "Redis µs/drain",
            Self::RedisBothUs => "Redis µs/job",
            Self::WorkerUs => "worker µs/job",
            Self::PostgresUs => "Postgres µs/job",
            Self::OthersPercent => "others, % of a core",
            Self::ShareOfIdeal => "share of ideal",
            Self::Starved => "starved",
        }
    }

    /// Rates and shares go up, everything else goes down.
    pub fn better(self) -> Better {
        match self {
            Self::BulkPerS
            | Self::SinglePerS
            | Self::SettledPerS
            | Self::CommittedPerS
            | Self::ShareOfIdeal => Better::Higher,
            _ => Better::Lower,
        }
    }
}
