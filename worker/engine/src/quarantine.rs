//! Suspects: jobs whose workers vanished. Who may run beside whom, and what is written down before they start.
//!
//! When a process dies, every job that ran in it loses its lease, and nobody knows which one took it down. So suspicion
//! grows with every lost lease, and with it the care ([`Care`]), until the job runs **alone in its process**: what is
//! lost then is proof, and only proof buries (`Marks::lost_lease`). docs/decisions/0004-poison-pills.md says why.
//!
//! The start of a run that was lost before is written down first (`begin.lua`): a lease that was granted and never
//! used, because the reply with it got lost, is held against nobody.

use std::{sync::Arc, time::Duration};

use flota_producer::{
    keys::QueueKeys,
    link::{Link, LinkError},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use crate::{
    leased::{Body, Leased},
    marks::Marks,
    policy::{Ended, QueuePolicy},
    store,
};

/// Lost leases from which on a job runs beside no other suspect.
const APART_FROM: u32 = 2;
/// Permits of all runs together: more than a process ever runs.
const EVERYBODY: u32 = 1 << 20;
/// Pause between two tries while Redis is away.
const PAUSE: Duration = Duration::from_millis(200);

/// How carefully a job has to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Care {
    /// Like any other.
    None,
    /// Its start is written down.
    Noted,
    /// And no other suspect runs in the process.
    Apart,
    /// And nothing else runs in the process.
    Alone,
}

impl Care {
    /// What a job needs that lost this many leases, of a queue that buries at `max_deliveries`.
    pub(crate) fn of(deliveries: u32, max_deliveries: u32) -> Self {
        if Marks::most_without_proof(max_deliveries) <= deliveries {
            Self::Alone
        } else if APART_FROM <= deliveries {
            Self::Apart
        } else if 0 < deliveries {
            Self::Noted
        } else {
            Self::None
        }
    }
}

/// Who runs in this process, all queues together.
#[derive(Debug)]
pub(crate) struct Quarantine {
    /// One suspect at a time.
    suspect: Arc<Semaphore>,
    /// Every run has one permit; a job that runs alone has all.
    present: Arc<Semaphore>,
}

/// Leave to run, given back when the run is over.
#[derive(Debug, Default)]
pub(crate) struct Leave {
    _present: Option<OwnedSemaphorePermit>,
    _suspect: Option<OwnedSemaphorePermit>,
    /// Its permits are given back when this is dropped, or after the longest time that the run may take.
    _alone: Option<DropGuard>,
}

impl Default for Quarantine {
    fn default() -> Self {
        let present = Arc::new(Semaphore::new(EVERYBODY as usize));
        Self { suspect: Arc::new(Semaphore::new(1)), present }
    }
}

impl Quarantine {
    /// Resolves when no job runs alone here, or waits to.
    pub(crate) async fn open(&self) {
        // A permit is to be had only behind those who wait for all.
        drop(self.present.acquire().await);
    }

    /// Gives a job leave to run, or ends it without a run. Answers what is still to be done before it starts.
    pub(crate) fn admit(&self, leased: &mut Leased, max_deliveries: u32) -> Care {
        if !matches!(leased.body, Body::Job(_)) {
            return Care::None;
        }
        let care = Care::of(leased.marks.deliveries, max_deliveries);
        let mut leave = Leave::default();
        if Care::Apart <= care {
            let Ok(suspect) = self.suspect.clone().try_acquire_owned() else {
                leased.end_without_run(Ended::Quarantined);
                return Care::None;
            };
            leave = Leave { _suspect: Some(suspect), ..leave };
        }
        if care < Care::Alone {
            let Ok(present) = self.present.clone().try_acquire_owned() else {
                // Another job is about to run alone; others in line need not wait for that.
                leased.end_without_run(Ended::Released);
                return Care::None;
            };
            leave = Leave { _present: Some(present), ..leave };
        }
        leased.slot.leave = leave;
        care
    }

