//! Which worker processes there are, and telling them to go quiet or to stop.
//!
//! A process announces itself every heartbeat, with how busy it is, and hears in the answer what people want of it.
//! An announcement is valid for three heartbeats, by the clock of Redis: a process that was killed is off the list by
//! itself. Nothing here decides about jobs; their leases are kept elsewhere.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use flota_producer::{
    keys::Prefix,
    link::{Link, LinkError},
    script,
};
use redis::Script;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::fleet::FleetHandle;

static ANNOUNCE: LazyLock<Script> =
    LazyLock::new(|| script("announce", include_str!("scripts/announce.lua")));
static ROSTER: LazyLock<Script> = LazyLock::new(|| script("roster", include_str!("scripts/roster.lua")));

/// Announcements that may go missing before a worker counts as gone.
const MISSED: u32 = 3;
/// Shortest validity of an announcement, so that a busy moment does not strike a worker off.
const VALID: Duration = Duration::from_secs(3);

/// What a worker says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// `host:pid:random`, as in the `worker` column of history.
    pub name: String,
    /// Release that it runs.
    pub version: String,
    /// What it is doing.
    pub state: WorkerState,
    /// Its queues.
    pub queues: Vec<QueueLoad>,
    /// When it started, Unix ms by its own clock.
    pub started_ms: u64,
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// Fetching and running.
    Working,
    /// Told not to fetch any more; what runs goes on.
    Quiet,
    /// Draining; it ends when nothing runs any more, or when its patience does.
    Stopping,
}

/// How busy a worker is with one queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueLoad {
    /// The queue.
    pub queue: String,
    /// Jobs that it can run at once.
    pub slots: usize,
    /// Jobs that it runs now.
    pub busy: usize,
}

/// A worker on the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// What it said.
    pub info: WorkerInfo,
    /// How long ago.
    pub seen: Duration,
}

/// What people want of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Fetch nothing more; finish what runs, and stay.
    Quiet,
    /// Drain and exit.
    Stop,
}

impl Order {
    fn word(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Stop => "stop",
        }
    }
}

/// The workers that are there, by name.
///
/// # Errors
/// When Redis does not answer.
pub async fn list(link: &Link, prefix: &Prefix) -> Result<Vec<Present>, LinkError> {
    ask(link, prefix, None, &[]).await.map(|(present, _)| present)
}

/// Tells these workers; each obeys with its next heartbeat. Answers the names of those that are there.
///
/// # Errors
/// When Redis does not answer.
pub async fn order(
    link: &Link,
    prefix: &Prefix,
    order: Order,
    names: &[String],
) -> Result<Vec<String>, LinkError> {
    ask(link, prefix, Some(order), names).await.map(|(_, told)| told)
}

async fn ask(
    link: &Link,
    prefix: &Prefix,
    order: Option<Order>,
    names: &[String],
) -> Result<(Vec<Present>, Vec<String>), LinkError> {
    let mut call = ROSTER.key(prefix.workers());
    call.arg(order.map_or("", Order::word)).arg(names);
    let (now, entries, told): (String, Vec<String>, Vec<String>) = link.invoke(&call).await?;
    let now: u64 = now.parse().unwrap_or_default();
    let mut present: Vec<Present> = entries.iter().filter_map(|entry| read(entry, now)).collect();
    present.sort_by(|one, other| one.info.name.cmp(&other.info.name));
    Ok((present, told))
}

/// An entry of a newer release may say more; one that cannot be read at all is left out.
fn read(entry: &str, now_ms: u64) -> Option<Present> {
    let mut parts = entry.splitn(3, ' ');
    let seen_ms: u64 = parts.next()?.parse().ok()?;
    let info = serde_json::from_str(parts.nth(1)?).ok()?;
    Some(Present { info, seen: Duration::from_millis(now_ms.saturating_sub(seen_ms)) })
}

/// Announces one process until the end.
pub struct Announcer {
    /// Redis, for this loop alone.
    pub link: Link,
    /// First part of every key.
    pub prefix: Prefix,
    /// Name of the process.
    pub worker: Arc<str>,
    /// Release that it runs.
    pub version: &'static str,
    /// When it started, Unix ms.
    pub started_ms: u64,
    /// How busy it is; goes quiet through it.
    pub fleet: FleetHandle,
    /// Cancelled when people want it to stop.
    pub stop: CancellationToken,
    /// How often to announce: the shortest heartbeat of its queues.
    pub every: Duration,
}

impl Announcer {
    /// Announces until `end`, and then takes the process off the list.
    pub async fn run(self, end: CancellationToken) {
        while !end.is_cancelled() {
            end.run_until_cancelled(self.once()).await;
            end.run_until_cancelled(sleep(self.every)).await;
        }
        // When Redis does not hear it, the announcement ends by itself.
        if let Err(error) = self.announce("").await {
            debug!(error = &error as &dyn std::error::Error, "The list of workers still has this one");
        }
    }

    async fn once(&self) {
        let info = serde_json::to_string(&self.info()).expect("it has only strings and numbers");
        match self.announce(&info).await.as_deref() {
            Ok("quiet") if !self.fleet.is_quiet() => {
                info!("Told to go quiet: nothing more is fetched, what runs goes on");
                self.fleet.quiet();
            }
            Ok("stop") if !self.stop.is_cancelled() => {
                info!("Told to stop: finishing what runs");
                self.stop.cancel();
            }
            Ok(_) => {}
            Err(error) => {
                debug!(error = error as &dyn std::error::Error, "This worker is announced again later");
            }
        }
    }

    async fn announce(&self, info: &str) -> Result<String, LinkError> {
        let valid = (self.every * MISSED).max(VALID);
        let mut call = ANNOUNCE.key(self.prefix.workers());
        call.arg(&*self.worker).arg(valid.as_millis() as u64).arg(info);
        self.link.invoke(&call).await
    }

    fn info(&self) -> WorkerInfo {
        let state = match (self.stop.is_cancelled(), self.fleet.has_stopped_fetching()) {
            (true, _) => WorkerState::Stopping,
            (false, true) => WorkerState::Quiet,
            (false, false) => WorkerState::Working,
        };
        WorkerInfo {
            name: self.worker.to_string(),
            version: self.version.to_owned(),
            state,
            queues: self.fleet.load(),
            started_ms: self.started_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_a_newer_release_is_read() {
        let entry = r#"1000 4000 {"name":"a:1:b","version":"9.0.0","state":"quiet","queues":[],"started_ms":7,"mood":1}"#;

        let present = read(entry, 1500).unwrap();

        assert_eq!(present.seen, Duration::from_millis(500));
        assert_eq!((present.info.name.as_str(), present.info.state), ("a:1:b", WorkerState::Quiet));
        assert_eq!(read("garbage", 0), None);
    }
}
