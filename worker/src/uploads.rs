//! Which files of jobs WhatsApp has already, so that a job that has to wait for its turn does not send its file again.
//!
//! The memory is that of one process: when another one runs the job the next time, it uploads the file again, which costs
//! time and does no harm. WhatsApp keeps a file for 30 days.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use flota_producer::JobId;

/// How long an upload is remembered: longer than a job waits for its next run, and much shorter than WhatsApp keeps it.
const KEPT: Duration = Duration::from_hours(36);
/// Most jobs that are remembered.
const MOST: usize = 10_000;

/// The ids of uploaded files, by job.
#[derive(Debug, Default)]
pub struct Uploads(Mutex<HashMap<JobId, Upload>>);

#[derive(Debug)]
struct Upload {
    id: String,
    since: Instant,
}

impl Upload {
    fn is_old(&self, now: Instant) -> bool {
        KEPT <= now.saturating_duration_since(self.since)
    }
}

impl Uploads {
    /// The id of this job's file at WhatsApp, when an earlier run has uploaded it.
    pub(crate) fn of(&self, job: JobId, now: Instant) -> Option<String> {
        let uploads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.get(&job).filter(|upload| !upload.is_old(now)).map(|upload| upload.id.clone())
    }

    /// The file of this job was uploaded. When too many are remembered, this one is not.
    pub(crate) fn keep(&self, job: JobId, id: &str, now: Instant) {
        let mut uploads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if MOST <= uploads.len() {
            uploads.retain(|_, upload| !upload.is_old(now));
        }
        if uploads.len() < MOST {
            uploads.insert(job, Upload { id: id.to_owned(), since: now });
        }
    }

    /// The message of this job was sent.
    pub(crate) fn forget(&self, job: JobId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_known_to_its_job_until_the_message_is_sent_or_a_day_and_a_half_has_passed() {
        let (uploads, now) = (Uploads::default(), Instant::now());
        let (job, sent, other) = (JobId::mint(), JobId::mint(), JobId::mint());
        uploads.keep(job, "42", now);
        uploads.keep(sent, "43", now);

        uploads.forget(sent);

        assert_eq!(uploads.of(job, now + Duration::from_hours(25)).as_deref(), Some("42"));
        assert_eq!((uploads.of(sent, now), uploads.of(other, now)), (None, None));
        assert_eq!(uploads.of(job, now + KEPT), None);
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for_and_old_ones_make_room() {
        let (uploads, now) = (Uploads::default(), Instant::now());
        let (late, later) = (JobId::mint(), JobId::mint());
        (0..MOST).for_each(|_| uploads.keep(JobId::mint(), "1", now));

        uploads.keep(late, "2", now);
        uploads.keep(later, "3", now + KEPT);

        assert_eq!(uploads.of(late, now), None);
        assert_eq!(uploads.of(later, now + KEPT).as_deref(), Some("3"));
    }
}