    /// Waits until nothing else runs in this process, however long the others take. Meanwhile nothing more is fetched.
    /// Answers false when the run has to stop instead.
    pub(crate) async fn alone(
        &self,
        leased: &mut Leased,
        policy: &QueuePolicy,
        stop: &CancellationToken,
    ) -> bool {
        let id = leased.run.id;
        info!(
            job.id = %id, queue.name = %policy.name, deliveries = leased.marks.deliveries,
            "Job {id} lost {} workers: it runs next, with nothing beside it in this process", leased.marks.deliveries,
        );
        let signal = leased.slot.hold.stop().clone();
        let everybody = self.present.clone().acquire_many_owned(EVERYBODY);
        tokio::pin!(everybody);
        let permits = loop {
            signal.keep_for(policy.lease * 2);
            tokio::select! {
                permits = &mut everybody => break permits.ok(),
                _ = signal.stopped() => break None,
                () = stop.cancelled() => break None,
                () = sleep(policy.lease) => {}
            }
        };
        let Some(permits) = permits else { return false };
        let over = CancellationToken::new();
        let suspect = std::mem::take(&mut leased.slot.leave);
        leased.slot.leave = Leave { _alone: Some(over.clone().drop_guard()), ..Leave::default() };
        // A run that is stuck keeps its thread, but must not keep the whole process.
        let longest = leased.limit(policy).saturating_add(policy.lease);
        tokio::spawn(async move {
            drop(timeout(longest, over.cancelled()).await);
            drop((permits, suspect));
        });
        true
    }
}

/// Writes down that these runs start, tells those that lost their lease to stop, and ends those whose deadline passed while
/// they waited. When that is not possible before the process stops, they are given back.
pub(crate) async fn begin(
    link: &Link,
    keys: &QueueKeys,
    runs: &mut [Leased],
    alone: bool,
    stop: &CancellationToken,
) {
    let starts: Vec<_> = runs
        .iter()
        .map(|leased| (leased.run, leased.marks.begun(leased.run.run, alone).to_string()))
        .collect();
    match until_answered(link, keys, &starts, stop).await {
        Some((now_ms, lost)) => {
            for position in lost {
                runs[position].slot.hold.stop().stop(crate::lease::StopReason::LeaseLost);
            }
            runs.iter_mut().filter(|leased| leased.has_expired(now_ms)).for_each(|leased| {
                leased.end_without_run(Ended::Expired);
            });
        }
        None => runs.iter_mut().for_each(|leased| leased.end_without_run(Ended::Released)),
    }
}

async fn until_answered(
    link: &Link,
    keys: &QueueKeys,
    starts: &[(store::RunId, String)],
    stop: &CancellationToken,
) -> Option<(u64, Vec<usize>)> {
    let mut told = false;
    loop {
        let error: LinkError = match store::begin(link, keys, starts).await {
            Ok(answer) => return Some(answer),
            Err(error) => error,
        };
        if !told {
            told = true;
            warn!(
                error = &error as &dyn std::error::Error,
                "{} jobs that lost workers wait for Redis before they start: {}",
                starts.len(),
                error.redis(),
            );
        }
        stop.run_until_cancelled(sleep(PAUSE)).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn care_grows_with_every_lost_worker() {
        let cares = [0, 1, 2, 3, 4, 9].map(|deliveries| Care::of(deliveries, 4));

        assert_eq!(cares, [Care::None, Care::Noted, Care::Apart, Care::Alone, Care::Alone, Care::Alone]);
    }

    #[test]
    fn a_queue_that_buries_early_runs_suspects_alone_earlier() {
        assert_eq!(
            [0, 1, 2].map(|deliveries| Care::of(deliveries, 3)),
            [Care::None, Care::Noted, Care::Alone]
        );
        assert_eq!([0, 1].map(|deliveries| Care::of(deliveries, 1)), [Care::None, Care::Alone]);
    }

    #[tokio::test]
    async fn nobody_gets_in_beside_a_job_that_waits_to_be_alone() {
        let quarantine = Quarantine::default();
        let neighbour = quarantine.present.clone().try_acquire_owned().unwrap();
        let mut everybody = Box::pin(quarantine.present.clone().acquire_many_owned(EVERYBODY));
        assert!(futures_util::poll!(&mut everybody).is_pending());

        assert!(quarantine.present.clone().try_acquire_owned().is_err());
        let mut open = Box::pin(quarantine.open());
        assert!(futures_util::poll!(&mut open).is_pending());

        drop(neighbour);
        drop(everybody.await.unwrap());
        open.await;
    }
}
