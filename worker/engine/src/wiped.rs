//! A Redis that has lost a queue says so nowhere: an emptied queue looks like one that is drained.
//!
//! Every queue has one member in `running` that never ends, for the speed of the set. It is also the proof that the queue
//! is still the one that we knew: a process that has seen it and finds it gone knows that Redis was emptied (FLUSHALL, a
//! lost disk, another server behind the address). It puts the member back and tells, and of many processes one does.
//! What was in the outbox comes back by itself; what was in Redis alone is lost, and people must hear of it.

use std::{sync::Arc, time::Duration};

use flota_producer::{
    keys::QueueKeys,
    link::{Link, LinkError},
};
use tokio::time::sleep;
use tracing::{debug, error};

use crate::event::{Event, Observer};

/// Member of every running set that never ends. A packed set of fewer than 128 short members is walked from end to end
/// by each write; one longer than 64 bytes makes it a skip list for good (zset-max-listpack-value).
const MARK: &str = "~ this member keeps the set a skip list; it is not a run and never ends ~";

pub(crate) struct WipeWatch {
    pub(crate) queue: Arc<str>,
    pub(crate) link: Arc<Link>,
    pub(crate) keys: QueueKeys,
    pub(crate) heartbeat: Duration,
    pub(crate) observer: Arc<dyn Observer>,
}

impl WipeWatch {
    /// Watches for ever.
    pub(crate) async fn run(self) {
        let mut known = false;
        loop {
            match self.put_mark().await {
                Ok(was_gone) => {
                    if known && was_gone {
                        self.tell();
                    }
                    known = true;
                }
                Err(error) => {
                    debug!(queue.name = %self.queue, error = &error as &dyn std::error::Error, "The mark waits for Redis");
                }
            }
            sleep(self.heartbeat).await;
        }
    }

    /// Makes sure that the mark is there. Answers whether it was not.
    async fn put_mark(&self) -> Result<bool, LinkError> {
        let mut command = redis::cmd("ZADD");
        let added: u32 =
            self.link.query(command.arg(self.keys.running()).arg("NX").arg("+inf").arg(MARK)).await?;
        Ok(added == 1)
    }

    fn tell(&self) {
        error!(
            queue.name = %self.queue,
            "Redis has lost queue {}: jobs that were in Redis alone are gone, jobs of the outbox are sent again. See who \
             emptied it (FLUSHALL, a lost disk, another server behind REDIS_URL) and enqueue again what is missing",
            self.queue,
        );
        self.observer.observe(&Event::Wiped { queue: &self.queue });
    }
}
