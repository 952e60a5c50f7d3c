//! Repair: live jobs that are in no place, or in a line that nothing moves on, are found, told, and put back.
//!
//! Every script moves an id in one step, so there should be none, ever. But bodies stay while ids move, so if a defect
//! or a hand in Redis loses an id, the body is still there to tell of it, and nothing is lost.
//!
//! Three steps, so that a busy queue is not held up: everything is read in pieces, while jobs move on; what was seen
//! nowhere is looked for once more in the same way; and only what was not seen then either is asked about in a script,
//! which sees all places at once.

mod lines;

use std::collections::HashSet;

use flota_producer::{
    Envelope, JobId, Priority,
    keys::QueueKeys,
    link::{Link, LinkError},
};
use redis::Cmd;

use crate::store::{self, BATCH, RunId};

/// How many suspects one script call asks about: each costs a walk through the ready lists.
const SUSPECTS: usize = 16;
/// Entries in one piece.
const PIECE: usize = 1_000;

/// A live job that may be nowhere.
#[derive(Debug)]
pub struct SuspectedJob {
    /// The name of its body.
    pub id: Vec<u8>,
    /// Which ready list it belongs to.
    pub priority: Priority,
    /// Key of its line; empty for none.
    pub line: String,
}

/// What to do with jobs that are nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// Tell them.
    Look,
    /// Put them back in line.
    Repair,
}

/// The live jobs of a queue that are in no place, by the names of their bodies. Safe while workers run.
///
/// # Errors
/// When Redis does not answer. What was put back until then stays in line.
pub async fn nowhere(link: &Link, keys: &QueueKeys, treatment: Treatment) -> Result<Vec<Vec<u8>>, LinkError> {
    let all = pieces(link, |cursor| scan("HSCAN", &keys.jobs(), cursor), 2).await?;
    let suspects = unseen(link, keys, all).await?;
    if suspects.is_empty() {
        return Ok(suspects);
    }
    let mut suspects = unseen(link, keys, suspects).await?;
    // Ids rise with time: a line that was lost comes back in about its order.
    suspects.sort_unstable();
    let mut found = Vec::new();
    for ids in suspects.chunks(SUSPECTS) {
        let jobs = suspected(link, keys, ids).await?;
        found.extend(store::repair(link, keys, treatment, &jobs).await?);
    }
    Ok(found)
}

/// Those of these that are seen in no place, looked at one after the other.
async fn unseen(link: &Link, keys: &QueueKeys, ids: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, LinkError> {
    let mut seen = HashSet::new();
    // In the order in which jobs go: one that moves on meanwhile is met further on.
    seen.extend(lines::behind_somebody(link, keys).await?);
    seen.extend(pieces(link, |cursor| scan("HSCAN", &keys.parked(), cursor), 2).await?);
    for member in pieces(link, |cursor| scan("ZSCAN", &keys.delayed(), cursor), 2).await? {
        seen.insert(Priority::unmarked(&member).to_vec());
    }
    for priority in [Priority::High, Priority::Normal, Priority::Low] {
        seen.extend(list(link, &keys.ready(priority)).await?);
    }
    for member in pieces(link, |cursor| scan("ZSCAN", &keys.running(), cursor), 2).await? {
        seen.insert(job_of(&member).to_vec());
    }
    Ok(ids.into_iter().filter(|id| !seen.contains(id)).collect())
}

/// What stands for the job in a member of the running set. An id may have colons in it, whatever else may not.
fn job_of(member: &[u8]) -> &[u8] {
    let end = match RunId::read(member) {
        Some(_) => Some(JobId::BYTES),
        None => member.iter().rposition(|byte| *byte == b':'),
    };
    &member[..end.unwrap_or(member.len())]
}

fn scan(command: &str, key: &str, cursor: &str) -> Cmd {
    let mut scan = redis::cmd(command);
    scan.arg(key).arg(cursor).arg("COUNT").arg(PIECE);
    scan
}

/// The first of every `width` values that a scan brings.
async fn pieces(link: &Link, command: impl Fn(&str) -> Cmd, width: usize) -> Result<Vec<Vec<u8>>, LinkError> {
    let (mut cursor, mut found) = (String::from("0"), Vec::new());
    loop {
        let (next, some): (String, Vec<Vec<u8>>) = link.query(&command(&cursor)).await?;
        found.extend(some.into_iter().step_by(width));
        cursor = next;
        if cursor == "0" {
            return Ok(found);
        }
    }
}

/// A ready list from its tail, where jobs come in, to its head, where they leave: none can slip past.
async fn list(link: &Link, key: &str) -> Result<Vec<Vec<u8>>, LinkError> {
    let mut found = Vec::new();
    let mut end = link.query::<isize>(redis::cmd("LLEN").arg(key)).await? - 1;
    while 0 <= end {
        let begin = (end - PIECE as isize + 1).max(0);
        let mut range = redis::cmd("LRANGE");
        found.extend(link.query::<Vec<Vec<u8>>>(range.arg(key).arg(begin).arg(end)).await?);
        end = begin - 1;
    }
    Ok(found)
}

async fn suspected(link: &Link, keys: &QueueKeys, ids: &[Vec<u8>]) -> Result<Vec<SuspectedJob>, LinkError> {
    let bodies: Vec<Option<Vec<u8>>> = link.query(redis::cmd("HMGET").arg(keys.jobs()).arg(ids)).await?;
    let job = |(id, body): (&Vec<u8>, Option<Vec<u8>>)| {
        let envelope = body.and_then(|body| Envelope::decode(&body).ok());
        SuspectedJob {
            id: id.clone(),
            priority: envelope.as_ref().map(|envelope| envelope.priority).unwrap_or_default(),
            line: envelope.map(|envelope| keys.line_of(&envelope)).unwrap_or_default(),
        }
    };
    Ok(ids.iter().zip(bodies).map(job).collect())
}

const _: () = assert!(SUSPECTS <= BATCH, "a script call takes at most a batch");
