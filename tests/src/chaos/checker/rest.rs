//! Cancelling, pausing, replaying, recording, and what is left at the end (I12–I17).

use std::collections::{BTreeMap, HashMap, HashSet};

use flota_producer::JobId;

use super::Terms;
use crate::chaos::{
    evidence::Evidence,
    history::{Carried, What},
};

/// How long workers may take to hear of a pause, in nanoseconds.
const PAUSE_HEARD: u64 = 1_000_000_000;

pub(super) fn cancelled_is_cancelled(evidence: &Evidence, _: &Terms) -> Vec<String> {
    let mut cancelled: HashMap<JobId, u64> = HashMap::new();
    let mut found = Vec::new();
    for entry in &evidence.history {
        match entry.what {
            What::Cancelled { job, at_once: true } => drop(cancelled.insert(job, entry.ns)),
            What::Started { job, run } if cancelled.contains_key(&job) => {
                found.push(format!("run {run} of job {job} started after it was cancelled"));
            }
            _ => {}
        }
    }
    for row in evidence.outcomes.iter().filter(|row| cancelled.contains_key(&row.job)) {
        if row.status != "cancelled" {
            found.push(format!("job {} was cancelled and has the outcome {}", row.job, row.status));
        }
    }
    found
}

pub(super) fn paused_is_paused(evidence: &Evidence, _: &Terms) -> Vec<String> {
    let mut since = None;
    let mut found = Vec::new();
    for entry in &evidence.history {
        match entry.what {
            What::Paused => since = Some(entry.ns + PAUSE_HEARD),
            What::Resumed => since = None,
            What::Started { job, run } if since.is_some_and(|since| since < entry.ns) => {
                found.push(format!("run {run} of job {job} started while its queue was paused"));
            }
            _ => {}
        }
    }
    found
}

pub(super) fn replayed_once(evidence: &Evidence, _: &Terms) -> Vec<String> {
    let mut replays: BTreeMap<JobId, HashSet<JobId>> = BTreeMap::new();
    for row in &evidence.outcomes {
        if let Some(letter) = row.replay_of {
            replays.entry(letter).or_default().insert(row.job);
        }
    }
    let mut found = Vec::new();
    for (letter, jobs) in &replays {
        if 1 < jobs.len() {
            found.push(format!("dead letter {letter} was replayed as {} jobs", jobs.len()));
        }
    }
    for (letter, state) in &evidence.dead_letters {
        if state == "replaying" {
            found.push(format!("dead letter {letter} is still being replayed"));
        }
        if state == "replayed" && !replays.contains_key(letter) {
            found.push(format!("dead letter {letter} was replayed and no job has an outcome for it"));
        }
    }
    found
}

pub(super) fn everything_is_recorded(evidence: &Evidence, terms: &Terms) -> Vec<String> {
    if terms.may_lose.is_some() || terms.refused_records {
        return Vec::new();
    }
    let rows: HashSet<(JobId, u32)> =
        evidence.outcomes.iter().chain(&evidence.attempts).map(|row| (row.job, row.run)).collect();
    let mut found = Vec::new();
    for entry in &evidence.history {
        if let What::Settled { job, run, verdict: Carried::Ended | Carried::Retried } = entry.what
            && !rows.contains(&(job, run))
            // After a lost reply a worker may believe that a lost run was settled; another run then ended the job.
            && !rows.iter().any(|(other, later)| *other == job && run < *later)
        {
            found.push(format!("run {run} of job {job} was settled and is not in Postgres"));
        }
    }
    found
}

pub(super) fn everything_is_accounted_for(evidence: &Evidence, _: &Terms) -> Vec<String> {
    evidence.unaccounted.clone()
}

pub(super) fn nothing_is_left(evidence: &Evidence, terms: &Terms) -> Vec<String> {
    let refused = |name: &String| terms.refused_records && name.contains(":refused");
    let mut found: Vec<String> = evidence.leftovers.iter().filter(|name| !refused(name)).cloned().collect();
    found.extend(evidence.outbox.iter().map(|job| format!("job {job} is still in the outbox")));
    found
}
