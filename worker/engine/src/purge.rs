//! Emptying a place of a queue: every job that waits there is cancelled, each with its terminal record, and released
//! parked jobs are put back in line. Running jobs are never touched.

use flota_producer::{
    JobId, Priority,
    keys::QueueKeys,
    link::{Link, LinkError},
};

use crate::{
    browse::{self, Live, LiveState},
    inspect,
    record::{Record, Status},
    store::{self, BATCH, WaitingJob},
};

/// What a purge did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Jobs that were cancelled.
    pub cancelled: u64,
    /// Jobs that had moved on, or could not be cancelled because their id is none.
    pub left: u64,
}

/// Cancels the jobs that wait in `state` now; what comes later stays. `canceller` is written down with each.
///
/// # Errors
/// When Redis does not answer: what was done until then stays done, and calling again goes on.
pub async fn purge(
    link: &Link,
    keys: &QueueKeys,
    state: LiveState,
    canceller: &str,
) -> Result<Purged, LinkError> {
    let counts = inspect::counts(link, keys).await?;
    let mut waiting = match state {
        LiveState::Ready => counts.ready,
        LiveState::Delayed => counts.delayed,
        LiveState::Parked => counts.parked,
        LiveState::InLine => counts.in_line,
        LiveState::Running => 0,
    };
    let mut purged = Purged::default();
    while 0 < waiting {
        let most = BATCH.min(waiting as usize);
        // What could not be taken out is still there, so it is skipped.
        let jobs = browse::entries(link, keys, state, purged.left as usize, most).await?;
        if jobs.is_empty() {
            break;
        }
        let (taken, cancelled) = batch(link, keys, state, &jobs, canceller).await?;
        purged.cancelled += cancelled;
        purged.left += jobs.len() as u64 - taken;
        waiting = waiting.saturating_sub(jobs.len() as u64);
    }
    Ok(purged)
}

/// One page: how many entries were taken out of their place, and how many of them were live jobs, now cancelled.
/// Each ready list is a key of its own, and so a call of its own.
async fn batch(
    link: &Link,
    keys: &QueueKeys,
    state: LiveState,
    jobs: &[Live],
    canceller: &str,
) -> Result<(u64, u64), LinkError> {
    let places = match state {
        LiveState::Ready => [Priority::High, Priority::Normal, Priority::Low]
            .map(|priority| (keys.ready(priority), Some(priority)))
            .to_vec(),
        LiveState::Delayed => vec![(keys.delayed(), None)],
        LiveState::Parked => vec![(keys.parked(), None)],
        LiveState::InLine => vec![(keys.in_line(), None)],
        LiveState::Running => Vec::new(),
    };
    let (mut taken, mut cancelled) = (0, 0);
    for (place, only) in places {
        let here = jobs.iter().filter(|job| only.is_none_or(|priority| priority == job.priority));
        let here: Vec<WaitingJob> = here.filter_map(|job| waiting_job(keys, job)).collect();
        let done = store::purge(link, keys, &place, state, &here, canceller).await?;
        taken += done.0;
        cancelled += done.1;
    }
    Ok((taken, cancelled))
}

fn waiting_job(keys: &QueueKeys, job: &Live) -> Option<WaitingJob> {
    let id = job.id?;
    let record = match &job.envelope {
        Some(envelope) => Record::of(id, envelope, Status::Cancelled),
        None => Record::unreadable(id, Status::Cancelled),
    };
    let record = Record { run: job.marks.run, attempt: job.marks.attempt, ..record };
    let unique = job.envelope.as_ref().map_or_else(String::new, |envelope| keys.unique_of(envelope));
    let line = job.envelope.as_ref().map_or_else(String::new, |envelope| keys.line_of(envelope));
    Some(WaitingJob { member: job.member.clone(), id, record: record.encode(), unique, line })
}

/// Puts parked jobs back in line: these, or all of them. A worker that still cannot read one parks it again, without
/// a charge. Answers how many moved.
///
/// # Errors
/// When Redis does not answer.
pub async fn release(link: &Link, keys: &QueueKeys, only: &[JobId]) -> Result<usize, LinkError> {
    let mut moved = 0;
    let parked: usize = link.query(redis::cmd("HLEN").arg(keys.parked())).await?;
    let jobs = browse::page(link, keys, LiveState::Parked, 0, parked).await?;
    let wanted = |job: &Live| job.id.is_some_and(|id| only.is_empty() || only.contains(&id));
    let jobs: Vec<(Vec<u8>, Priority)> =
        jobs.iter().filter(|job| wanted(job)).map(|job| (job.member.clone(), job.priority)).collect();
    for batch in jobs.chunks(BATCH) {
        moved += store::unpark(link, keys, batch).await?;
    }
    Ok(moved)
}
