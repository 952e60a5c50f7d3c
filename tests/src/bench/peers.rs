//! The peers: other people's queues, each with the setting in which it was found to be fastest.
//!
//! Their programs are in `tests/peers`, outside the workspace, and speak one language: `bulk N`, `single N` and
//! `paced N MS` enqueue and print `{"jobs":…,"secs":…}`; `worker` runs jobs and keeps a tally (`tally.rs`).

pub mod install;

use super::plan::Measure;

/// Where a peer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// `tests/peers/<folder>/peer.js` with packages of npm.
    Npm(&'static str),
    /// A member of the Cargo workspace `tests/peers`.
    Crates(&'static str),
}

/// One peer in one setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// As tables name it.
    pub name: &'static str,
    /// The product; figures are about the best of its settings.
    pub product: &'static str,
    /// Where it comes from.
    pub origin: Origin,
    /// Worker processes.
    pub processes: usize,
    /// Variables of its programs.
    pub setting: &'static [(&'static str, &'static str)],
    /// Most jobs that it is given, where it cannot do with more.
    pub most_jobs: Option<usize>,
    /// Measures in which this setting takes part.
    pub measures: &'static [Measure],
}

use Measure::{Drain, Idle, PickUp, Single};

/// All of them.
pub const PEERS: [Peer; 7] = [
    Peer {
        name: "BullMQ 1×100",
        product: super::figures::BULLMQ,
        origin: Origin::Npm("bullmq"),
        processes: 1,
        setting: &[("CONCURRENCY", "100")],
        most_jobs: None,
        measures: &[Drain, Single, PickUp, Idle],
    },
    Peer {
        name: "BullMQ 2×100",
        product: super::figures::BULLMQ,
        origin: Origin::Npm("bullmq"),
        processes: 2,
        setting: &[("CONCURRENCY", "100")],
        most_jobs: None,
        measures: &[Drain],
    },
    Peer {
        name: "rusty-sidekiq",
        product: "rusty-sidekiq",
        origin: Origin::Crates("peer-rusty-sidekiq"),
        processes: 1,
        setting: &[("CONCURRENCY", "50")],
        most_jobs: None,
        measures: &[Drain, Single, PickUp, Idle],
    },
    // The setting of the crate's own benchmark.
    Peer {
        name: "graphile_worker 500",
        product: super::figures::GRAPHILE,
        origin: Origin::Crates("peer-graphile-worker"),
        processes: 1,
        setting: &[("CONCURRENCY", "500"), ("LOCAL_QUEUE", "5000")],
        most_jobs: None,
        measures: &[Drain, Single],
    },
    Peer {
        name: "graphile_worker 100",
        product: super::figures::GRAPHILE,
        origin: Origin::Crates("peer-graphile-worker"),
        processes: 1,
        setting: &[("CONCURRENCY", "100"), ("LOCAL_QUEUE", "1000")],
        most_jobs: None,
        measures: &[Drain, PickUp, Idle],
    },
    // Its worker ends with "too many results to unpack" when 50,000 are due; and one that idles looks for new jobs every
    // 30 seconds only, so its pick-up is not measured.
    Peer {
        name: "apalis-redis",
        product: "apalis-redis",
        origin: Origin::Crates("peer-apalis"),
        processes: 1,
        setting: &[("FETCH", "100")],
        most_jobs: Some(7_000),
        measures: &[Drain, Single, Idle],
    },
    // Without locks and events.
    Peer {
        name: "apalis-redis lean",
        product: "apalis-redis",
        origin: Origin::Crates("peer-apalis"),
        processes: 1,
        setting: &[("FETCH", "500"), ("LEAN", "1")],
        most_jobs: Some(7_000),
        measures: &[Drain],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::generated_text::repository;

    #[test]
    fn every_peer_has_a_name_of_its_own_and_a_program_in_the_repository() {
        let names: HashSet<&str> = PEERS.iter().map(|peer| peer.name).collect();

        assert_eq!(names.len(), PEERS.len());
        for peer in PEERS {
            let program = match peer.origin {
                Origin::Npm(folder) => format!("{folder}/peer.js"),
                Origin::Crates(name) => format!("{}/src/main.rs", name.trim_start_matches("peer-")),
            };
            assert!(repository().join("tests/peers").join(&program).is_file(), "{program}");
        }
    }
}
