//! One typed function per script, beside the meaning of its answer; fetch alone is called where it waits at the bell
//! (`fetch.rs`). Others read what they need by plain commands. Nothing here decides anything.

mod run_id;
mod settlement;

use std::{sync::LazyLock, time::Duration};

use flota_producer::{
    JobId, Priority,
    keys::QueueKeys,
    link::{Link, LinkError},
    script_with,
};
use redis::Script;

use crate::{
    browse::LiveState,
    failpoint,
    repair::{SuspectedJob, Treatment},
};

pub use self::{
    run_id::RunId,
    settlement::{Settlement, Step, settle},
};

/// A script by its name, with those before it whose functions it calls.
macro_rules! script {
    ($name:ident, $script:literal $(, $shared:literal)*) => {
        pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            let shared = concat!($(include_str!(concat!("scripts/", $shared, ".lua"))),*);
            script_with(shared, $script, include_str!(concat!("scripts/", $script, ".lua")))
        });
    };
}

script!(FETCH, "fetch", "member");
script!(HEARTBEAT, "heartbeat");
script!(SETTLE, "settle", "lock", "line");
script!(PROMOTE, "promote");
script!(RECOVER, "recover", "lock", "line");
script!(BEGIN, "begin");
script!(CANCEL, "cancel", "member", "lock", "line");
script!(UNPARK, "unpark");
script!(SET_ASIDE, "set_aside");
script!(HURRY, "hurry");
script!(PURGE, "purge", "lock", "line");
script!(REPAIR, "repair", "member", "line");
script!(SET_CONTROL, "set_control");

/// Most runs or jobs in one script call: what Lua can unpack, with room to spare.
pub const BATCH: usize = 500;

/// What recover does with one suspect.
#[derive(Debug)]
pub struct Suspect {
    /// The run whose lease ended.
    pub run: RunId,
    /// The end of its lease when it was last seen, Unix ms: it is left alone when that has changed.
    pub end_ms: u64,
    /// Counters after the lost lease.
    pub marks: String,
    /// Line for the outcomes stream when the job is buried; empty otherwise.
    pub record: String,
    /// Key of the unique lock to give back when buried; empty for none.
    pub unique: String,
    /// Key of the line to leave when buried; empty for none.
    pub line: String,
    /// Which ready list the job belongs to.
    pub priority: Priority,
}

/// What heartbeat found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Runs whose lease is gone.
    pub lost: Vec<RunId>,
    /// Runs that somebody asked to stop.
    pub cancelled: Vec<RunId>,
}

/// What cancel did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// The job waited: it is cancelled now.
    Now,
    /// The job runs: its worker stops it with the next heartbeat.
    Requested,
    /// No live job has this id.
    Unknown,
}

/// Lengthens the leases of runs that are still going.
pub async fn heartbeat(
    link: &Link,
    keys: &QueueKeys,
    lease: Duration,
    runs: &[RunId],
) -> Result<Pulse, LinkError> {
    let mut call = HEARTBEAT.key(keys.running());
    call.key(keys.cancelled()).arg(lease.as_millis() as u64);
    for run in runs {
        call.arg(run).arg(run.id);
    }
    let (lost, cancelled): (Vec<RunId>, Vec<RunId>) = link.invoke(&call).await?;
    failpoint!("heartbeat-sent", crate::chaos::lost());
    Ok(Pulse { lost, cancelled })
}

/// Writes down that runs start, each with its counters. Answers the time of Redis, Unix ms, and the positions of those
/// whose lease was gone.
pub async fn begin(
    link: &Link,
    keys: &QueueKeys,
    starts: &[(RunId, String)],
) -> Result<(u64, Vec<usize>), LinkError> {
    let mut call = BEGIN.key(keys.running());
    call.key(keys.marks());
    for (run, marks) in starts {
        call.arg(run).arg(run.id).arg(marks);
    }
    let (now_ms, lost): (u64, Vec<usize>) = link.invoke(&call).await?;
    Ok((now_ms, lost.into_iter().map(|position| position - 1).collect()))
}

/// Moves due jobs to ready. Answers how many moved, and how long until the next is due.
pub async fn promote(link: &Link, keys: &QueueKeys) -> Result<(usize, Option<Duration>), LinkError> {
    let mut call = PROMOTE.key(keys.delayed());
    for priority in [Priority::Normal, Priority::High, Priority::Low] {
        call.key(keys.ready(priority));
    }
    call.key(keys.bell()).arg(BATCH);
    let (moved, next_ms): (usize, i64) = link.invoke(&call).await?;
    failpoint!("promoted", crate::chaos::lost());
    Ok((moved, u64::try_from(next_ms).ok().map(Duration::from_millis)))
}

/// Returns or buries suspects. Answers how many became ready again, and how many were buried.
pub async fn recover(
    link: &Link,
    keys: &QueueKeys,
    worker: &str,
    suspects: &[Suspect],
) -> Result<(usize, usize), LinkError> {
    let mut call = RECOVER.key(keys.running());
    call.key(keys.jobs()).key(keys.marks());
    for priority in [Priority::Normal, Priority::High, Priority::Low] {
        call.key(keys.ready(priority));
    }
    call.key(keys.outcomes()).key(keys.bell()).key(keys.cancelled()).key(keys.in_line()).arg(worker);
    for suspect in suspects {
        call.arg(suspect.run).arg(suspect.run.id).arg(suspect.end_ms);
        call.arg(&suspect.marks).arg(&suspect.record).arg(&suspect.unique).arg(suspect.priority.mark());
        call.arg(&suspect.line);
    }
    let (back, buried): (Vec<RunId>, Vec<RunId>) = link.invoke(&call).await?;
    failpoint!("recovered", crate::chaos::lost());
    Ok((back.len(), buried.len()))
}

