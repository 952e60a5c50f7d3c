//! Emptying a place of a queue: every job that waits there is cancelled, each with its terminal record, and what is no job
//! is taken out. Running jobs are never touched.

use flota_producer::{
    Priority,
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
    /// Jobs that moved on while they were about to be cancelled.
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
        // Nothing is skipped: what is not taken out now has moved on, and is not there any more.
        let jobs = browse::entries(link, keys, state, 0, most).await?;
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
        let here: Vec<WaitingJob> = here.map(|job| waiting_job(keys, job)).collect();
        let done = store::purge(link, keys, &place, state, &here, canceller).await?;
        taken += done.0;
        cancelled += done.1;
    }
    Ok((taken, cancelled))
}

fn waiting_job(keys: &QueueKeys, job: &Live) -> WaitingJob {
    let (member, id) = (job.member.clone(), job.name.clone());
    let envelope = job.envelope.as_ref();
    let record = job.id.map(|id| {
        let record = match envelope {
            Some(envelope) => Record::of(id, envelope, Status::Cancelled),
            None => Record::unreadable(id, Status::Cancelled),
        };
        Record { run: job.marks.run, attempt: job.marks.attempt, ..record }.encode()
    });
    WaitingJob {
        member,
        id,
        record: record.unwrap_or_default(),
        unique: envelope.map_or_else(String::new, |envelope| keys.unique_of(envelope)),
        line: envelope.map_or_else(String::new, |envelope| keys.line_of(envelope)),
    }
}
