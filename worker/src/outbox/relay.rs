//! The loop that moves committed rows into Redis, one in every worker process.
//!
//! Several relays share the work by locks that are not waited for. A queue that is full is left alone for a while and
//! holds nobody else up. When nothing is to be done, one connection listens and one cheap look per second stands behind
//! it.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use flota_producer::{
    BATCH,
    keys::Prefix,
    link::{Link, LinkError},
};
use sqlx::PgPool;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    OutboxError, Pace,
    batch::{Moved, Mover},
    search::Search,
    wake::Wake,
};

/// Shortest time between two looks when nothing was left over, so that many small transactions share one.
const GATHER: Duration = Duration::from_millis(10);
/// Longest time for one pass over the queues: a statement ends after 30 s.
const LONGEST: Duration = Duration::from_secs(120);
/// Waits after a failure or a full queue: doubled from the first to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Moves outbox rows into Redis, and finds those whose jobs Redis has lost.
pub struct Relay {
    pub(super) mover: Mover,
}

/// Queues that had no room, or whose keys Redis refuses to touch: each waits for itself.
#[derive(Default)]
struct Full(HashMap<String, Waiting>);

struct Waiting {
    times: u32,
    until: Instant,
    /// Redis refused the call, and not only jobs.
    refused: bool,
}

/// Failures in a row: how long to wait, and what was told about them.
#[derive(Default)]
pub(super) struct Trouble {
    failures: u32,
    told: Option<String>,
}

impl Relay {
    /// A relay between this database and this Redis, for all queues.
    pub fn new(link: Link, prefix: Prefix, pool: PgPool, pace: Pace) -> Self {
        Self { mover: Mover { link, prefix, pool, pace, announced: Mutex::default() } }
    }

    /// Works until told to stop. Failures delay it and never end it.
    pub async fn run(self, stop: CancellationToken) {
        let search = Search::new(&self.mover);
        tokio::join!(self.forward(&stop), search.run(&stop));
    }

    /// Moves what waits now. Answers how many jobs were sent.
    ///
    /// # Errors
    /// When Redis or Postgres does not answer.
    pub async fn run_once(&self) -> Result<usize, OutboxError> {
        let (mut full, mut sent, mut refused) = (Full::default(), 0, None);
        loop {
            let pass = self.pass(&mut full).await?;
            sent += pass.sent;
            refused = refused.or(pass.refused);
            if !pass.more {
                return refused.map_or(Ok(sent), Err);
            }
        }
    }

    /// Searches once for jobs that Redis has lost, and sends them again. Answers how many.
    ///
    /// # Errors
    /// When Redis or Postgres does not answer.
    pub async fn search_once(&self) -> Result<usize, OutboxError> {
        Search::new(&self.mover).pass().await
    }

    async fn forward(&self, stop: &CancellationToken) {
        let (mut full, mut trouble) = (Full::default(), Trouble::default());
        let mut wake = Wake::new(self.mover.pool.clone());
        while !stop.is_cancelled() {
            let began = Instant::now();
            match answered(self.pass(&mut full)).await {
                Ok(pass) => {
                    match &pass.refused {
                        Some(error) => drop(trouble.met(error)),
                        None if full.some_refused() => {}
                        None => trouble.is_over(),
                    }
                    if pass.more {
                        continue;
                    }
                    let wait = wake.wait(self.mover.pace.poll.min(full.shortest_wait()));
                    stop.run_until_cancelled(wait).await;
                    stop.run_until_cancelled(sleep_until(began + GATHER)).await;
                }
                Err(error) => {
                    let pause = trouble.met(&error);
                    stop.run_until_cancelled(sleep(pause)).await;
                }
            }
        }
    }

    /// One batch of every queue that has something waiting. A queue that Redis refuses to touch (a key of a wrong type)
    /// holds no other one up; without an answer of Redis or Postgres there is nothing to go on with.
    async fn pass(&self, full: &mut Full) -> Result<Pass, OutboxError> {
        let mut pass = Pass::default();
        let queues = sqlx::query_as(include_str!("queues.sql"));
        let queues: Vec<(String, bool)> = queues.fetch_all(&self.mover.pool).await?;
        full.0.retain(|queue, _| queues.iter().any(|(waiting, _)| waiting == queue));
        for (queue, in_order) in queues {
            if full.must_wait(&queue) {
                continue;
            }
            let moved = match self.next_of(&queue, in_order).await {
                Ok(moved) => moved,
                Err(error @ OutboxError::Redis(LinkError::Refused(_))) => {
                    full.met(queue, false, true);
                    pass.refused.get_or_insert(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            pass.sent += moved.sent;
            pass.more |= 0 < moved.lined;
            if 0 < moved.full {
                full.met(queue, 0 < moved.sent, false);
            } else {
                pass.more |= moved.rows == BATCH;
                full.0.remove(&queue);
            }
        }
        Ok(pass)
    }

    /// One batch of a queue, and one of its rows in order.
    async fn next_of(&self, queue: &str, in_order: bool) -> Result<Moved, OutboxError> {
        let moved = self.mover.next_batch(queue).await?;
        if !in_order {
            return Ok(moved);
        }
        let more = self.mover.next_in_order(queue).await?;
        Ok(Moved {
            rows: moved.rows.max(more.rows),
            sent: moved.sent + more.sent,
            full: moved.full + more.full,
            lined: moved.lined,
        })
    }
}

/// What one pass did.
#[derive(Default)]
struct Pass {
    sent: usize,
    /// True when more may be waiting.
    more: bool,
    /// Why Redis refused to touch the first of the queues that it refused.
    refused: Option<OutboxError>,
}

impl Full {
    fn must_wait(&self, queue: &str) -> bool {
        self.0.get(queue).is_some_and(|waiting| Instant::now() < waiting.until)
    }

    fn met(&mut self, queue: String, some_room: bool, refused: bool) {
        let times = self.0.get(&queue).map_or(0, |waiting| waiting.times);
        let times = if some_room { 0 } else { times.saturating_add(1) };
        self.0.insert(queue, Waiting { times, until: Instant::now() + backoff(times), refused });
    }

    fn some_refused(&self) -> bool {
        self.0.values().any(|waiting| waiting.refused)
    }

    fn shortest_wait(&self) -> Duration {
        let now = Instant::now();
        self.0
            .values()
            .map(|waiting| waiting.until.saturating_duration_since(now))
            .min()
            .unwrap_or(Duration::MAX)
    }
}

impl Trouble {
    /// Tells of a failure once, and again when its cause changes. Answers how long to wait.
    pub(super) fn met(&mut self, error: &OutboxError) -> Duration {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        if self.told != cause {
            self.told = cause;
            warn!(
                error = error as &dyn std::error::Error,
                "The outbox stands still: {error}. Its rows wait, and it is tried again"
            );
        }
        let pause = backoff(self.failures);
        self.failures = self.failures.saturating_add(1);
        pause
    }

    pub(super) fn is_over(&mut self) {
        self.failures = 0;
        if self.told.take().is_some() {
            info!("The outbox moves again");
        }
    }
}

/// The work of one pass, or an error when a connection went silent in the middle: it never answers by itself.
pub(super) async fn answered<T>(
    work: impl Future<Output = Result<T, OutboxError>>,
) -> Result<T, OutboxError> {
    let answer = timeout(LONGEST, work).await;
    answer.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into()))
}

fn backoff(failures: u32) -> Duration {
    BACKOFF.0.saturating_mul(2_u32.saturating_pow(failures)).min(BACKOFF.1)
}
