//! A checked job on its way, and the one script call that takes such jobs.
//!
//! Most jobs have no option: for a call of such jobs alone nothing but ids and envelopes is sent, and the answer to
//! jobs that were all accepted is empty.

use std::{borrow::Borrow, sync::LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use redis::Script;

use crate::{
    envelope::Envelope,
    job_id::JobId,
    keys::{Priority, QueueKeys},
    link::{Link, LinkError},
    new_job::When,
    script::{call, script},
};

static ENQUEUE: LazyLock<Script> = LazyLock::new(|| script("enqueue", include_str!("scripts/enqueue.lua")));

/// Most jobs in one script call: what Lua can unpack, with room to spare.
pub const BATCH: usize = 500;

/// Jobs of a short call.
const FEW: usize = 4;
/// Words of a job that has no option, in a call of such jobs alone.
const PLAIN_WORDS: usize = 2;
/// Words of a job in any other call.
const WORDS: usize = 9;

/// A checked job on its way.
pub(crate) struct Outgoing {
    /// Place in the caller's list.
    pub(crate) place: usize,
    pub(crate) id: JobId,
    pub(crate) kind: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) when: When,
    pub(crate) priority: Priority,
    pub(crate) key: Option<Dedup>,
    pub(crate) unique: Option<String>,
    pub(crate) line: Option<String>,
}

pub(crate) struct Dedup {
    pub(crate) name: String,
    pub(crate) redis_key: String,
    pub(crate) body_hash: String,
    pub(crate) window_ms: u64,
}

/// What became of one job of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Accepted.
    Queued,
    /// This job has the same idempotency or unique key, or is the same job.
    StoodFor(JobId),
    /// This job has the same idempotency key and says something else.
    Conflict(JobId),
    /// The queue has no room.
    Full,
    /// The call came too late and changed nothing.
    Late,
}

impl Outgoing {
    /// True when there is nothing to say but its id and envelope.
    fn is_plain(&self) -> bool {
        self.when == When::Now
            && self.priority == Priority::Normal
            && self.key.is_none()
            && self.unique.is_none()
            && self.line.is_none()
    }

    fn write_options(&self, call: &mut redis::Cmd) {
        call.arg(due(self.when)).arg(self.priority.mark());
        match &self.key {
            Some(key) => call.arg(&key.redis_key).arg(&key.body_hash).arg(key.window_ms),
            None => call.arg("").arg("").arg(""),
        };
        call.arg(self.unique.as_deref().unwrap_or_default()).arg(self.line.as_deref().unwrap_or_default());
    }
}

/// One script call for at most [`BATCH`] jobs of one queue; one answer per job, in the same order. After
/// `not_after`, Unix ms by the clock of Redis, it changes nothing.
pub(crate) async fn enqueue<J: Borrow<Outgoing>>(
    link: &Link,
    keys: &QueueKeys,
    jobs: &[J],
    not_after: Option<u64>,
) -> Result<Vec<Answer>, LinkError> {
    let call = the_call(keys, jobs, not_after);
    let told = Box::pin(link.call::<Vec<(usize, String, Vec<u8>)>>(&ENQUEUE, &call));
    let told = if jobs.len() <= FEW { link.soon(told).await? } else { told.await? };
    Ok(answers(jobs, &told))
}

fn the_call<J: Borrow<Outgoing>>(keys: &QueueKeys, jobs: &[J], not_after: Option<u64>) -> redis::Cmd {
    let all = || jobs.iter().map(Borrow::borrow);
    let plain = all().all(Outgoing::is_plain);
    let mut names = vec![keys.jobs(), keys.ready(Priority::Normal), keys.bell(), keys.config()];
    if !plain {
        names.extend([Priority::High, Priority::Low].map(|of| keys.ready(of)));
        names.extend([keys.delayed(), keys.in_line()]);
    }
    let words = if plain { PLAIN_WORDS } else { WORDS };
    let bytes = all().map(|job| JobId::BYTES + job.bytes.len()).sum();
    let mut call = call(&ENQUEUE, &names, (1 + words * jobs.len(), bytes));
    call.arg(not_after.map_or_else(String::new, |ms| ms.to_string()));
    for job in all() {
        call.arg(job.id).arg(&job.bytes);
        if !plain {
            job.write_options(&mut call);
        }
    }
    call
}

/// Places are counted from 1; 0 stands for all of them.
fn answers<J: Borrow<Outgoing>>(jobs: &[J], told: &[(usize, String, Vec<u8>)]) -> Vec<Answer> {
    let mut answers = vec![Answer::Queued; jobs.len()];
    for (place, word, other) in told {
        let concerned = if *place == 0 { 0..jobs.len() } else { place - 1..*place };
        for n in concerned {
            answers[n] = answer(word, JobId::read(other).unwrap_or(jobs[n].borrow().id));
        }
    }
    answers
}

fn answer(word: &str, other: JobId) -> Answer {
    match word {
        "duplicate" | "taken" => Answer::StoodFor(other),
        "conflict" => Answer::Conflict(other),
        "full" => Answer::Full,
        "late" => Answer::Late,
        word => unreachable!("enqueue.lua never answers {word:?}"),
    }
}

fn due(when: When) -> String {
    match when {
        When::Now => String::new(),
        When::After(delay) => format!("+{}", delay.as_millis()),
        When::At(unix_ms) => format!("@{unix_ms}"),
    }
}

/// What makes two jobs with one key the same job: kind and payload. 128 bits are plenty to tell them apart.
pub(crate) fn body_hash(envelope: &Envelope) -> String {
    let input = format!("{}\0{}", envelope.kind, envelope.payload.get());
    hex::encode(&digest(&SHA256, input.as_bytes()).as_ref()[..16])
}
