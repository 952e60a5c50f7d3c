//! Looking through the live jobs of a queue, a page at a time: what waits, what is put off, what runs, what is parked.
//!
//! A page costs what it shows and never the whole queue, and it is a look, not a snapshot: jobs move on while people
//! read.

use flota_producer::{
    Envelope, JobId, Priority,
    keys::QueueKeys,
    link::{Link, LinkError},
};

use crate::{
    inspect::{InLine, Place},
    marks::Marks,
    store::RunId,
};

/// The five places a live job can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveState {
    /// Waiting for a worker.
    Ready,
    /// Waiting for a time.
    Delayed,
    /// Under lease.
    Running,
    /// Set aside for a newer worker.
    Parked,
    /// Behind another job of its line.
    InLine,
}

impl LiveState {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 5] = [Self::InLine, Self::Ready, Self::Delayed, Self::Running, Self::Parked];

    /// The word used in commands and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Delayed => "delayed",
            Self::Running => "running",
            Self::Parked => "parked",
            Self::InLine => "in_line",
        }
    }

    /// The state with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// A live job on a page.
#[derive(Debug)]
pub struct Live {
    /// What the place calls it: the id, in `delayed` with the mark of its priority, in `running` with its run.
    pub member: Vec<u8>,
    /// Its id; `None` for an entry that no producer of ours wrote.
    pub id: Option<JobId>,
    /// Where it is.
    pub place: Place,
    /// Which ready list it lies in; for jobs elsewhere what their envelope says.
    pub priority: Priority,
    /// What has happened to it so far.
    pub marks: Marks,
    /// Its envelope, where this release can read it.
    pub envelope: Option<Envelope>,
    /// Its id, or what stands in its place.
    pub(crate) name: Vec<u8>,
    /// False for an id without a body: a job that was cancelled while it waited.
    pub(crate) exists: bool,
}

/// What a place says of one entry, which may be any bytes, before its body is read.
struct Entry {
    member: Vec<u8>,
    id: Vec<u8>,
    place: Place,
    list: Option<Priority>,
}

/// The jobs of one place: `limit` of them after the first `skip`. Ready jobs come in the order of a usual fetch,
/// delayed ones with the next due first, running ones with the lease that ends first.
///
/// Entries whose job is gone (cancelled while it waited) are left out, so that a page may be shorter than its limit. What is
/// no job at all is shown: somebody put it there, and somebody has to see it.
pub async fn page(
    link: &Link,
    keys: &QueueKeys,
    state: LiveState,
    skip: usize,
    limit: usize,
) -> Result<Vec<Live>, LinkError> {
    let mut jobs = entries(link, keys, state, skip, limit).await?;
    jobs.retain(|job| job.exists || job.id.is_none());
    Ok(jobs)
}

/// The same with entries whose job is gone.
pub(crate) async fn entries(
    link: &Link,
    keys: &QueueKeys,
    state: LiveState,
    skip: usize,
    limit: usize,
) -> Result<Vec<Live>, LinkError> {
    let entries = match state {
        LiveState::Ready => ready(link, keys, skip, limit).await?,
        LiveState::Delayed => delayed(link, keys, skip, limit).await?,
        LiveState::Running => running(link, keys, skip, limit).await?,
        LiveState::Parked => parked(link, keys, skip, limit).await?,
        LiveState::InLine => in_line(link, keys, skip, limit).await?,
    };
    with_bodies(link, keys, entries).await
}

async fn ready(
    link: &Link,
    keys: &QueueKeys,
    mut skip: usize,
    limit: usize,
) -> Result<Vec<Entry>, LinkError> {
    let mut entries = Vec::new();
    for priority in [Priority::High, Priority::Normal, Priority::Low] {
        let list = keys.ready(priority);
        let length: usize = link.query(redis::cmd("LLEN").arg(&list)).await?;
        let wanted = limit - entries.len();
        if skip < length && 0 < wanted {
            let last = skip + wanted - 1;
            let ids: Vec<Vec<u8>> = link.query(redis::cmd("LRANGE").arg(&list).arg(skip).arg(last)).await?;
            entries.extend(ids.into_iter().map(|id| Entry {
                member: id.clone(),
                id,
                place: Place::Ready,
                list: Some(priority),
            }));
        }
        skip = skip.saturating_sub(length);
    }
    Ok(entries)
}

