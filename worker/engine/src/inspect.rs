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
    store::{self, Cancelled, RunId, WaitingJob},
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
    /// Behind another job of their line.
    pub in_line: u64,
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
    /// Behind others of its line.
    InLine(InLine),
}

/// Where a job stands in its line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct InLine {
    /// The first of the line, whose end the others wait for. `None` when that has just changed.
    pub behind: Option<JobId>,
    /// How many are before this one, the first included.
    pub ahead: Option<u64>,
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
    pipeline.cmd("XLEN").arg(keys.outcomes()).cmd("HLEN").arg(keys.in_line());
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
        (Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>),
        u64,
        u64,
    );
    let reply: Reply = link.pipeline(&pipeline).await?;
    let lines: [Line; 3] = [(reply.0, reply.1), (reply.2, reply.3), (reply.4, reply.5)];
    let next: Vec<&Vec<u8>> = lines.iter().filter_map(|(_, next)| next.as_ref()).collect();
    let number = |bytes: &Vec<u8>| std::str::from_utf8(bytes).ok()?.parse::<u64>().ok();
    let paused_until = reply.9.1.as_ref().and_then(number);
    Ok(Counts {
        ready: lines.iter().map(|(length, _)| length).sum(),
        delayed: reply.6,
        running: reply.7,
        parked: reply.8,
        in_line: reply.11,
        paused: reply.9.0.is_some() && !has_passed(link, paused_until).await?,
        oldest_ready_age_ms: oldest_age_ms(link, keys, &next).await?,
        unrecorded: reply.10,
        repaired: reply.9.2.as_ref().and_then(number).unwrap_or_default(),
    })
}

/// How many entries of these queues wait for Postgres.
pub async fn unrecorded(link: &Link, queues: &[QueueKeys]) -> Result<u64, LinkError> {
    if queues.is_empty() {
        return Ok(0);
    }
    let mut pipeline = redis::pipe();
    for keys in queues {
        pipeline.cmd("XLEN").arg(keys.outcomes());
    }
    let lengths: Vec<u64> = link.pipeline(&pipeline).await?;
    Ok(lengths.into_iter().sum())
}

/// For how many milliseconds the oldest entry of these queues has waited for Postgres, by the clock of Redis.
///
/// Reads one entry of each queue with all that is in it, so this is not for every turn of a loop.
pub async fn oldest_unrecorded_ms(link: &Link, queues: &[QueueKeys]) -> Result<Option<u64>, LinkError> {
    type Entries = Vec<(String, Vec<Vec<u8>>)>;
    let (seconds, micros): (u64, u64) = link.query(&redis::cmd("TIME")).await?;
    let now_ms = seconds * 1000 + micros / 1000;
    let mut oldest: Option<u64> = None;
    for keys in queues {
        let mut first = redis::cmd("XRANGE");
        first.arg(keys.outcomes()).arg("-").arg("+").arg("COUNT").arg(1);
        let first: Entries = link.query(&first).await?;
        // The id of an entry begins with the time at which it was added.
        let added_ms = first.first().and_then(|(id, _)| id.split_once('-')?.0.parse::<u64>().ok());
        oldest = oldest.max(added_ms.map(|added_ms| now_ms.saturating_sub(added_ms)));
    }
    Ok(oldest)
}

/// True when this Unix time in milliseconds has come, by the clock of Redis.
async fn has_passed(link: &Link, unix_ms: Option<u64>) -> Result<bool, LinkError> {
    let Some(unix_ms) = unix_ms else { return Ok(false) };
    let (seconds, micros): (u64, u64) = link.query(&redis::cmd("TIME")).await?;
    Ok(unix_ms <= seconds * 1000 + micros / 1000)
}

