//! Whole jobs: none lost, none invented, one outcome each (I1–I3).

use std::collections::{HashMap, HashSet};

use flota_producer::JobId;

use super::Terms;
use crate::chaos::{evidence::Evidence, history::What};

/// How producers came away.
pub(super) struct Enqueued {
    pub(super) accepted: HashSet<JobId>,
    pub(super) unknown: HashSet<JobId>,
}

impl Enqueued {
    pub(super) fn of(evidence: &Evidence) -> Self {
        let (mut accepted, mut unknown) = (HashSet::new(), HashSet::new());
        for entry in &evidence.history {
            match entry.what {
                What::Accepted { job } => drop(accepted.insert(job)),
                What::Unknown { job } => drop(unknown.insert(job)),
                _ => {}
            }
        }
        Self { accepted, unknown }
    }
}

/// Accepted jobs without an outcome.
pub fn lost(evidence: &Evidence) -> Vec<JobId> {
    let ended: HashSet<JobId> = evidence.outcomes.iter().map(|row| row.job).collect();
    let mut lost: Vec<JobId> = Enqueued::of(evidence).accepted.difference(&ended).copied().collect();
    lost.sort_unstable();
    lost
}

pub(super) fn none_is_lost(evidence: &Evidence, terms: &Terms) -> Vec<String> {
    let lost = lost(evidence);
    if lost.len() <= terms.may_lose.unwrap_or(0) {
        return Vec::new();
    }
    lost.into_iter().map(|job| format!("job {job} was accepted and has no outcome")).collect()
}

pub(super) fn none_is_invented(evidence: &Evidence, terms: &Terms) -> Vec<String> {
    if terms.other_producers {
        return Vec::new();
    }
    let enqueued = Enqueued::of(evidence);
    let known = |job: &JobId| enqueued.accepted.contains(job) || enqueued.unknown.contains(job);
    let outcomes = evidence.outcomes.iter().filter(|row| !known(&row.job) && row.replay_of.is_none());
    let effects = evidence.effects.iter().filter(|effect| !known(&effect.job));
    let outcomes = outcomes.map(|row| format!("job {} {} and nobody enqueued it", row.job, row.status));
    let effects = effects.map(|effect| format!("job {} had an effect and nobody enqueued it", effect.job));
    // An effect of a replay is an effect of a job with an outcome that says so.
    let replays: HashSet<JobId> =
        evidence.outcomes.iter().filter(|row| row.replay_of.is_some()).map(|row| row.job).collect();
    let is_replay = |text: &String| replays.iter().any(|job| text.contains(&job.to_string()));
    outcomes.chain(effects).filter(|text| replays.is_empty() || !is_replay(text)).collect()
}

/// Jobs with more than one outcome.
pub fn doubled(evidence: &Evidence) -> Vec<(JobId, Vec<String>)> {
    let mut statuses: HashMap<JobId, Vec<String>> = HashMap::new();
    for row in &evidence.outcomes {
        statuses.entry(row.job).or_default().push(format!("{} by run {}", row.status, row.run));
    }
    statuses.retain(|_, statuses| 1 < statuses.len());
    let mut doubled: Vec<_> = statuses.into_iter().collect();
    doubled.sort_unstable();
    doubled
}

pub(super) fn one_outcome(evidence: &Evidence, terms: &Terms) -> Vec<String> {
    // Where Redis loses acknowledged writes, the end of a job may be among them.
    if terms.may_lose.is_some() {
        return Vec::new();
    }
    let told =
        |(job, statuses): (JobId, Vec<String>)| format!("job {job} ended as {}", statuses.join(" and "));
    doubled(evidence).into_iter().map(told).collect()
}
