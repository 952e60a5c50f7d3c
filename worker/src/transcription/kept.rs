//! What has been heard and paid before a run broke off, so that the next run of the job neither pays for a piece again nor
//! forgets what it has paid.
//!
//! A long recording is several calls, and any of them may meet a limit, a failure or the end of the run's time. Pieces are
//! known by their content, so that another cut or another file is never taken for the same. The memory is that of one
//! process: transcripts are personal, and a second call, which another process would make, costs a few cents and does no
//! harm. What was paid by a run that had to wait, or was cut off, is told with the next run's record; a process that
//! ends in between takes that with it, and the metrics alone have counted it.

use std::{
    collections::HashMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use flota_producer::JobId;
use flota_providers::content::Content;
use serde_json::Value;

use super::hear::Paid;

/// How long it is kept: longer than a job usually waits for its next run.
const AGE: Duration = Duration::from_hours(36);
/// Most jobs that are remembered.
const MOST_JOBS: usize = 10_000;
/// Most transcripts of one process, in bytes as JSON.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// A piece by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PieceKey([u8; 32]);

impl PieceKey {
    pub(super) async fn of(content: &Content) -> io::Result<Self> {
        content.sha256().await.map(Self)
    }
}

/// What is known of jobs on their way.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<HashMap<JobId, Unfinished>>);

#[derive(Debug)]
struct Unfinished {
    heard: HashMap<PieceKey, Value>,
    bytes: usize,
    untold: Vec<Paid>,
    since: Instant,
}

impl Kept {
    /// The transcript of this piece, when an earlier run of the job has it.
    pub(super) fn heard(&self, job: JobId, piece: PieceKey) -> Option<Value> {
        self.lock().get(&job)?.heard.get(&piece).cloned()
    }

    /// A piece was heard. Where room is short, transcripts of the oldest jobs make way; those are heard again if need be.
    pub(super) fn keep(&self, job: JobId, piece: PieceKey, transcript: &Value, now: Instant) {
        let bytes = transcript.to_string().len();
        let mut jobs = self.lock();
        if !make_room(&mut jobs, job, bytes, now) {
            return;
        }
        if let Some(job) = room(&mut jobs, job, now) {
            job.bytes += bytes;
            job.heard.insert(piece, transcript.clone());
        }
    }

    /// A call was paid, and no record says so yet.
    pub(super) fn owe(&self, job: JobId, paid: Paid, now: Instant) {
        if let Some(job) = room(&mut self.lock(), job, now) {
            job.untold.push(paid);
        }
    }

    /// Every call of this job that no record tells of; the caller tells of them now.
    pub(super) fn untold(&self, job: JobId) -> Vec<Paid> {
        let mut jobs = self.lock();
        let untold = jobs.get_mut(&job).map(|job| std::mem::take(&mut job.untold)).unwrap_or_default();
        leave_out_empty(&mut jobs, job);
        untold
    }

    /// Calls that cost nothing need not be told after all: the job waits, and may do so often.
    pub(super) fn forget_free(&self, job: JobId) {
        let mut jobs = self.lock();
        if let Some(job) = jobs.get_mut(&job) {
            job.untold.retain(|paid| 0.0 < paid.cost_usd);
        }
        leave_out_empty(&mut jobs, job);
    }

    /// The job has its transcript, or will never have one.
    pub(super) fn forget(&self, job: JobId) {
        self.lock().remove(&job);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Unfinished>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Jobs that merely wait take up no room.
fn leave_out_empty(jobs: &mut HashMap<JobId, Unfinished>, job: JobId) {
    if jobs.get(&job).is_some_and(|job| job.heard.is_empty() && job.untold.is_empty()) {
        jobs.remove(&job);
    }
}

/// Whether so many bytes more fit for this job. Where they do not, transcripts of other jobs are left out: all that are
/// old, then those of the oldest. What those jobs have paid stays to be told.
fn make_room(jobs: &mut HashMap<JobId, Unfinished>, job: JobId, bytes: usize, now: Instant) -> bool {
    let mut taken: usize = jobs.values().map(|job| job.bytes).sum();
    if taken + bytes <= MOST_BYTES {
        return true;
    }
    if MOST_BYTES < jobs.get(&job).map_or(0, |job| job.bytes) + bytes {
        return false;
    }
    let others = jobs.iter().filter(|(id, other)| **id != job && 0 < other.bytes);
    let mut others: Vec<(Instant, JobId)> = others.map(|(id, other)| (other.since, *id)).collect();
    others.sort_unstable_by_key(|(since, _)| *since);
    for (since, other) in others {
        let is_old = AGE <= now.saturating_duration_since(since);
        if !is_old && taken + bytes <= MOST_BYTES {
            break;
        }
        taken -= forget_transcripts(jobs, other);
    }
    true
}

/// Leaves out the transcripts of a job; how many bytes they took.
fn forget_transcripts(jobs: &mut HashMap<JobId, Unfinished>, job: JobId) -> usize {
    let Some(unfinished) = jobs.get_mut(&job) else { return 0 };
    unfinished.heard.clear();
    let bytes = std::mem::take(&mut unfinished.bytes);
    leave_out_empty(jobs, job);
    bytes
}

/// The place of a job; `None` when too many are remembered.
fn room(jobs: &mut HashMap<JobId, Unfinished>, job: JobId, now: Instant) -> Option<&mut Unfinished> {
    if MOST_JOBS <= jobs.len() {
        jobs.retain(|_, job| now.saturating_duration_since(job.since) < AGE);
    }
    if MOST_JOBS <= jobs.len() && !jobs.contains_key(&job) {
        return None;
    }
    let empty = || Unfinished { heard: HashMap::new(), bytes: 0, untold: Vec::new(), since: now };
    Some(jobs.entry(job).or_insert_with(empty))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(first: &[u8]) -> PieceKey {
        let mut digest = [0; 32];
        digest[..first.len()].copy_from_slice(first);
        PieceKey(digest)
    }

    fn paid(cost_usd: f64) -> Paid {
        Paid { cost_usd, ..Paid::default() }
    }

    #[test]
    fn a_piece_is_known_to_its_job_by_its_content_until_the_job_is_done() {
        let (kept, now) = (Kept::default(), Instant::now());
        let (job, other) = (JobId::mint(), JobId::mint());
        let (piece, later) = (key(b"first"), key(b"second"));
        kept.keep(job, piece, &json!({ "text": "Hola" }), now);

        assert_eq!(kept.heard(job, piece), Some(json!({ "text": "Hola" })));
        assert_eq!((kept.heard(job, later), kept.heard(other, piece)), (None, None));
        kept.forget(job);
        assert_eq!(kept.heard(job, piece), None);
    }

    #[test]
    fn what_was_paid_is_told_once_and_what_cost_nothing_is_forgotten_while_the_job_waits() {
        let (kept, now, job) = (Kept::default(), Instant::now(), JobId::mint());
        kept.owe(job, paid(0.12), now);
        kept.owe(job, paid(0.0), now);

        kept.forget_free(job);

        assert_eq!(kept.untold(job).iter().map(|paid| paid.cost_usd).collect::<Vec<_>>(), [0.12]);
        assert_eq!(kept.untold(job).len(), 0);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for_and_old_jobs_make_room() {
        let (kept, now) = (Kept::default(), Instant::now());
        let (piece, transcript) = (key(b"p"), json!({ "text": "Hola" }));
        let large = json!("x".repeat(MOST_BYTES));
        (0..MOST_JOBS).for_each(|_| kept.owe(JobId::mint(), paid(1.0), now));
        let (late, later) = (JobId::mint(), JobId::mint());

        kept.keep(late, piece, &transcript, now);
        kept.keep(later, piece, &transcript, now + AGE);
        kept.keep(later, key(b"q"), &large, now + AGE);

        assert_eq!(kept.heard(late, piece), None);
        assert_eq!(kept.heard(later, piece), Some(transcript));
        assert_eq!(kept.heard(later, key(b"q")), None);
    }

    #[test]
    fn transcripts_of_old_jobs_make_room_and_then_those_of_the_oldest_without_what_was_paid() {
        let (kept, start, piece) = (Kept::default(), Instant::now(), key(b"p"));
        let [oldest, older, newer, newest] = [(); 4].map(|()| JobId::mint());
        // With its quotation marks, exactly half of the room.
        let half = json!("x".repeat(MOST_BYTES / 2 - 2));
        let after = |seconds| start + Duration::from_secs(seconds);
        let has = |job| kept.heard(job, piece).is_some();
        kept.owe(oldest, paid(0.5), start);
        kept.keep(oldest, piece, &half, start);
        kept.keep(older, piece, &half, after(1));

        kept.keep(newer, piece, &half, after(2));
        assert_eq!((has(oldest), has(older), has(newer)), (false, true, true));
        kept.keep(newest, piece, &json!("Hola"), after(1) + AGE);

        assert_eq!((has(older), has(newer), has(newest)), (false, true, true));
        assert_eq!(kept.untold(oldest).len(), 1);
    }
}
