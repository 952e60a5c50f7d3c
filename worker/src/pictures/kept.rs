//! Which pictures of a job have been read, so that a job that comes back for those that met trouble does not pay for the
//! others again.
//!
//! The memory is that of one process, like that of recordings (`transcription/kept.rs`): texts of pictures are personal,
//! and another process reads them again, which costs a fraction of a cent and does no harm.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use flota_producer::JobId;
use serde_json::{Map, Value};

/// How long readings are kept: longer than a job usually waits for its next run.
const AGE: Duration = Duration::from_hours(36);
/// Most jobs that are remembered.
const MOST_JOBS: usize = 10_000;
/// Most readings of one process, in bytes as JSON.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// What was read of pictures of jobs on their way.
#[derive(Debug, Default)]
pub struct ReadPictures(Mutex<Jobs>);

#[derive(Debug, Default)]
struct Jobs {
    jobs: HashMap<JobId, Readings>,
    bytes: usize,
}

#[derive(Debug)]
struct Readings {
    by_place: HashMap<usize, Map<String, Value>>,
    bytes: usize,
    since: Instant,
}

impl ReadPictures {
    /// What an earlier run of the job has read of the picture at this place.
    pub(super) fn of(&self, job: JobId, place: usize) -> Option<Map<String, Value>> {
        self.lock().jobs.get(&job)?.by_place.get(&place).cloned()
    }

    /// A picture was read. When there is no room, it is read again if need be.
    pub(super) fn keep(&self, job: JobId, place: usize, reading: &Map<String, Value>, now: Instant) {
        let bytes = serde_json::to_string(reading).map_or(0, |text| text.len());
        let mut all = self.lock();
        if !all.has_room(job, bytes) {
            all.forget_old(now);
        }
        if !all.has_room(job, bytes) {
            return;
        }
        let none = || Readings { by_place: HashMap::new(), bytes: 0, since: now };
        let readings = all.jobs.entry(job).or_insert_with(none);
        if readings.by_place.insert(place, reading.clone()).is_none() {
            readings.bytes += bytes;
            all.bytes += bytes;
        }
    }

    /// The job has its result.
    pub(super) fn forget(&self, job: JobId) {
        self.lock().forget(job);
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Jobs {
    fn has_room(&self, job: JobId, bytes: usize) -> bool {
        self.bytes + bytes <= MOST_BYTES && (self.jobs.len() < MOST_JOBS || self.jobs.contains_key(&job))
    }

    fn forget(&mut self, job: JobId) {
        if let Some(readings) = self.jobs.remove(&job) {
            self.bytes -= readings.bytes;
        }
    }

    fn forget_old(&mut self, now: Instant) {
        let is_old = |readings: &Readings| AGE <= now.saturating_duration_since(readings.since);
        let old: Vec<JobId> =
            self.jobs.iter().filter(|(_, readings)| is_old(readings)).map(|(job, _)| *job).collect();
        for job in old {
            self.forget(job);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(text: &str) -> Map<String, Value> {
        Map::from_iter([("text".to_owned(), json!(text))])
    }

    #[test]
    fn a_picture_is_known_to_its_job_until_that_has_its_result() {
        let (kept, now) = (ReadPictures::default(), Instant::now());
        let (job, other) = (JobId::mint(), JobId::mint());
        kept.keep(job, 2, &text("hola"), now);

        assert_eq!(kept.of(job, 2), Some(text("hola")));
        assert_eq!((kept.of(job, 1), kept.of(other, 2)), (None, None));

        kept.forget(job);
        assert_eq!((kept.of(job, 2), kept.lock().bytes), (None, 0));
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for_and_what_is_old_makes_room() {
        let (kept, now) = (ReadPictures::default(), Instant::now());
        let large = text(&"x".repeat(MOST_BYTES / 2));
        let (first, late, later) = (JobId::mint(), JobId::mint(), JobId::mint());
        kept.keep(first, 0, &large, now);

        kept.keep(late, 0, &large, now);
        kept.keep(later, 0, &large, now + AGE);

        assert_eq!((kept.of(late, 0), kept.of(first, 0)), (None, None));
        assert!(kept.of(later, 0).is_some());
    }
}
