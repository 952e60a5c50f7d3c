//! Runs of one job: settled once, none after the end, tries counted one by one (I4–I6).

use std::collections::{BTreeMap, HashMap, HashSet};

use flota_producer::JobId;

use super::Terms;
use crate::chaos::{
    evidence::{Evidence, RunRow},
    history::{Carried, What},
};

pub(super) fn settled_once(evidence: &Evidence, terms: &Terms) -> Vec<String> {
    if terms.may_lose.is_some() {
        return Vec::new();
    }
    let mut rows: HashMap<(JobId, u32), usize> = HashMap::new();
    for row in runs(evidence) {
        *rows.entry((row.job, row.run)).or_default() += 1;
    }
    let twice = rows.into_iter().filter(|(_, rows)| 1 < *rows);
    let mut found: Vec<String> =
        twice.map(|((job, run), rows)| format!("run {run} of job {job} has {rows} rows")).collect();
    // A worker that sent a batch again after a lost reply may believe that a lost run was settled: then the row decides.
    let mut ends: HashMap<JobId, Vec<u32>> = HashMap::new();
    for entry in &evidence.history {
        if let What::Settled { job, run, verdict: Carried::Ended } = entry.what {
            ends.entry(job).or_default().push(run);
        }
    }
    let hidden = evidence
        .history
        .iter()
        .any(|entry| matches!(&entry.what, What::Trouble { step } if step == "settle"));
    if !hidden {
        let twice = ends.into_iter().filter(|(_, runs)| 1 < runs.len());
        found.extend(twice.map(|(job, runs)| format!("job {job} was ended by runs {runs:?}")));
    }
    found.sort_unstable();
    found
}

pub(super) fn nothing_after_the_end(evidence: &Evidence, terms: &Terms) -> Vec<String> {
    if terms.may_lose.is_some() {
        return Vec::new();
    }
    let last: HashMap<JobId, u32> = evidence.outcomes.iter().map(|row| (row.job, row.run)).collect();
    let mut found = Vec::new();
    for entry in &evidence.history {
        if let What::Started { job, run } = entry.what
            && last.get(&job).is_some_and(|last| *last < run)
        {
            found.push(format!("run {run} of job {job} started, and run {} had ended it", last[&job]));
        }
    }
    found
}

pub(super) fn tries_count_up(evidence: &Evidence, terms: &Terms) -> Vec<String> {
    if terms.may_lose.is_some() {
        return Vec::new();
    }
    let mut jobs: BTreeMap<JobId, Vec<&RunRow>> = BTreeMap::new();
    for row in runs(evidence) {
        jobs.entry(row.job).or_default().push(row);
    }
    jobs.into_iter().filter_map(|(job, rows)| wrong_tries(job, rows, terms)).collect()
}

/// Rows that tell of a run. A job that is cancelled while it waits for its next try ends without another one, with the
/// number of the last.
fn runs(evidence: &Evidence) -> impl Iterator<Item = &RunRow> {
    let failed: HashSet<(JobId, u32)> = evidence.attempts.iter().map(|row| (row.job, row.run)).collect();
    let ran = move |row: &&RunRow| row.status != "cancelled" || !failed.contains(&(row.job, row.run));
    evidence.attempts.iter().chain(evidence.outcomes.iter().filter(ran))
}

/// What is wrong with the tries of one job.
fn wrong_tries(job: JobId, mut rows: Vec<&RunRow>, terms: &Terms) -> Option<String> {
    rows.sort_unstable_by_key(|row| row.run);
    let tries: Vec<u32> = rows.iter().map(|row| row.attempt).collect();
    let limit = terms.max_attempts.unwrap_or(u32::MAX);
    // A job that never ran has no try; one that is ended from outside did not use the one it had.
    let counted = tries.iter().zip(1..).all(|(attempt, expected)| *attempt == expected);
    let ended_from_outside = rows[0].run == 0 || (rows[0].attempt == 0 && rows[0].status == "cancelled");
    let never_ran = rows.len() == 1 && ended_from_outside;
    if never_ran || (counted && tries.iter().all(|attempt| *attempt <= limit)) {
        return None;
    }
    Some(format!("job {job} has the tries {tries:?} (at most {limit})"))
}
