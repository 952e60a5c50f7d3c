//! Jobs in order: none starts before those that were enqueued before it have ended (I20).

use std::collections::{BTreeMap, HashMap};

use flota_producer::JobId;

use super::Terms;
use crate::chaos::{evidence::Evidence, history::What};

/// Judged by the run that ended a job: a run that lost its lease (a frozen worker) may still start, and have its effect,
/// when the others have long gone on, as it may beside its own job's next run.
pub(super) fn one_after_the_other(evidence: &Evidence, terms: &Terms) -> Vec<String> {
    if terms.may_lose.is_some() {
        return Vec::new();
    }
    let last: HashMap<JobId, u32> = evidence.outcomes.iter().map(|row| (row.job, row.run)).collect();
    let ended_by = |job: JobId, run: u32| last.get(&job) == Some(&run);
    let (mut lines, mut first_start, mut at_work) =
        (BTreeMap::<&str, Vec<JobId>>::new(), HashMap::<JobId, u64>::new(), HashMap::<JobId, u64>::new());
    for entry in &evidence.history {
        match &entry.what {
            What::InOrder { job, line } => lines.entry(line).or_default().push(*job),
            What::Started { job, run } => {
                first_start.entry(*job).or_insert(entry.ns);
                if ended_by(*job, *run) {
                    at_work.insert(*job, entry.ns);
                }
            }
            _ => {}
        }
    }
    for effect in evidence.effects.iter().filter(|effect| ended_by(effect.job, effect.run)) {
        let latest = at_work.entry(effect.job).or_default();
        *latest = effect.ns.max(*latest);
    }
    lines.iter().flat_map(|(line, jobs)| out_of_order(line, jobs, &first_start, &at_work)).collect()
}

fn out_of_order(
    line: &str,
    jobs: &[JobId],
    first_start: &HashMap<JobId, u64>,
    at_work: &HashMap<JobId, u64>,
) -> Vec<String> {
    let (mut busy, mut found) = (None::<(JobId, u64)>, Vec::new());
    for job in jobs {
        if let (Some((earlier, until)), Some(start)) = (busy, first_start.get(job))
            && *start < until
        {
            let ms = (until - start) / 1_000_000;
            found.push(format!("job {job} of line {line} started {ms} ms before job {earlier} had ended"));
        }
        if let Some(until) = at_work.get(job).filter(|until| busy.is_none_or(|(_, busy)| busy < **until)) {
            busy = Some((*job, *until));
        }
    }
    found
}
