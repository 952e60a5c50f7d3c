//! Questions that stories ask of a history: which runs were under way when, who took them over, how soon.

use std::{
    collections::{HashMap, HashSet},
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
    history.iter().any(|entry| matches!(entry.what, What::Started { job: other, run: later } if other == job && run < later))
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

/// How long each run that a process gave back took until it ran again.
pub fn restarts(history: &[Entry], process: &str) -> Vec<Duration> {
    let mut waiting: HashMap<JobId, u64> = HashMap::new();
    let mut found = Vec::new();
    for entry in history {
        match entry.what {
            What::Settled { job, verdict: Carried::Excused, .. } if entry.process == process => {
                waiting.insert(job, entry.ns);
            }
            What::Started { job, .. } => {
                let since = waiting.remove(&job);
                found.extend(since.map(|since| Duration::from_nanos(entry.ns.saturating_sub(since))));
            }
            _ => {}
        }
    }
    found
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
