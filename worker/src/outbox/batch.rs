//! One batch of rows of one queue: take them, hand them over, write down what Redis did not take.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use flota_engine::failpoint;
use flota_producer::{
    BATCH, JobId,
    handover::{Handed, Handover, Terms, hand_over},
    keys::{Prefix, QueueKeys, check_queue_name},
    link::{Link, LinkError},
};
use sqlx::{FromRow, PgPool, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{OutboxError, Pace};

/// Held by a relay while it takes rows in order of a queue.
const ONE_AT_A_TIME: &str = "SELECT pg_advisory_xact_lock(hashtextextended('flota outbox line ' || $1, 0))";

/// Moves rows into Redis.
pub(super) struct Mover {
    pub(super) link: Link,
    pub(super) prefix: Prefix,
    pub(super) pool: PgPool,
    pub(super) pace: Pace,
    /// Queues that were put on the list that people see: one without a worker must not be invisible.
    pub(super) announced: Mutex<HashSet<String>>,
}

/// A row that was taken.
pub(super) struct Row {
    id: Uuid,
    envelope: Vec<u8>,
    sends: i32,
    operation: Option<Uuid>,
    key_window_ms: Option<i64>,
    /// Other rows with the same are in order with this one.
    line: Option<String>,
    /// Unix time in seconds; whoever wrote the row may have said anything, even infinity.
    created: f64,
    due_ms: Option<i64>,
}

impl FromRow<'_, PgRow> for Row {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            envelope: row.try_get("envelope")?,
            sends: row.try_get("sends")?,
            operation: row.try_get("operation")?,
            key_window_ms: row.try_get("key_window_ms")?,
            line: row.try_get("line")?,
            created: row.try_get("created")?,
            due_ms: row.try_get("due_ms")?,
        })
    }
}

/// What became of a batch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moved {
    /// Rows that were taken.
    pub(super) rows: usize,
    /// Jobs that Redis has.
    pub(super) sent: usize,
    /// Jobs for which the queue had no room.
    pub(super) full: usize,
    /// Rows that wait again, because they are in order and did not say so.
    pub(super) lined: usize,
}

/// What is to be written about rows of a batch.
#[derive(Default)]
struct Notes {
    ids: Vec<Uuid>,
    sends: Vec<i32>,
    refused: Vec<Option<String>>,
    given_up: Vec<bool>,
    /// Rows in order that Redis has.
    placed: (Vec<Uuid>, Vec<i32>),
    /// Rows that another job stands for.
    dropped: (Vec<Uuid>, Vec<i32>),
    /// Rows in order that do not say in which line.
    lined: (Vec<Uuid>, Vec<i32>, Vec<String>),
}

impl Mover {
    /// Moves the oldest waiting rows of a queue.
    pub(super) async fn next_batch(&self, queue: &str) -> Result<Moved, OutboxError> {
        // Before the rows are taken: from here on the time runs in which they may be sent.
        let not_after = self.not_after().await?;
        let take = sqlx::query_as(include_str!("take.sql")).bind(queue).bind(BATCH as i64);
        let rows: Vec<Row> = take.fetch_all(&self.pool).await?;
        self.hand_over(queue, rows, not_after).await
    }

    /// Moves the oldest waiting rows of a queue that are in order.
    ///
    /// Relays take them one after the other, so that none sees a later row without the earlier one. From then on the rows
    /// themselves keep those behind them back, until Redis is known to have them.
    pub(super) async fn next_in_order(&self, queue: &str) -> Result<Moved, OutboxError> {
        let not_after = self.not_after().await?;
        let mut transaction = self.pool.begin().await?;
        sqlx::query(ONE_AT_A_TIME).bind(queue).execute(&mut *transaction).await?;
        let take = sqlx::query_as(include_str!("take_in_order.sql")).bind(queue).bind(BATCH as i64);
        let rows: Vec<Row> = take.fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        self.hand_over(queue, rows, not_after).await
    }

    /// Writes down that Redis has these rows, each with its `sends`.
    pub(super) async fn placed(&self, ids: Vec<Uuid>, sends: Vec<i32>) -> Result<(), OutboxError> {
        let placed = sqlx::query(include_str!("placed.sql")).bind(ids).bind(sends);
        Ok(placed.execute(&self.pool).await.map(drop)?)
    }

    /// Unix ms by the clock of Redis until which a row that is taken now may be sent.
    pub(super) async fn not_after(&self) -> Result<u64, LinkError> {
        let (seconds, micros): (u64, u64) = self.link.query(&redis::cmd("TIME")).await?;
        Ok(seconds * 1000 + micros / 1000 + (self.pace.lost_after / 2).as_millis() as u64)
    }

