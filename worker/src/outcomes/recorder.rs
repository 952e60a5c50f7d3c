//! The loop that keeps history up to date, one per queue and process.
//!
//! Read a batch, write it, remove it: in this order, so that a crash repeats a batch and never drops one, and a
//! repeated batch changes nothing. Every pass begins at the beginning of the stream; what is there is not recorded
//! yet, whoever left it there. Under load two batches are being written while the next one is read, so that neither
//! Postgres nor its disk waits for us. When there is nothing to do, one read waits in Redis.

use std::{sync::Arc, time::Duration};

use flota_producer::{
    keys::QueueKeys,
    link::{Link, LinkError},
};
use sqlx::PgPool;
use tokio::{
    sync::{Mutex, mpsc},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    stream::{BEGINNING, Batch, OutcomeStream, Refusal},
    write::{Writer, Written},
};
use crate::database::DatabaseError;
use crate::http::Pulse;
use crate::telemetry::metrics::OUTCOME_WRITES;

/// Shortest time between two passes: at low rates at most 50 commits a second.
const PACE: Duration = Duration::from_millis(20);
/// How long to leave a queue to another process that is recording it.
const LEAVE: Duration = Duration::from_secs(1);
/// Waits after a failure: doubled from the first to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How long a stopping recorder may take for what is under way and what was settled last.
const GRACE: Duration = Duration::from_secs(3);

/// Carries one queue's records from Redis to Postgres.
pub struct Recorder {
    queue: Arc<str>,
    stream: OutcomeStream,
    /// Each writes one batch at a time.
    writers: [Writer; 2],
    pulse: Arc<Pulse>,
}

/// What one pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Stream entries that were taken out.
    pub entries: u64,
    /// Rows that are new in Postgres.
    pub recorded: u64,
    /// Rows that were there already.
    pub repeated: u64,
    /// Records that were kept aside.
    pub refused: u64,
    /// True when another recorder was writing this queue, so that the rest was left to it.
    pub held_elsewhere: bool,
}

/// Why history is late. Nothing is lost: the records wait in Redis.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The stream cannot be read or shortened.
    #[error("the outcomes of queue {queue} cannot be read from Redis")]
    Redis {
        /// The queue.
        queue: String,
        /// What Redis said.
        #[source]
        source: LinkError,
    },
    /// The rows cannot be written.
    #[error("the outcomes of queue {queue} cannot be written")]
    Postgres {
        /// The queue.
        queue: String,
        /// What Postgres said, and what to do.
        #[source]
        source: DatabaseError,
    },
}

impl Recorder {
    /// A recorder for this queue. It waits for entries on a connection of its own beside `link`.
    pub fn new(link: Link, keys: QueueKeys, queue: impl Into<Arc<str>>, pool: PgPool) -> Self {
        let queue = queue.into();
        let writers = ["", "/2"]
            .map(|lane| Writer::new(pool.clone(), Arc::clone(&queue), format!("{}{lane}", keys.outcomes())));
        Self { queue, stream: OutcomeStream::new(link, &keys), writers, pulse: Arc::default() }
    }

    /// Tells after every pass whether it was answered.
    #[must_use]
    pub fn telling(self, pulse: Arc<Pulse>) -> Self {
        Self { pulse, ..self }
    }

    /// Records until told to stop, and then what was settled last. Failures delay it and never end it.
    pub async fn run(mut self, stop: CancellationToken) {
        let grace = async {
            stop.cancelled().await;
            sleep(GRACE).await;
        };
        tokio::select! {
            () = self.work(&stop) => {}
            // What is under way is rolled back; the records wait for the next recorder.
            () = grace => warn!(
                queue.name = %self.queue,
                "History of queue {} is not up to date: the last records wait in Redis for the next worker", self.queue,
            ),
        }
    }

    /// Records what waits in the stream now, without waiting for more.
    pub async fn run_once(&mut self) -> Result<Progress, RecordError> {
        let (queue, stream) = (&*self.queue, &self.stream);
        let (batches, incoming) = mpsc::channel(1);
        let incoming = Mutex::new(incoming);
        let [one, other] = self.writers.each_mut().map(|writer| write_all(queue, stream, writer, &incoming));
        let (read, one, other) = tokio::join!(read_all(stream, batches), one, other);
        let mut progress = one?;
        progress.add(other?);
        read.map_err(|source| redis(queue, source))?;
        Ok(progress)
    }

    async fn work(&mut self, stop: &CancellationToken) {
        let mut trouble = Trouble::default();
        while !stop.is_cancelled() {
            let began = Instant::now();
            let pause = match self.step(stop).await {
                Ok(progress) => {
                    trouble.is_over(&self.queue, &progress);
                    if progress.held_elsewhere { LEAVE } else { PACE }
                }
                Err(error) => {
                    self.pulse.troubled("record", &self.queue);
                    trouble.met(&self.queue, &error)
                }
            };
            stop.run_until_cancelled(sleep_until(began + pause)).await;
        }
        // What was settled last. A failure here was either told before or is told by the next worker.
        self.run_once().await.ok();
    }

    /// One pass, or the wait for the next entry when there was nothing to do.
    async fn step(&mut self, stop: &CancellationToken) -> Result<Progress, RecordError> {
        let progress = self.run_once().await?;
        self.pulse.answered("record", &self.queue);
        if progress == Progress::default()
            && let Some(waited) = stop.run_until_cancelled(self.stream.wait()).await
        {
            waited.map_err(|source| redis(&self.queue, source))?;
        }
        Ok(progress)
    }
}

