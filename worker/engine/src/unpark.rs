//! Taking shelved jobs back: a newer worker knows kinds and versions that an older one set aside.

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

pub(crate) struct Unparker {
    pub(crate) queue: Arc<str>,
    pub(crate) link: Link,
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
        let (mut taken_back, mut cursor) = (0, 0_u64);
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(self.keys.parked()).arg(cursor).arg("COUNT").arg(BATCH);
            // Ids and reasons in turn.
            let (next, entries): (u64, Vec<Vec<u8>>) = self.link.query(&scan).await?;
            let ids: Vec<Vec<u8>> = entries.into_iter().step_by(2).collect();
            // A small hash comes whole, whatever was asked for.
            for ids in ids.chunks(BATCH) {
                taken_back += self.take_back(ids).await?;
            }
            if next == 0 {
                break;
            }
            cursor = next;
        }
        if 0 < taken_back {
            info!(queue.name = %self.queue, count = taken_back, "Took back {taken_back} parked jobs of queue {}", self.queue);
        }
        Ok(taken_back)
    }

    /// Puts those of these jobs back in line that a processor here can run.
    async fn take_back(&self, ids: &[Vec<u8>]) -> Result<usize, LinkError> {
        let bodies: Vec<Option<Vec<u8>>> =
            self.link.query(redis::cmd("HMGET").arg(self.keys.jobs()).arg(ids)).await?;
        let known: Vec<(Vec<u8>, Priority)> = ids
            .iter()
            .zip(bodies)
            .filter(|(id, _)| is_id(id))
            .filter_map(|(id, body)| Some((id.clone(), self.priority_of_known(&body?)?)))
            .collect();
        if known.is_empty() {
            return Ok(0);
        }
        let count = store::unpark(&self.link, &self.keys, &known).await?;
        self.observer.observe(&Event::Unparked { queue: &self.queue, count });
        Ok(count)
    }

    fn priority_of_known(&self, body: &[u8]) -> Option<Priority> {
        let envelope = Envelope::decode(body).ok()?;
        self.handlers.knows(&envelope.kind).then_some(envelope.priority)
    }
}

/// What is no id of ours would be set aside again as soon as it is fetched.
fn is_id(field: &[u8]) -> bool {
    std::str::from_utf8(field).is_ok_and(|id| id.parse::<JobId>().is_ok())
}
