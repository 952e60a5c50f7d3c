//! Taking shelved jobs back: a newer worker knows kinds and versions that an older one set aside. People may put them back
//! in line, too.

use std::{sync::Arc, time::Duration};

use flota_producer::{
    Envelope, JobId, Priority,
    keys::QueueKeys,
    link::{Link, LinkError},
};
use tokio::time::sleep;
use tracing::{debug, info};

use crate::{
    event::{Event, Observer},
    registry::Handlers,
    store::{self, BATCH},
};

/// How often to look. Deploys are rare, and a new process looks at once.
const EVERY: Duration = Duration::from_secs(30);
/// How soon to look again after something was taken back: during a deploy an old worker may have been quicker to fetch
/// it, and has parked it once more.
const SOON: Duration = Duration::from_secs(1);

/// Bodies in one answer, 2 MiB of them at most: short calls over the same connection wait behind it.
const BODIES: usize = 32;

pub(crate) struct Unparker {
    pub(crate) queue: Arc<str>,
    pub(crate) link: Arc<Link>,
    pub(crate) keys: QueueKeys,
    pub(crate) handlers: Handlers,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Unparker {
    /// Looks for ever.
    pub(crate) async fn run(self) {
        loop {
            let taken_back = match self.once().await {
                Ok(count) => count,
                Err(error) => {
                    debug!(queue.name = %self.queue, error = &error as &dyn std::error::Error, "Unparking waits for Redis");
                    0
                }
            };
            sleep(if taken_back == 0 { EVERY } else { SOON }).await;
        }
    }

    /// One look at all of them, piece by piece. Answers how many jobs were taken back.
    async fn once(&self) -> Result<usize, LinkError> {
        let mut taken_back = 0;
        let mut walk = Walk::default();
        while let Some(ids) = walk.next(&self.link, &self.keys).await? {
            taken_back += self.take_back(&ids).await?;
        }
        if 0 < taken_back {
            info!(queue.name = %self.queue, count = taken_back, "Took back {taken_back} parked jobs of queue {}", self.queue);
        }
        Ok(taken_back)
    }

    /// Puts those of these jobs back in line that a processor here can run.
    async fn take_back(&self, ids: &[JobId]) -> Result<usize, LinkError> {
        let count = put_back(&self.link, &self.keys, ids, |body| self.priority_of_known(body)).await?;
        if 0 < count {
            self.observer.observe(&Event::Unparked { queue: &self.queue, count });
        }
        Ok(count)
    }

    fn priority_of_known(&self, body: &[u8]) -> Option<Priority> {
        let envelope = Envelope::decode(body).ok()?;
        self.handlers.knows(&envelope.kind).then_some(envelope.priority)
    }
}

/// Puts parked jobs back in line: these, or all of them. A worker that still cannot read one parks it again, without
/// a charge. Answers how many moved.
///
/// # Errors
/// When Redis does not answer: what was moved until then stays moved, and calling again goes on.
pub async fn release(link: &Link, keys: &QueueKeys, only: &[JobId]) -> Result<usize, LinkError> {
    let any =
        |body: &[u8]| Some(Envelope::decode(body).map_or(Priority::Normal, |envelope| envelope.priority));
    let mut moved = put_back(link, keys, only, any).await?;
    let mut walk = Walk::default();
    while only.is_empty()
        && let Some(ids) = walk.next(link, keys).await?
    {
        moved += put_back(link, keys, &ids, any).await?;
    }
    Ok(moved)
}

/// Puts those of these jobs back in line that are parked, and of whose bodies `priority_of` says where they belong.
async fn put_back(
    link: &Link,
    keys: &QueueKeys,
    ids: &[JobId],
    priority_of: impl Fn(&[u8]) -> Option<Priority>,
) -> Result<usize, LinkError> {
    let mut moved = 0;
    for ids in ids.chunks(BODIES) {
        let bodies: Vec<Option<Vec<u8>>> = link.query(redis::cmd("HMGET").arg(keys.jobs()).arg(ids)).await?;
        let wanted = ids.iter().zip(bodies);
        let wanted: Vec<(JobId, Priority)> =
            wanted.filter_map(|(id, body)| Some((*id, priority_of(&body?)?))).collect();
        if !wanted.is_empty() {
            moved += store::unpark(link, keys, &wanted).await?;
        }
    }
    Ok(moved)
}

/// A walk through the parked ids, piece by piece.
#[derive(Default)]
struct Walk {
    cursor: u64,
    /// Found and not yet given out: a small hash comes whole, whatever was asked for.
    found: Vec<JobId>,
    is_over: bool,
}

impl Walk {
    /// The next ids, at most [`BATCH`]; `None` when there are no more.
    async fn next(&mut self, link: &Link, keys: &QueueKeys) -> Result<Option<Vec<JobId>>, LinkError> {
        while self.found.is_empty() && !self.is_over {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(keys.parked()).arg(self.cursor).arg("COUNT").arg(BATCH);
            // Ids and reasons in turn.
            let (next, entries): (u64, Vec<Vec<u8>>) = link.query(&scan).await?;
            // What is no id of ours would be set aside again as soon as it is fetched.
            self.found = entries.iter().step_by(2).filter_map(|field| JobId::read(field)).collect();
            (self.cursor, self.is_over) = (next, next == 0);
        }
        let rest = self.found.split_off(self.found.len().min(BATCH));
        let ids = std::mem::replace(&mut self.found, rest);
        Ok((!ids.is_empty()).then_some(ids))
    }
}
