//! The figures that are asked for: one table, from which the verdicts and the page are made.
//!
//! They hold for a release build on 2 cores that Redis, Postgres, producer and worker share, with every promise on. Since
//! the speed of a machine drifts, almost all of them are ratios of two numbers of one round.

use super::{case::Case, metric::Metric};

/// A number of ours, perhaps divided by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// What it says, as the page has it.
    pub what: &'static str,
    /// Our number.
    pub ours: (Case, Metric),
    /// What it is divided by.
    pub over: Over,
    /// What is asked of the result.
    pub asked: Asked,
    /// How many digits of the result are shown after the point.
    pub digits: usize,
}

/// What our number is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Nothing.
    Nothing,
    /// The best number that this product reached in the same round, in any of its settings.
    BestOf(&'static str, Metric),
    /// Another of ours, of the same round.
    Ours(Case, Metric),
}

/// What is asked, in thousandths, so that the table can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// At least this; better would be the second.
    AtLeast(u32, Option<u32>),
    /// At most this; better would be the second.
    AtMost(u32, Option<u32>),
    /// No further from zero than this.
    Within(u32),
}

/// `BullMQ`, whose workers keep no history in SQL.
pub const BULLMQ: &str = "BullMQ";
/// `graphile_worker`, a queue in Postgres that keeps no history.
pub const GRAPHILE: &str = "graphile_worker";

/// The most jobs that wait in the figure about backlogs, and the fewest.
pub const BACKLOGS: (u64, u64) = (1_000_000, 1_000);
/// The most workers in the figure about workers, and the fewest.
pub const WORKERS: (usize, usize) = (32, 1);

use Asked::{AtLeast, AtMost, Within};
use Case::{Always, EverySecond, Slots, Usual};
use Metric as M;
use Over::{BestOf, Nothing, Ours};

const fn figure(what: &'static str, ours: (Case, Metric), over: Over, asked: Asked, digits: usize) -> Figure {
    Figure { what, ours, over, asked, digits }
}

/// All of them.
#[rustfmt::skip]
pub const FIGURES: [Figure; 16] = [
    figure("drain, every outcome committed to Postgres ÷ BullMQ's best drain",
        (Usual, M::CommittedPerS), BestOf(BULLMQ, M::SettledPerS), AtLeast(6_000, Some(10_000)), 2),
    figure("drain, every outcome committed to Postgres ÷ graphile_worker, tuned",
        (Usual, M::CommittedPerS), BestOf(GRAPHILE, M::SettledPerS), AtLeast(1_800, Some(3_000)), 2),
    figure("drain to settled ÷ BullMQ's best drain",
        (Usual, M::SettledPerS), BestOf(BULLMQ, M::SettledPerS), AtLeast(7_000, Some(11_000)), 2),
    figure("bulk enqueue ÷ BullMQ addBulk",
        (Usual, M::BulkPerS), BestOf(BULLMQ, M::BulkPerS), AtLeast(12_000, None), 2),
    figure("single sequential enqueue ÷ BullMQ add",
        (Usual, M::SinglePerS), BestOf(BULLMQ, M::SinglePerS), AtLeast(3_000, None), 2),
    figure("pick-up p50 ÷ BullMQ's",
        (Usual, M::PickUpP50Ms), BestOf(BULLMQ, M::PickUpP50Ms), AtMost(300, None), 3),
    figure("pick-up p99 ÷ BullMQ's",
        (Usual, M::PickUpP99Ms), BestOf(BULLMQ, M::PickUpP99Ms), AtMost(300, None), 3),
    figure("Redis CPU per job, enqueue + finish, in batches ÷ BullMQ's",
        (Usual, M::RedisBothUs), BestOf(BULLMQ, M::RedisBothUs), AtMost(100, Some(60)), 3),
    figure("Redis bytes per queued job, 200-byte payload",
        (Usual, M::BytesPerQueued), Nothing, AtMost(480_000, Some(420_000)), 0),
    figure("left in Redis per finished job, bytes",
        (Usual, M::BytesLeft), Nothing, Within(2_000), 2),
    figure("idle worker with six queues, % of a core",
        (Usual, M::IdleCpuPercent), Nothing, AtMost(500, None), 2),
    figure("idle worker with six queues, RSS in MB",
        (Usual, M::IdleRssMb), Nothing, AtMost(25_000, None), 1),
    figure("drain rate at 1 M backlog ÷ at 1 k",
        (Case::Backlog(BACKLOGS.0), M::SettledPerS), Ours(Case::Backlog(BACKLOGS.1), M::SettledPerS), AtLeast(900, None), 2),
    figure("Redis CPU per job with 32 workers ÷ with 1",
        (Case::Workers(WORKERS.0), M::RedisDrainUs), Ours(Case::Workers(WORKERS.1), M::RedisDrainUs), AtMost(2_000, None), 2),
    figure("256 concurrent 100 ms jobs: share of ideal throughput",
        (Slots, M::ShareOfIdeal), Nothing, AtLeast(970, None), 3),
    figure("drain with `appendfsync always` ÷ with `everysec`",
        (Always, M::CommittedPerS), Ours(EverySecond, M::CommittedPerS), AtLeast(700, None), 2),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::bench::peers::PEERS;

    #[test]
    fn every_line_of_the_asked_table_has_its_figure_and_every_figure_a_peer_that_is_measured() {
        let different: HashSet<&str> = FIGURES.iter().map(|figure| figure.what).collect();

        // Fourteen lines, of which pick-up and the idle worker ask for two things each.
        assert_eq!(different.len(), 14 + 2);
        for figure in FIGURES {
            if let BestOf(product, _) = figure.over {
                assert!(PEERS.iter().any(|peer| peer.product == product), "{}", figure.what);
            }
        }
    }

    #[test]
    fn an_aim_lies_beyond_what_is_to_be_reached() {
        for figure in FIGURES {
            match figure.asked {
                AtLeast(reach, Some(aim)) => assert!(reach < aim, "{}", figure.what),
                AtMost(reach, Some(aim)) => assert!(aim < reach, "{}", figure.what),
                _ => {}
            }
        }
    }
}