/// Reads the stream to its end, or until nobody takes batches any more.
async fn read_all(stream: &OutcomeStream, batches: mpsc::Sender<Batch>) -> Result<(), LinkError> {
    let mut after = BEGINNING.to_owned();
    loop {
        let batch = stream.read(&after).await?;
        let is_last = batch.is_last;
        batch.last().clone_into(&mut after);
        if batch.entries() == 0 || batches.send(batch).await.is_err() || is_last {
            return Ok(());
        }
    }
}

/// Writes one batch after the other, until there is none. When one cannot be written, nobody takes further ones.
async fn write_all(
    queue: &str,
    stream: &OutcomeStream,
    writer: &mut Writer,
    incoming: &Mutex<mpsc::Receiver<Batch>>,
) -> Result<Progress, RecordError> {
    let mut progress = Progress::default();
    loop {
        let Some(batch) = incoming.lock().await.recv().await else { return Ok(progress) };
        let written = record(queue, stream, writer, batch).await;
        if written.as_ref().map_or(true, |written| written.held_elsewhere) {
            incoming.lock().await.close();
        }
        progress.add(written?);
        if progress.held_elsewhere {
            return Ok(progress);
        }
    }
}

/// Writes a batch, then removes it from the stream.
async fn record(
    queue: &str,
    stream: &OutcomeStream,
    writer: &mut Writer,
    mut batch: Batch,
) -> Result<Progress, RecordError> {
    let written = writer.write(batch.rows()).await;
    let written =
        written.map_err(|error| RecordError::Postgres { queue: queue.into(), source: error.into() })?;
    let Written::Done { new, refused: rows } = written else {
        return Ok(Progress { held_elsewhere: true, ..Progress::default() });
    };
    let mut refused = batch.take_unreadable();
    // Before they leave the stream: a row without an outcome would be sent again.
    let ended = refused.iter().filter_map(Refusal::job);
    let forgotten = writer.forget(ended).await;
    forgotten.map_err(|error| RecordError::Postgres { queue: queue.into(), source: error.into() })?;
    let accepted = (batch.rows().len() - rows.len()) as u64;
    refused.extend(rows.into_iter().map(|(row, reason)| batch.refuse(row, reason)));
    stream.remove(&batch, &refused).await.map_err(|source| redis(queue, source))?;
    let progress = Progress {
        entries: batch.entries() as u64,
        recorded: new,
        repeated: accepted - new,
        refused: refused.len() as u64,
        held_elsewhere: false,
    };
    progress.publish(queue);
    if let Some(first) = refused.first() {
        let (count, key) = (refused.len(), stream.refused());
        // Only the reason: a record may hold what does not belong into a log.
        warn!(
            queue.name = queue,
            records = count,
            reason = first.reason(),
            "{count} records of queue {queue} could not become history and are kept: see `LRANGE {key} 0 -1`",
        );
    }
    Ok(progress)
}

fn redis(queue: &str, source: LinkError) -> RecordError {
    RecordError::Redis { queue: queue.to_owned(), source }
}

impl Progress {
    fn add(&mut self, other: Self) {
        self.entries += other.entries;
        self.recorded += other.recorded;
        self.repeated += other.repeated;
        self.refused += other.refused;
        self.held_elsewhere |= other.held_elsewhere;
    }

    fn publish(&self, queue: &str) {
        let results = [("recorded", self.recorded), ("repeated", self.repeated), ("refused", self.refused)];
        for (result, count) in results {
            if 0 < count {
                metrics::counter!(OUTCOME_WRITES, "queue" => queue.to_owned(), "result" => result)
                    .increment(count);
            }
        }
    }
}

/// Failures in a row: how long to wait, and what was told about them.
#[derive(Default)]
struct Trouble {
    failures: u32,
    told: Option<String>,
}

impl Trouble {
    /// Tells of a failure once, and again when its cause changes. Answers how long to wait.
    fn met(&mut self, queue: &str, error: &RecordError) -> Duration {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        if self.told != cause {
            self.told = cause;
            warn!(
                queue.name = queue,
                error = error as &dyn std::error::Error,
                "History of queue {queue} is late: {error}. Jobs go on, their records wait in Redis",
            );
        }
        let pause = backoff(self.failures);
        self.failures = self.failures.saturating_add(1);
        pause
    }

    /// A pass that wrote something ends it; one that found nothing to write proves nothing.
    fn is_over(&mut self, queue: &str, progress: &Progress) {
        self.failures = 0;
        if 0 < progress.entries && self.told.take().is_some() {
            info!(queue.name = queue, "History of queue {queue} is being written again");
        }
    }
}

fn backoff(failures: u32) -> Duration {
    BACKOFF.0.saturating_mul(2_u32.saturating_pow(failures)).min(BACKOFF.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_seconds() {
        let waits: Vec<u128> = [0, 1, 2, 4, 5, 1_000].map(|n| backoff(n).as_millis()).into();

        assert_eq!(waits, [200, 400, 800, 3_200, 5_000, 5_000]);
    }

    #[test]
    fn a_failure_is_told_once_until_its_cause_changes_or_it_is_over() {
        let away = || RecordError::Postgres {
            queue: "email".into(),
            source: DatabaseError::Unreachable(sqlx::Error::PoolTimedOut),
        };
        let mut trouble = Trouble::default();

        trouble.met("email", &away());
        let told = trouble.told.clone();
        trouble.met("email", &away());
        trouble.is_over("email", &Progress::default());

        assert!(told.is_some());
        assert_eq!(trouble.told, told, "an empty pass proves nothing");
        trouble.is_over("email", &Progress { entries: 1, ..Progress::default() });
        assert_eq!(trouble.told, None);
    }
}