    /// Hands taken rows over.
    pub(super) async fn hand_over(
        &self,
        queue: &str,
        mut rows: Vec<Row>,
        not_after: u64,
    ) -> Result<Moved, OutboxError> {
        if rows.is_empty() {
            return Ok(Moved::default());
        }
        rows.sort_unstable_by(|one, other| one.created.total_cmp(&other.created).then(one.id.cmp(&other.id)));
        let mut notes = Notes::default();
        let mut moved = Moved { rows: rows.len(), ..Moved::default() };
        if let Err(error) = check_queue_name(queue) {
            for row in &rows {
                notes.give_up(row, error.to_string());
            }
            return notes.write(self).await.map(|()| moved);
        }
        let keys = self.prefix.queue(queue);
        let (rows, jobs) = readable(rows, &keys, &mut notes);
        moved.lined = notes.lined.0.len();
        failpoint!("relay-taken", crate::chaos::cut_off().into());
        let answer = if jobs.is_empty() {
            Ok(Vec::new())
        } else {
            hand_over(&self.link, &keys, &jobs, not_after).await
        };
        failpoint!("relay-sent", crate::chaos::cut_off().into());
        match &answer {
            Ok(answers) => {
                for (row, answer) in rows.iter().zip(answers) {
                    moved.sent += usize::from(*answer == Handed::Taken);
                    moved.full += usize::from(*answer == Handed::Full);
                    notes.answer(row, answer, queue);
                }
            }
            Err(error) if error.is_certain() => {
                for row in &rows {
                    notes.put_back(row, Some(said(error)));
                }
            }
            // They may be in Redis. The search finds out.
            Err(_) => {}
        }
        notes.write(self).await?;
        failpoint!("relay-noted", crate::chaos::cut_off().into());
        answer?;
        if 0 < moved.sent {
            self.announce(queue).await;
        }
        Ok(moved)
    }

    async fn announce(&self, queue: &str) {
        let announced = || self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        if announced().contains(queue) {
            return;
        }
        // The jobs are in Redis, and that is what counts; the next batch tries again.
        if self.link.query::<()>(redis::cmd("SADD").arg(self.prefix.queues()).arg(queue)).await.is_ok() {
            announced().insert(queue.to_owned());
        }
    }
}

/// The jobs of rows. What cannot be read is noted, and so is what Postgres could not read (a NUL character or half a
/// surrogate pair in the payload is JSON, but no `jsonb`): its row knows no line, and would overtake those before it.
fn readable(rows: Vec<Row>, keys: &QueueKeys, notes: &mut Notes) -> (Vec<Row>, Vec<Handover>) {
    let mut jobs = Vec::with_capacity(rows.len());
    let mut good = Vec::with_capacity(rows.len());
    for mut row in rows {
        let terms = Terms {
            due_ms: row.due_ms.and_then(|ms| u64::try_from(ms).ok()),
            key_window: row.key_window_ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis),
            // A replay carries the key of the job that it repeats, on purpose.
            keyed: row.operation.is_none(),
        };
        match Handover::new(JobId::from(row.id), std::mem::take(&mut row.envelope), &terms, keys) {
            Ok(job) => match job.line() {
                Some(line) if row.line.is_none() => notes.put_in_line(&row, line.to_owned()),
                _ => {
                    jobs.push(job);
                    good.push(row);
                }
            },
            Err(error) => notes.give_up(&row, error.to_string()),
        }
    }
    (good, jobs)
}

/// Why Redis did not take a batch, for people.
fn said(error: &LinkError) -> String {
    if error.is_full() {
        return "Redis is at its maxmemory; it is tried again".to_owned();
    }
    format!("{error}: {}; it is tried again", error.redis())
}

impl Notes {
    fn answer(&mut self, row: &Row, answer: &Handed, queue: &str) {
        match answer {
            Handed::Taken if row.line.is_none() => {}
            Handed::Taken => {
                self.placed.0.push(row.id);
                self.placed.1.push(row.sends);
            }
            Handed::Full => {
                let refused = format!("queue `{queue}` is full (max_len); it is tried again");
                self.put_back(row, Some(refused));
            }
            Handed::Late => self.put_back(row, None),
            Handed::Conflict(first) => {
                let refused = format!("its idempotency key was used for another payload by job {first}");
                self.give_up(row, refused);
            }
            // Somebody waits for the outcome of this very job.
            Handed::StoodFor(holder) if row.operation.is_some() => {
                let refused = format!("job {holder} is alive and holds its unique key");
                self.give_up(row, refused);
            }
            Handed::StoodFor(_) => {
                self.dropped.0.push(row.id);
                self.dropped.1.push(row.sends);
            }
        }
    }

    fn put_in_line(&mut self, row: &Row, line: String) {
        self.lined.0.push(row.id);
        self.lined.1.push(row.sends);
        self.lined.2.push(line);
    }

    fn put_back(&mut self, row: &Row, refused: Option<String>) {
        self.add(row, refused, false);
    }

    fn give_up(&mut self, row: &Row, refused: String) {
        tracing::warn!(job.id = %row.id, "Job {} stays in the outbox: {refused}", row.id);
        self.add(row, Some(refused), true);
    }

    fn add(&mut self, row: &Row, refused: Option<String>, given_up: bool) {
        self.ids.push(row.id);
        self.sends.push(row.sends);
        self.refused.push(refused);
        self.given_up.push(given_up);
    }

    async fn write(self, mover: &Mover) -> Result<(), OutboxError> {
        let pool = &mover.pool;
        if !self.ids.is_empty() {
            let note = sqlx::query(include_str!("note.sql")).bind(self.ids).bind(self.sends);
            note.bind(self.refused).bind(self.given_up).execute(pool).await?;
        }
        let (lined, sends, lines) = self.lined;
        if !lined.is_empty() {
            let line = sqlx::query(include_str!("lined.sql")).bind(lined).bind(sends).bind(lines);
            line.execute(pool).await?;
        }
        let (placed, sends) = self.placed;
        if !placed.is_empty() {
            mover.placed(placed, sends).await?;
        }
        let (dropped, sends) = self.dropped;
        if !dropped.is_empty() {
            let count = dropped.len();
            sqlx::query(include_str!("drop.sql")).bind(dropped).bind(sends).execute(pool).await?;
            tracing::info!(
                "{count} jobs of the outbox were dropped: others with the same key stand for them"
            );
        }
        Ok(())
    }
}
