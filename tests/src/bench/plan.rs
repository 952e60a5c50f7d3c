//! What is measured, how much of it, and how often: the command line, and the sizes that follow from it.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};

/// One sort of run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Bulk enqueue, then a drain: rates, CPU and memory
    Drain,
    /// One enqueue after the other
    Single,
    /// From enqueue to handler, 50 jobs a second
    PickUp,
    /// A worker with nothing to do
    Idle,
    /// What each feature of a job costs
    Features,
    /// Rate while a backlog stays as long as it is
    Backlog,
    /// 1, 8 and 32 workers
    Workers,
    /// 256 jobs of 100 ms at once
    Slots,
    /// Both ways of Redis to write to the disk
    Fsync,
}

/// Measures the fleet, and with --peers other queues beside it, on private servers.
///
/// Ratios are formed within a round. Only a quiet machine and a release build give numbers that mean something.
#[derive(Debug, Clone, Parser)]
#[command(name = "cargo xtask bench", after_help = "Example: cargo xtask bench --peers --json bench.json")]
pub struct Arguments {
    /// Measure the peers too; they are built from their registries first
    #[arg(long)]
    pub peers: bool,
    /// Small numbers and one round: shows that the measures work, judges nothing
    #[arg(long)]
    pub quick: bool,
    /// Hold a backlog of 5,000,000 too, which takes 3 GB of memory for Redis
    #[arg(long, conflicts_with = "quick")]
    pub huge: bool,
    /// Rounds; 3, or 1 with --quick, unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: Option<u32>,
    /// Jobs of a drain; 100,000, or 5,000 with --quick, unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    pub jobs: Option<u32>,
    /// This measure only; may be given several times
    #[arg(long, value_name = "MEASURE", value_enum)]
    pub only: Vec<Measure>,
    /// Write everything into this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Measure nothing: show what an earlier --json has
    #[arg(long, value_name = "FILE", conflicts_with_all = ["peers", "quick", "huge", "json"])]
    pub from: Option<PathBuf>,
    /// Write the tables into their part of this page
    #[arg(long, value_name = "PAGE")]
    pub page: Option<PathBuf>,
}

/// How much is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Rounds.
    pub rounds: u32,
    /// Measures, in their order.
    pub measures: Vec<Measure>,
    /// Jobs of a drain.
    pub jobs: usize,
    /// Jobs of a drain for a feature, a fleet of several workers, or one way to write to the disk.
    pub fewer_jobs: usize,
    /// Single enqueues.
    pub singles: usize,
    /// Jobs whose pick-up is timed, 20 ms apart.
    pub timed: usize,
    /// Seconds for which an idle worker is looked at.
    pub idle_secs: u64,
    /// Jobs that wait all the time, in one run each.
    pub backlogs: Vec<u64>,
    /// Worker processes, in one run each.
    pub fleets: Vec<usize>,
    /// How many times each of 256 slots runs a job of 100 ms: so often that the end, where they empty one by one, hardly counts.
    pub waves: usize,
}

impl Plan {
    /// What these arguments ask for.
    pub fn of(arguments: &Arguments) -> Self {
        let mut plan = if arguments.quick { Self::quick() } else { Self::full() };
        plan.rounds = arguments.rounds.unwrap_or(plan.rounds);
        if let Some(jobs) = arguments.jobs {
            (plan.jobs, plan.fewer_jobs) = (jobs as usize, jobs as usize / 2);
        }
        if arguments.huge {
            plan.backlogs.push(5_000_000);
        }
        if !arguments.only.is_empty() {
            plan.measures.retain(|measure| arguments.only.contains(measure));
        }
        plan
    }

    fn full() -> Self {
        Self {
            rounds: 3,
            measures: Measure::value_variants().to_vec(),
            jobs: 100_000,
            fewer_jobs: 50_000,
            singles: 5_000,
            timed: 500,
            idle_secs: 20,
            backlogs: vec![1_000, 100_000, 1_000_000],
            fleets: vec![1, 8, 32],
            waves: 200,
        }
    }

    fn quick() -> Self {
        Self {
            rounds: 1,
            jobs: 5_000,
            fewer_jobs: 3_000,
            singles: 300,
            timed: 100,
            idle_secs: 3,
            backlogs: vec![1_000, 20_000],
            fleets: vec![1, 3],
            waves: 3,
            ..Self::full()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::bench::figures::{BACKLOGS, WORKERS};

    fn plan(arguments: &str) -> Plan {
        Plan::of(
            &Arguments::try_parse_from(["bench"].into_iter().chain(arguments.split_whitespace())).unwrap(),
        )
    }

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_full_plan_takes_every_number_that_a_figure_needs() {
        let full = plan("--peers");

        assert!(3 <= full.rounds && full.measures.len() == Measure::value_variants().len());
        assert!([BACKLOGS.0, BACKLOGS.1].iter().all(|backlog| full.backlogs.contains(backlog)));
        assert!([WORKERS.0, WORKERS.1].iter().all(|workers| full.fleets.contains(workers)));
        assert_eq!(plan("--huge").backlogs.last(), Some(&5_000_000));
    }

    #[test]
    fn the_quick_plan_tries_every_measure_once_with_small_numbers() {
        let (quick, full) = (plan("--peers --quick"), plan(""));

        assert_eq!((quick.rounds, &quick.measures), (1, &full.measures));
        assert!(quick.jobs * 10 < full.jobs && quick.backlogs.iter().all(|backlog| *backlog <= 20_000));
    }

    #[test]
    fn rounds_jobs_and_measures_can_be_chosen() {
        let chosen = plan("--rounds 5 --jobs 20000 --only idle --only drain");

        assert_eq!((chosen.rounds, chosen.jobs, chosen.fewer_jobs), (5, 20_000, 10_000));
        assert_eq!(chosen.measures, [Measure::Drain, Measure::Idle]);
    }
}
