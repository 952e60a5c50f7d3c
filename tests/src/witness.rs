//! Hears what the engine does, so that a test can wait for an event instead of sleeping.

use std::{collections::HashMap, sync::Arc};

use flota_engine::{ErrorClass, Event, Observer, Verdict};
use flota_producer::JobId;
use tokio::{sync::watch, time::timeout};

use crate::PATIENCE;

/// What has been seen so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Runs given to a processor, by job.
    pub started: HashMap<JobId, u32>,
    /// Verdicts carried out, by job, in order.
    pub verdicts: HashMap<JobId, Vec<(Verdict, Option<ErrorClass>)>>,
    /// Runs whose result was not heard.
    pub lost: Vec<JobId>,
    /// Runs that recovery made ready again.
    pub recovered: usize,
    /// Looks of recovery that Redis refused.
    pub looks_refused: usize,
    /// Runs that recovery buried.
    pub poisoned: usize,
    /// Jobs taken back from the shelf.
    pub unparked: usize,
    /// Fetches that were answered, with jobs or without.
    pub fetched: usize,
    /// How many verdicts ended a job.
    pub ended: usize,
}

impl Seen {
    /// The last verdict on a job.
    pub fn last(&self, id: JobId) -> Option<Verdict> {
        self.verdicts.get(&id)?.last().map(|(verdict, _)| *verdict)
    }
}

/// True for verdicts after which a job is gone.
pub fn is_terminal(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Complete | Verdict::Bury | Verdict::Cancel | Verdict::Expire)
}

/// An observer to wait on.
#[derive(Debug, Clone)]
pub struct Witness(Arc<watch::Sender<Seen>>);

impl Default for Witness {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Seen::default())))
    }
}

impl Witness {
    /// What has been seen so far.
    pub fn seen(&self) -> Seen {
        self.0.borrow().clone()
    }

    /// Waits until the condition holds.
    ///
    /// # Panics
    /// When it does not within [`PATIENCE`], with what was seen.
    pub async fn wait_until(&self, what: &str, condition: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.0.subscribe();
        match timeout(PATIENCE, seen.wait_for(condition)).await {
            Ok(Ok(seen)) => seen.clone(),
            _ => panic!("waited {PATIENCE:?} in vain until {what}; seen: {:#?}", self.seen()),
        }
    }

    /// Waits until a job's last verdict is this one.
    pub async fn wait_for(&self, id: JobId, verdict: Verdict) -> Seen {
        self.wait_until(&format!("job {id} gets {verdict:?}"), |seen| seen.last(id) == Some(verdict)).await
    }

    /// Waits until this many jobs have ended.
    pub async fn wait_for_ended(&self, count: usize) -> Seen {
        self.wait_until(&format!("{count} jobs have ended"), |seen| count <= seen.ended).await
    }
}

impl Observer for Witness {
    fn observe(&self, event: &Event<'_>) {
        self.0.send_modify(|seen| match *event {
            Event::Started { id, .. } => *seen.started.entry(id).or_default() += 1,
            Event::Settled { id, verdict, class, .. } => {
                seen.verdicts.entry(id).or_default().push((verdict, class));
                seen.ended += usize::from(is_terminal(verdict));
            }
            Event::LeaseLost { id, .. } => seen.lost.push(id),
            Event::Recovered { ready_again, buried, .. } => {
                seen.recovered += ready_again;
                seen.poisoned += buried;
            }
            Event::Unparked { count, .. } => seen.unparked += count,
            Event::Fetched { .. } => seen.fetched += 1,
            Event::Trouble { step: "recover", .. } => seen.looks_refused += 1,
            Event::Promoted { .. } | Event::Wiped { .. } | Event::Trouble { .. } => {}
        });
    }
}
