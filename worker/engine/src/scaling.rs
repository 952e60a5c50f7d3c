//! How much work a queue has for workers now and very soon: what a scaler looks at.
//!
//! Ready jobs alone are not enough. A worker that is taken away while it runs jobs releases them, so what runs counts;
//! a worker needs seconds to start, so what is due by then counts. Of a paused queue only what runs counts: more
//! workers would fetch nothing.

use std::time::Duration;

use flota_producer::{
    Priority,
    keys::QueueKeys,
    link::{Link, LinkError},
};
use serde::Serialize;

use crate::control;

/// Jobs that workers have, or will have, something to do with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Backlog {
    /// Waiting for a worker.
    pub ready: u64,
    /// Under lease.
    pub in_flight: u64,
    /// Put off, and due within the time that was asked for.
    pub due_soon: u64,
    /// True when nothing is fetched, now and during that time.
    pub paused: bool,
}

impl Backlog {
    /// All that counts.
    pub fn jobs(self) -> u64 {
        if self.paused { self.in_flight } else { self.ready + self.in_flight + self.due_soon }
    }
}

/// Reads the backlog of a queue: three round trips, whose cost does not grow with the queue.
///
/// # Errors
/// When Redis does not answer.
pub async fn backlog(link: &Link, keys: &QueueKeys, soon: Duration) -> Result<Backlog, LinkError> {
    let mut pipeline = redis::pipe();
    for priority in [Priority::High, Priority::Normal, Priority::Low] {
        pipeline.cmd("LLEN").arg(keys.ready(priority));
    }
    // The permanent member of the set has no end.
    pipeline.cmd("ZCOUNT").arg(keys.running()).arg("-inf").arg("(+inf");
    pipeline.cmd("TIME");
    type Reply = (u64, u64, u64, u64, (u64, u64));
    let (high, normal, low, in_flight, (seconds, micros)): Reply = link.pipeline(&pipeline).await?;
    let by = seconds * 1_000 + micros / 1_000 + soon.as_millis() as u64;
    // A pause that ends within the time that is asked about is nearly over: what waits will be fetched.
    let pause = control::read(link, keys).await?.paused;
    let paused = pause.is_some_and(|pause| pause.until_ms.is_none_or(|until| by < until));
    let due_soon = link.query(redis::cmd("ZCOUNT").arg(keys.delayed()).arg("-inf").arg(by)).await?;
    Ok(Backlog { ready: high + normal + low, in_flight, due_soon, paused })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paused_queue_needs_workers_only_for_what_runs() {
        let open = Backlog { ready: 5, in_flight: 2, due_soon: 1, paused: false };

        assert_eq!((open.jobs(), Backlog { paused: true, ..open }.jobs()), (8, 2));
    }
}