/// Cancels a job that may wait anywhere: what is said of its place is not looked at.
pub async fn cancel(
    link: &Link,
    keys: &QueueKeys,
    job: &WaitingJob,
    canceller: &str,
) -> Result<Cancelled, LinkError> {
    let mut call = CANCEL.key(keys.jobs());
    call.key(keys.delayed()).key(keys.cancelled()).key(keys.outcomes()).key(keys.marks());
    call.key(keys.running()).key(keys.parked()).key(keys.in_line());
    for priority in [Priority::Normal, Priority::High, Priority::Low] {
        call.key(keys.ready(priority));
    }
    call.key(keys.bell()).arg(&job.id).arg(&job.record).arg(&job.unique).arg(canceller).arg(&job.line);
    let word: String = link.invoke(&call).await?;
    Ok(match word.as_str() {
        "cancelled" => Cancelled::Now,
        "requested" => Cancelled::Requested,
        _ => Cancelled::Unknown,
    })
}

/// Why something is parked that is no job of ours.
pub const NO_ID: &str = "it is no id of a job, which is 16 bytes";

/// Parks what is no run of ours, by its member of the running set.
pub async fn set_aside(link: &Link, keys: &QueueKeys, member: &[u8]) -> Result<(), LinkError> {
    let id = member.rsplitn(2, |byte| *byte == b':').last().unwrap_or(member);
    let mut call = SET_ASIDE.key(keys.running());
    call.key(keys.parked()).arg(member).arg(id).arg(NO_ID);
    link.invoke::<u64>(&call).await.map(drop)
}

/// Moves shelved jobs to ready. Answers how many moved.
pub async fn unpark(link: &Link, keys: &QueueKeys, jobs: &[(JobId, Priority)]) -> Result<usize, LinkError> {
    let mut call = UNPARK.key(keys.parked());
    for priority in [Priority::Normal, Priority::High, Priority::Low] {
        call.key(keys.ready(priority));
    }
    call.key(keys.bell());
    for (id, priority) in jobs {
        call.arg(id).arg(priority.mark());
    }
    let moved = link.invoke(&call).await?;
    failpoint!("unparked", crate::chaos::lost());
    Ok(moved)
}

/// Makes a delayed job ready now. False when it is not delayed.
pub async fn hurry(link: &Link, keys: &QueueKeys, id: JobId) -> Result<bool, LinkError> {
    let mut call = HURRY.key(keys.delayed());
    for priority in [Priority::Normal, Priority::High, Priority::Low] {
        call.key(keys.ready(priority));
    }
    call.key(keys.bell()).key(keys.jobs()).arg(id);
    let moved: u32 = link.invoke(&call).await?;
    Ok(moved == 1)
}

/// Sets fields of the config hash to these values, even at `maxmemory`.
pub(crate) async fn set_control(
    link: &Link,
    keys: &QueueKeys,
    fields: &[String],
    values: &[String],
) -> Result<(), LinkError> {
    let mut call = SET_CONTROL.key(keys.config());
    for (field, value) in fields.iter().zip(values) {
        call.arg(field).arg(value);
    }
    link.invoke(&call).await
}

/// A waiting job that is to be cancelled.
#[derive(Debug)]
pub struct WaitingJob {
    /// What its place calls it.
    pub member: Vec<u8>,
    /// Id of the job, or what stands in its place.
    pub id: Vec<u8>,
    /// Line for the outcomes stream; empty for what is no job of ours and leaves none.
    pub record: String,
    /// Key of the unique lock to give back; empty for none.
    pub unique: String,
    /// Key of the line to leave; empty for none.
    pub line: String,
}

/// Cancels jobs that wait in one place, whose key is `place`. Answers how many entries still were there, and how many of
/// them were live jobs.
pub async fn purge(
    link: &Link,
    keys: &QueueKeys,
    place: &str,
    state: LiveState,
    jobs: &[WaitingJob],
    canceller: &str,
) -> Result<(u64, u64), LinkError> {
    if jobs.is_empty() {
        return Ok((0, 0));
    }
    let mut call = PURGE.key(place);
    call.key(keys.jobs()).key(keys.marks()).key(keys.outcomes()).key(keys.cancelled()).key(keys.in_line());
    for priority in [Priority::Normal, Priority::High, Priority::Low] {
        call.key(keys.ready(priority));
    }
    call.key(keys.bell()).arg(state.word()).arg(canceller);
    for job in jobs {
        call.arg(&job.member).arg(&job.id).arg(&job.record).arg(&job.unique).arg(&job.line);
    }
    link.invoke(&call).await
}

/// Asks which of these jobs are in no place or in a line that stands still, and mends that where it is the treatment.
/// Answers them.
pub async fn repair(
    link: &Link,
    keys: &QueueKeys,
    treatment: Treatment,
    jobs: &[SuspectedJob],
) -> Result<Vec<Vec<u8>>, LinkError> {
    let mut call = REPAIR.key(keys.jobs());
    for priority in [Priority::Normal, Priority::High, Priority::Low] {
        call.key(keys.ready(priority));
    }
    call.key(keys.delayed()).key(keys.running()).key(keys.parked()).key(keys.marks()).key(keys.bell());
    call.key(keys.config()).key(keys.in_line()).arg(match treatment {
        Treatment::Look => "look",
        Treatment::Repair => "repair",
    });
    for job in jobs {
        call.arg(&job.id).arg(job.priority.mark()).arg(&job.line);
    }
    link.invoke(&call).await
}
