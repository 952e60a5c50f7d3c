//! Questions that stories ask of a history: which runs were under way when, who took them over, how soon.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use flota_producer::JobId;

use super::history::{Carried, Entry, What};

/// A run: its job and its number.
pub type Run = (JobId, u32);

/// Runs that a process had started and not yet ended at this moment.
pub fn under_way(history: &[Entry], process: &str, at_ns: u64) -> HashSet<Run> {
    let mut runs = HashSet::new();
    for entry in history.iter().filter(|entry| entry.process == process && entry.ns <= at_ns) {
        match entry.what {
            What::Started { job, run } => drop(runs.insert((job, run))),
            What::Settled { job, run, .. } | What::LeaseLost { job, run } => drop(runs.remove(&(job, run))),
            _ => {}
        }
    }
    runs
}

/// True when a later run of the same job was started, by whomever.
pub fn was_taken_over(history: &[Entry], (job, run): Run) -> bool {
    history.iter().any(
        |entry| matches!(entry.what, What::Started { job: other, run: later } if other == job && run < later),
    )
}

/// Runs that a process was told it had lost.
pub fn lost_by(history: &[Entry], process: &str) -> HashSet<Run> {
    let its = history.iter().filter(|entry| entry.process == process);
    its.filter_map(|entry| match entry.what {
        What::LeaseLost { job, run } => Some((job, run)),
        _ => None,
    })
    .collect()
}

/// How long after this moment a process last started a run; `None` when it started none.
pub fn last_start_after(history: &[Entry], process: &str, at_ns: u64) -> Option<Duration> {
    let starts = history.iter().filter(|entry| entry.process == process && at_ns < entry.ns);
    let starts = starts.filter(|entry| matches!(entry.what, What::Started { .. }));
    starts.map(|entry| Duration::from_nanos(entry.ns - at_ns)).max()
}

/// How long each run that a process gave back took until the next run of its job started. That one may be written down
/// first: then it took no time.
pub fn restarts(history: &[Entry], process: &str) -> Vec<Duration> {
    let mut starts: BTreeMap<Run, u64> = BTreeMap::new();
    for entry in history {
        if let What::Started { job, run } = entry.what {
            starts.insert((job, run), entry.ns);
        }
    }
    let released =
        history.iter().filter(|entry| entry.process == process).filter_map(|entry| match entry.what {
            What::Settled { job, run, verdict: Carried::Excused } => Some((job, run, entry.ns)),
            _ => None,
        });
    let next = |(job, run, at): (JobId, u32, u64)| {
        let (_, started) = starts.range((job, run + 1)..=(job, u32::MAX)).next()?;
        Some(Duration::from_nanos(started.saturating_sub(at)))
    };
    released.filter_map(next).collect()
}

/// How many leases were taken back from workers that had vanished: each one is charged to its job.
pub fn recovered(history: &[Entry]) -> usize {
    let taken = |entry: &Entry| match entry.what {
        What::Recovered { ready_again, buried } => ready_again + buried,
        _ => 0,
    };
    history.iter().map(taken).sum()
}

/// Runs that a process started.
pub fn started_by(history: &[Entry], process: &str) -> HashSet<Run> {
    let its = history.iter().filter(|entry| entry.process == process);
    its.filter_map(|entry| match entry.what {
        What::Started { job, run } => Some((job, run)),
        _ => None,
    })
    .collect()
}