async fn oldest_age_ms(link: &Link, keys: &QueueKeys, next: &[&Vec<u8>]) -> Result<Option<u64>, LinkError> {
    if next.is_empty() {
        return Ok(None);
    }
    let mut pipeline = redis::pipe();
    pipeline.cmd("HMGET").arg(keys.jobs()).arg(next).cmd("TIME");
    let (bodies, (seconds, micros)): (Vec<Option<Vec<u8>>>, (u64, u64)) = link.pipeline(&pipeline).await?;
    let now_ms = seconds * 1000 + micros / 1000;
    let at = bodies.into_iter().flatten().filter_map(|body| Some(Envelope::decode(&body).ok()?.at)).min();
    Ok(at.map(|at| now_ms.saturating_sub(at)))
}

/// What is published of a queue: `max_len`, `paused` with its reason, and what newer releases add.
pub async fn published(link: &Link, keys: &QueueKeys) -> Result<BTreeMap<String, String>, LinkError> {
    let fields: Vec<(Vec<u8>, Vec<u8>)> = link.query(redis::cmd("HGETALL").arg(keys.config())).await?;
    Ok(fields.into_iter().map(|(name, value)| (text(&name), text(&value))).collect())
}

/// Text that anybody may have written, as far as it is one: a value that cannot be read must not hide the others.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Finds a live job of this queue.
pub async fn find(link: &Link, keys: &QueueKeys, id: JobId) -> Result<Option<Found>, LinkError> {
    let marked = [Priority::Normal, Priority::High, Priority::Low].map(|priority| priority.marked(id));
    let mut pipeline = redis::pipe();
    pipeline.cmd("HGET").arg(keys.jobs()).arg(id).cmd("HGET").arg(keys.marks()).arg(id);
    pipeline.cmd("HGET").arg(keys.parked()).arg(id).cmd("ZMSCORE").arg(keys.delayed()).arg(&marked);
    pipeline.cmd("HEXISTS").arg(keys.in_line()).arg(id);
    type Reply = (Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>, Vec<Option<f64>>, bool);
    let (bytes, marks, reason, due, in_line): Reply = link.pipeline(&pipeline).await?;
    let Some(bytes) = bytes else { return Ok(None) };
    let marks = Marks::read(marks.as_deref());
    let run = RunId { id, run: marks.run + 1 };
    let lease: Option<f64> = link.query(redis::cmd("ZSCORE").arg(keys.running()).arg(run)).await?;
    let place = match (lease, due.into_iter().flatten().next(), reason) {
        (Some(_), _, _) => Place::Running,
        (_, Some(due), _) => Place::Delayed(due as u64),
        (_, _, Some(reason)) => Place::Parked(text(&reason)),
        _ if in_line => Place::InLine(stand(link, keys, id, &bytes).await?),
        _ => Place::Ready,
    };
    Ok(Some(Found { place, marks, bytes }))
}

/// Where a job that waits in line stands. Costs a walk along the line.
async fn stand(link: &Link, keys: &QueueKeys, id: JobId, body: &[u8]) -> Result<InLine, LinkError> {
    let Ok(envelope) = Envelope::decode(body) else { return Ok(InLine::default()) };
    let line = keys.line_of(&envelope);
    let mut pipeline = redis::pipe();
    pipeline.cmd("LINDEX").arg(&line).arg(0).cmd("LPOS").arg(&line).arg(id);
    let (first, ahead): (Option<Vec<u8>>, Option<u64>) = link.pipeline(&pipeline).await?;
    let behind = first.and_then(|first| JobId::read(&first)).filter(|first| *first != id);
    Ok(InLine { behind, ahead })
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
    let job = WaitingJob {
        member: Vec::new(),
        id: id.bytes().to_vec(),
        record: record.encode(),
        unique: envelope.as_ref().map(|envelope| keys.unique_of(envelope)).unwrap_or_default(),
        line: envelope.as_ref().map(|envelope| keys.line_of(envelope)).unwrap_or_default(),
    };
    store::cancel(link, keys, &job, canceller).await
}