async fn delayed(link: &Link, keys: &QueueKeys, skip: usize, limit: usize) -> Result<Vec<Entry>, LinkError> {
    let entry = |(member, due): (Vec<u8>, f64)| {
        let id = Priority::unmarked(&member).to_vec();
        Entry { member, id, place: Place::Delayed(due as u64), list: None }
    };
    Ok(scored(link, &keys.delayed(), skip, limit).await?.into_iter().map(entry).collect())
}

async fn running(link: &Link, keys: &QueueKeys, skip: usize, limit: usize) -> Result<Vec<Entry>, LinkError> {
    // The permanent member of the set is none that can be read.
    let entry = |(member, _): (Vec<u8>, f64)| {
        let id = RunId::read(&member)?.id.bytes().to_vec();
        Some(Entry { member, id, place: Place::Running, list: None })
    };
    Ok(scored(link, &keys.running(), skip, limit).await?.into_iter().filter_map(entry).collect())
}

async fn scored(link: &Link, key: &str, skip: usize, limit: usize) -> Result<Vec<(Vec<u8>, f64)>, LinkError> {
    let mut command = redis::cmd("ZRANGE");
    command.arg(key).arg("-inf").arg("(+inf").arg("BYSCORE").arg("LIMIT").arg(skip).arg(limit);
    link.query(command.arg("WITHSCORES")).await
}

async fn parked(link: &Link, keys: &QueueKeys, skip: usize, limit: usize) -> Result<Vec<Entry>, LinkError> {
    let entry = |(id, reason): (Vec<u8>, Vec<u8>)| {
        let place = Place::Parked(String::from_utf8_lossy(&reason).into_owned());
        Entry { member: id.clone(), id, place, list: None }
    };
    Ok(fields(link, &keys.parked(), skip, limit).await?.map(entry).collect())
}

/// Who is before whom is not asked: that is a walk along each line.
async fn in_line(link: &Link, keys: &QueueKeys, skip: usize, limit: usize) -> Result<Vec<Entry>, LinkError> {
    let place = || Place::InLine(InLine::default());
    let entry = |(id, _): (Vec<u8>, Vec<u8>)| Entry { member: id.clone(), id, place: place(), list: None };
    Ok(fields(link, &keys.in_line(), skip, limit).await?.map(entry).collect())
}

/// A hash has no order, but one that nobody changes is walked in the same order every time.
async fn fields(
    link: &Link,
    key: &str,
    skip: usize,
    limit: usize,
) -> Result<impl Iterator<Item = (Vec<u8>, Vec<u8>)> + use<>, LinkError> {
    let (mut cursor, mut entries) = (String::from("0"), Vec::new());
    loop {
        let mut command = redis::cmd("HSCAN");
        command.arg(key).arg(&cursor).arg("COUNT").arg(500);
        type Found = (String, Vec<(Vec<u8>, Vec<u8>)>);
        let (next, some): Found = link.query(&command).await?;
        entries.extend(some);
        cursor = next;
        if cursor == "0" || skip + limit <= entries.len() {
            break;
        }
    }
    Ok(entries.into_iter().skip(skip).take(limit))
}

async fn with_bodies(link: &Link, keys: &QueueKeys, entries: Vec<Entry>) -> Result<Vec<Live>, LinkError> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&[u8]> = entries.iter().map(|entry| entry.id.as_slice()).collect();
    let mut pipeline = redis::pipe();
    pipeline.cmd("HMGET").arg(keys.jobs()).arg(&ids).cmd("HMGET").arg(keys.marks()).arg(&ids);
    type Bodies = (Vec<Option<Vec<u8>>>, Vec<Option<Vec<u8>>>);
    let (bodies, marks): Bodies = link.pipeline(&pipeline).await?;
    let live = entries.into_iter().zip(bodies.into_iter().zip(marks)).map(|(entry, (body, marks))| {
        let envelope = body.as_ref().and_then(|body| Envelope::decode(body).ok());
        Live {
            id: JobId::read(&entry.id),
            priority: entry.list.or(envelope.as_ref().map(|e| e.priority)).unwrap_or_default(),
            marks: Marks::read(marks.as_deref()),
            exists: body.is_some(),
            member: entry.member,
            place: entry.place,
            name: entry.id,
            envelope,
        }
    });
    Ok(live.collect())
}
