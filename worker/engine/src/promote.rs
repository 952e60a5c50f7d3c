//! Promotion: due jobs become ready.
//!
//! Every process does it; the script makes it safe, and the longest pause bounds how late a job can be when another
//! process put it off.

use std::{sync::Arc, time::Duration};

use flota_producer::{keys::QueueKeys, link::Link};
use tokio::time::sleep;
use tracing::debug;

use crate::{
    event::{Event, Observer},
    store::{self, BATCH},
};

/// Longest pause between two looks: how late a due job may be noticed.
const LONGEST: Duration = Duration::from_millis(500);
/// Shortest pause: a job that is due in a moment is not worth a call of its own.
const SHORTEST: Duration = Duration::from_millis(10);

pub(crate) struct Promoter {
    pub(crate) queue: Arc<str>,
    pub(crate) link: Arc<Link>,
    pub(crate) keys: QueueKeys,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Promoter {
    /// Promotes for ever.
    pub(crate) async fn run(self) {
        loop {
            sleep(self.once().await).await;
        }
    }

    /// One look. Answers how long to wait for the next.
    async fn once(&self) -> Duration {
        match store::promote(&self.link, &self.keys).await {
            Ok((0, next)) => next.unwrap_or(LONGEST).clamp(SHORTEST, LONGEST),
            Ok((count, next)) => {
                self.observer.observe(&Event::Promoted { queue: &self.queue, count });
                if count == BATCH { Duration::ZERO } else { next.unwrap_or(LONGEST).clamp(SHORTEST, LONGEST) }
            }
            Err(error) => {
                // The fetcher tells of it; saying it twice helps nobody.
                debug!(queue.name = %self.queue, error = &error as &dyn std::error::Error, "Promotion waits for Redis");
                self.observer.observe(&Event::Trouble { queue: &self.queue, step: "promote" });
                LONGEST
            }
        }
    }
}
