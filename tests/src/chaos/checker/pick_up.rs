//! How soon the jobs of a killed worker are picked up again (I19).
//!
//! Picked up means started, or put back by a worker that fetched it: a job that has lost two workers is a suspect and
//! runs beside no other suspect, so it may have to wait for its turn.

use std::{collections::HashMap, time::Duration};

use flota_producer::JobId;

use super::Terms;
use crate::chaos::{
    evidence::Evidence,
    history::{Carried, What},
};

/// The name of the fault.
const KILLED: &str = "killed";

/// Each job that was running in a worker when it was killed, and how long it took until another had it.
fn pick_ups(evidence: &Evidence) -> Vec<(JobId, Duration)> {
    // Which runs each process has under way, and since when the jobs of killed ones wait.
    let mut under_way: HashMap<JobId, &str> = HashMap::new();
    let mut waiting: HashMap<JobId, u64> = HashMap::new();
    let mut found = Vec::new();
    for entry in &evidence.history {
        match &entry.what {
            What::Started { job, .. } => {
                if let Some(since) = waiting.remove(job) {
                    found.push((*job, Duration::from_nanos(entry.ns - since)));
                }
                under_way.insert(*job, &entry.process);
            }
            What::Settled { job, verdict: Carried::Excused, .. } if waiting.contains_key(job) => {
                let since = waiting.remove(job).unwrap_or(entry.ns);
                found.push((*job, Duration::from_nanos(entry.ns - since)));
            }
            What::Settled { job, .. } | What::LeaseLost { job, .. } => drop(under_way.remove(job)),
            What::FaultBegan { fault, target } if fault == KILLED => {
                let hit = under_way.extract_if(|_, process| *process == target);
                waiting.extend(hit.map(|(job, _)| (job, entry.ns)));
            }
            _ => {}
        }
    }
    found
}

/// The slowest of them; `None` when no killed worker had a job that ran again.
pub fn slowest(evidence: &Evidence) -> Option<Duration> {
    pick_ups(evidence).into_iter().map(|(_, took)| took).max()
}

pub(super) fn in_time(evidence: &Evidence, terms: &Terms) -> Vec<String> {
    let Some(within) = terms.picked_up_within else { return Vec::new() };
    let late = pick_ups(evidence).into_iter().filter(|(_, took)| within < *took);
    late.map(|(job, took)| {
        format!("job {job} was picked up {took:.1?} after its worker was killed, not within {within:?}")
    })
    .collect()
}
