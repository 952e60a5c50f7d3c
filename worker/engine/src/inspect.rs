//! Looking at a queue, and the few things people do to it by hand.

use std::collections::BTreeMap;

use flota_producer::{
    Envelope, JobId, Priority,
    keys::{Prefix, QueueKeys},
    link::{Link, LinkError},
};
use serde::Serialize;

use crate::{
    marks::Marks,
    record::{Record, Status},
    store::{self, Cancelled, RunId},
};

/// How many jobs of a queue are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Waiting for a worker.
    pub ready: u64,
    /// Waiting for a time.
    pub delayed: u64,
    /// Under lease.
    pub running: u64,
    /// Set aside for a newer worker.
    pub parked: u64,
    /// True when nothing is fetched.
    pub paused: bool,
    /// Age of the job that is next in line, by the clock of its producer against that of Redis.
    pub oldest_ready_age_ms: Option<u64>,
    /// Entries waiting for Postgres.
    pub unrecorded: u64,
    /// Jobs that were in no place and were put back in line, since the queue exists.
    pub repaired: u64,
}

/// Where a live job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Waiting for a worker.
    Ready,
    /// Waiting for this Unix time in milliseconds.
    Delayed(u64),
    /// Under lease.
    Running,
    /// Set aside, with the reason.
    Parked(String),
}

/// A live job.
#[derive(Debug)]
pub struct Found {
    /// Where it is.
    pub place: Place,
    /// What has happened to it so far.
    pub marks: Marks,
    /// Its envelope as it lies in Redis.
    pub bytes: Vec<u8>,
}

/// Names of the queues that any worker has published.
pub async fn queues(link: &Link, prefix: &Prefix) -> Result<Vec<String>, LinkError> {
    let mut names: Vec<String> = link.query(redis::cmd("SMEMBERS").arg(prefix.queues())).await?;
    names.sort_unstable();
    Ok(names)
}

/// Counts the jobs of one queue.
pub async fn counts(link: &Link, keys: &QueueKeys) -> Result<Counts, LinkError> {
    let lists = [Priority::High, Priority::Normal, Priority::Low].map(|priority| keys.ready(priority));
    let mut pipeline = redis::pipe();
    for list in &lists {
        pipeline.cmd("LLEN").arg(list).cmd("LINDEX").arg(list).arg(0);
    }
    pipeline.cmd("ZCARD").arg(keys.delayed());
    pipeline.cmd("ZCOUNT").arg(keys.running()).arg("-inf").arg("(+inf");
    pipeline.cmd("HLEN").arg(keys.parked()).cmd("HMGET").arg(keys.config());
    pipeline.arg("paused").arg("paused_until").arg("repaired");
    pipeline.cmd("XLEN").arg(keys.outcomes()).cmd("TIME");
    type Line = (u64, Option<Vec<u8>>);
    type Reply = (
        u64,
        Option<Vec<u8>>,
        u64,
        Option<Vec<u8>>,
        u64,
        Option<Vec<u8>>,
        u64,
        u64,
        u64,
        (Option<String>, Option<String>, Option<u64>),
        u64,
        (u64, u64),
    );
    let reply: Reply = link.pipeline(&pipeline).await?;
    let lines: [Line; 3] = [(reply.0, reply.1), (reply.2, reply.3), (reply.4, reply.5)];
    let next: Vec<&Vec<u8>> = lines.iter().filter_map(|(_, next)| next.as_ref()).collect();
    let now_ms = reply.11.0 * 1000 + reply.11.1 / 1000;
    let paused_until = reply.9.1.and_then(|until| until.parse::<u64>().ok());
    Ok(Counts {
        ready: lines.iter().map(|(length, _)| length).sum(),
        delayed: reply.6,
        running: reply.7,
        parked: reply.8,
        paused: reply.9.0.is_some() && paused_until.is_none_or(|until| now_ms < until),
        oldest_ready_age_ms: oldest(link, keys, &next).await?.map(|at| now_ms.saturating_sub(at)),
        unrecorded: reply.10,
        repaired: reply.9.2.unwrap_or(0),
    })
}

async fn oldest(link: &Link, keys: &QueueKeys, next: &[&Vec<u8>]) -> Result<Option<u64>, LinkError> {
    if next.is_empty() {
        return Ok(None);
    }
    let bodies: Vec<Option<Vec<u8>>> = link.query(redis::cmd("HMGET").arg(keys.jobs()).arg(next)).await?;
    Ok(bodies.into_iter().flatten().filter_map(|body| Some(Envelope::decode(&body).ok()?.at)).min())
}

/// What is published of a queue: `max_len`, `paused` with its reason, and what newer releases add.
pub async fn published(link: &Link, keys: &QueueKeys) -> Result<BTreeMap<String, String>, LinkError> {
    link.query(redis::cmd("HGETALL").arg(keys.config())).await
}

/// Finds a live job of this queue.
pub async fn find(link: &Link, keys: &QueueKeys, id: JobId) -> Result<Option<Found>, LinkError> {
    let marked =
        [Priority::Normal, Priority::High, Priority::Low].map(|priority| format!("{}{id}", priority.mark()));
    let mut pipeline = redis::pipe();
    pipeline.cmd("HGET").arg(keys.jobs()).arg(id).cmd("HGET").arg(keys.marks()).arg(id);
    pipeline.cmd("HGET").arg(keys.parked()).arg(id).cmd("ZMSCORE").arg(keys.delayed()).arg(&marked);
    type Reply = (Option<Vec<u8>>, Option<String>, Option<String>, Vec<Option<f64>>);
    let (bytes, marks, reason, due): Reply = link.pipeline(&pipeline).await?;
    let Some(bytes) = bytes else { return Ok(None) };
    let marks = marks.map_or_else(Marks::default, |line| Marks::parse(&line));
    let run = RunId { id, run: marks.run + 1 };
    let lease: Option<f64> = link.query(redis::cmd("ZSCORE").arg(keys.running()).arg(run.member())).await?;
    let place = match (lease, due.into_iter().flatten().next(), reason) {
        (Some(_), _, _) => Place::Running,
        (_, Some(due), _) => Place::Delayed(due as u64),
        (_, _, Some(reason)) => Place::Parked(reason),
        _ => Place::Ready,
    };
    Ok(Some(Found { place, marks, bytes }))
}

/// True while a job of this queue is alive, wherever it is: the cheapest question about a job.
pub async fn is_alive(link: &Link, keys: &QueueKeys, id: JobId) -> Result<bool, LinkError> {
    link.query(redis::cmd("HEXISTS").arg(keys.jobs()).arg(id)).await
}

/// Cancels a live job of this queue. `canceller` is written down.
pub async fn cancel(
    link: &Link,
    keys: &QueueKeys,
    id: JobId,
    canceller: &str,
) -> Result<Cancelled, LinkError> {
    let Some(found) = find(link, keys, id).await? else { return Ok(Cancelled::Unknown) };
    let envelope = Envelope::decode(&found.bytes).ok();
    let record = match &envelope {
        Some(envelope) => Record::of(id, envelope, Status::Cancelled),
        None => Record::unreadable(id, Status::Cancelled),
    };
    let record = Record { run: found.marks.run, attempt: found.marks.attempt, ..record };
    let unique = envelope.map(|envelope| keys.unique_of(&envelope)).unwrap_or_default();
    store::cancel(link, keys, id, &record.encode(), &unique, canceller).await
}
