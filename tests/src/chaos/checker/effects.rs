//! Effects outside: repeated only where a fault explains it, and under one idempotency key (I7, I8).

use std::collections::{BTreeMap, HashMap, HashSet};

use flota_producer::JobId;

use super::Terms;
use crate::chaos::{
    evidence::Evidence,
    history::{EVERYTHING, What},
    provider::{Effect, EffectKind},
};

/// A fault, from when until when it was on, and whom it hit.
struct Fault<'a> {
    name: &'a str,
    target: &'a str,
    from: u64,
    until: u64,
}

impl Fault<'_> {
    fn hits(&self, run: &Run<'_>) -> bool {
        let there = self.target == run.process || self.target == EVERYTHING;
        there && self.from <= run.until && run.from <= self.until
    }
}

/// Where and when a run went.
struct Run<'a> {
    process: &'a str,
    from: u64,
    until: u64,
}

/// An effect that came after another one of the same try.
struct Repeat<'a> {
    first: &'a Effect,
    again: &'a Effect,
}

/// How many effects a fault repeated.
pub fn repeated(evidence: &Evidence) -> usize {
    repeats(evidence).len()
}

fn by_job(evidence: &Evidence) -> BTreeMap<JobId, Vec<&Effect>> {
    let mut jobs: BTreeMap<JobId, Vec<&Effect>> = BTreeMap::new();
    for effect in &evidence.effects {
        jobs.entry(effect.job).or_default().push(effect);
    }
    jobs
}

fn repeats(evidence: &Evidence) -> Vec<Repeat<'_>> {
    let mut tries: HashMap<JobId, usize> = HashMap::new();
    for row in evidence.attempts.iter().chain(&evidence.outcomes) {
        *tries.entry(row.job).or_default() += 1;
    }
    let mut found = Vec::new();
    for (job, effects) in by_job(evidence) {
        // A webhook does not say which try it belongs to: each recorded run may have sent one.
        let mut unnamed = tries.get(&job).copied().unwrap_or(0);
        let mut seen = HashMap::new();
        for again in effects {
            let first = *seen.entry(again.attempt).or_insert(again);
            let is_first = std::ptr::eq(first, again);
            if again.kind == EffectKind::Webhook && 0 < unnamed {
                unnamed -= 1;
            } else if !is_first {
                found.push(Repeat { first, again });
            }
        }
    }
    found
}

pub(super) fn repeats_are_explained(evidence: &Evidence, terms: &Terms) -> Vec<String> {
    let faults = faults(evidence);
    let runs = runs(evidence);
    let explained = |repeat: &Repeat<'_>| {
        let job = repeat.first.job;
        // The one that came first, even where a frozen worker had its effect only after others had taken over.
        let interrupted = repeat.first.run.min(repeat.again.run);
        let is_its = |(other, run): &(JobId, u32)| {
            *other == job && (repeat.first.kind == EffectKind::Webhook || *run == interrupted)
        };
        let mut hit = runs.iter().filter(|(run, _)| is_its(run)).map(|(_, run)| run);
        hit.any(|run| faults.iter().any(|fault| fault.hits(run)))
    };
    let unexplained = repeats(evidence)
        .into_iter()
        .filter(|repeat| terms.no_repeats || !(terms.unannounced_faults || explained(repeat)));
    let told = |Repeat { first, again }: Repeat<'_>| {
        format!(
            "job {} had its effect in run {} and again in run {} of try {}, and no fault explains it",
            first.job, first.run, again.run, again.attempt,
        )
    };
    unexplained.map(told).collect()
}

fn faults(evidence: &Evidence) -> Vec<Fault<'_>> {
    let mut faults: Vec<Fault<'_>> = Vec::new();
    for entry in &evidence.history {
        match &entry.what {
            What::FaultBegan { fault, target } => {
                faults.push(Fault { name: fault, target, from: entry.ns, until: u64::MAX });
            }
            What::FaultEnded { fault, target } => {
                let begun =
                    faults.iter_mut().rev().find(|begun| begun.name == fault && begun.target == target);
                if let Some(begun) = begun {
                    begun.until = entry.ns;
                }
            }
            _ => {}
        }
    }
    faults
}

/// Runs with their job and number, which Redis gives twice when it has lost the first one. One that was never settled goes
/// on to the end of time.
fn runs(evidence: &Evidence) -> Vec<((JobId, u32), Run<'_>)> {
    let (mut runs, mut places) = (Vec::new(), HashMap::new());
    for entry in &evidence.history {
        match entry.what {
            What::Started { job, run } => {
                places.insert((&entry.process, job, run), runs.len());
                let told = Run { process: &entry.process, from: entry.ns, until: u64::MAX };
                runs.push(((job, run), told));
            }
            What::Settled { job, run, .. } | What::LeaseLost { job, run } => {
                if let Some(place) = places.get(&(&entry.process, job, run)) {
                    runs[*place].1.until = entry.ns;
                }
            }
            _ => {}
        }
    }
    runs
}

pub(super) fn one_key_per_job(evidence: &Evidence, _: &Terms) -> Vec<String> {
    let mut found = Vec::new();
    let mut owners: HashMap<&str, JobId> = HashMap::new();
    for effect in &evidence.effects {
        let owner = *owners.entry(&effect.key).or_insert(effect.job);
        if owner != effect.job {
            found.push(format!("jobs {owner} and {} have the idempotency key {}", effect.job, effect.key));
        }
    }
    for (job, effects) in by_job(evidence) {
        let keys: HashSet<&str> = effects.iter().map(|effect| effect.key.as_str()).collect();
        if 1 < keys.len() {
            found.push(format!("job {job} had effects under {} idempotency keys", keys.len()));
        }
    }
    found
}
