//! The Postgres side: one batch, one transaction, and what to do when Postgres refuses it.
//!
//! Usually a plain COPY. A unique violation means that a batch is repeated, because somebody crashed between commit
//! and removal: it goes through a staging table then, and what is there already stays. When the content is refused the
//! batch is halved until the one bad row is found. Everything else is a reason to try again later.
//!
//! The outbox rows of jobs that ended go in the same transaction. Nobody may find a job neither in Redis nor in the
//! outcomes stream, and its row still there: it would be sent again (`outbox.rs`).

use std::{collections::HashSet, ops::Range, sync::Arc, time::Duration};

use chrono::{DateTime, NaiveDate, Utc};
use flota_engine::failpoint;
use flota_producer::JobId;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use tokio::time::timeout;
use uuid::Uuid;

use super::{copy::Filled, lineage, rows::Row};
use crate::database::sqlstate;

/// Partitions are made for a new day and the week behind it, so that midnight finds its partition there.
const DAYS_AHEAD: i32 = 8;
/// Days remembered at most; a backlog of years would otherwise pile up.
const MAX_KNOWN_DAYS: usize = 64;

/// Longest time for a part of a batch. A statement ends after 30 s by itself; a connection that went silent never answers.
const WRITE_TIMEOUT: Duration = Duration::from_secs(45);

/// SQLSTATE of a row that is there already.
const UNIQUE_VIOLATION: &str = "23505";
/// Classes that are about the content: data exceptions, constraints, and limits such as that of an index entry.
const ABOUT_CONTENT: [&str; 3] = ["22", "23", "54"];

/// Writes the rows of one queue.
pub(super) struct Writer {
    pool: PgPool,
    queue: Arc<str>,
    lock: String,
    known_days: HashSet<NaiveDate>,
}

/// What became of a batch.
#[derive(Debug, PartialEq)]
pub(super) enum Written {
    /// Everything that Postgres takes is there.
    Done {
        /// Rows that were not there before.
        new: u64,
        /// Rows that Postgres refuses: their positions, and why.
        refused: Vec<(usize, String)>,
    },
    /// Another recorder is writing this queue. Parts of the batch may be there.
    HeldElsewhere,
}

impl Writer {
    /// A writer for one queue. Two writers with the same `lock` do not write at the same time.
    pub(super) fn new(pool: PgPool, queue: Arc<str>, lock: String) -> Self {
        Self { pool, queue, lock, known_days: HashSet::new() }
    }

    /// Writes the rows, each once however often this is called.
    ///
    /// # Errors
    /// Whatever is not the fault of a row.
    pub(super) async fn write(&mut self, rows: &[Row]) -> Result<Written, sqlx::Error> {
        let (mut new, mut refused, mut suspicious) = (0, Vec::new(), false);
        let mut parts: Vec<Range<usize>> = std::iter::once(0..rows.len()).collect();
        while let Some(part) = parts.pop() {
            let error = match in_time(Box::pin(self.write_part(&rows[part.clone()]))).await {
                Ok(Some(added)) => {
                    new += added;
                    continue;
                }
                Ok(None) => return Ok(Written::HeldElsewhere),
                Err(error) if is_about_content(&error) => error,
                Err(error) => return Err(error),
            };
            if !suspicious {
                // Perhaps no row is to blame, but a partition that somebody dropped: make sure of them once more.
                suspicious = true;
                self.known_days.clear();
                parts.push(part);
            } else if part.len() == 1 {
                // Its record is about to leave the stream without becoming history.
                in_time(forget(&self.pool, &rows[part.clone()])).await?;
                refused.push((part.start, reason(&error)));
            } else {
                let middle = part.start + part.len() / 2;
                parts.push(middle..part.end);
                parts.push(part.start..middle);
            }
        }
        Ok(Written::Done { new, refused })
    }

    /// Deletes the outbox rows of these jobs, which have ended although no row says so.
    ///
    /// # Errors
    /// When Postgres does not answer.
    pub(super) async fn forget(&self, jobs: impl IntoIterator<Item = JobId>) -> Result<(), sqlx::Error> {
        let ended: Vec<Uuid> = jobs.into_iter().map(JobId::uuid).collect();
        if ended.is_empty() {
            return Ok(());
        }
        let ended = sqlx::query(include_str!("ended.sql")).bind(ended).execute(&self.pool);
        in_time(ended).await.map(drop)
    }

    /// How many rows were new; `None` when another recorder is writing.
    async fn write_part(&mut self, rows: &[Row]) -> Result<Option<u64>, sqlx::Error> {
        if rows.is_empty() {
            return Ok(Some(0));
        }
        self.ensure_partitions(rows).await?;
        let tables = Tables::of(rows);
        match self.transact(&tables, Way::Copy).await {
            Err(error) if sqlstate(&error).as_deref() == Some(UNIQUE_VIOLATION) => {
                self.transact(&tables, Way::Stage).await
            }
            answer => answer,
        }
    }

    async fn ensure_partitions(&mut self, rows: &[Row]) -> Result<(), sqlx::Error> {
        let mut last = None;
        for row in rows {
            // What was settled together finished together.
            if last.replace(row.finished_us) == Some(row.finished_us) {
                continue;
            }
            let day = row.day();
            if self.known_days.contains(&day) {
                continue;
            }
            let ensure = sqlx::query("SELECT flota_ensure_partitions($1, $2)").bind(day).bind(DAYS_AHEAD);
            ensure.execute(&self.pool).await?;
            if MAX_KNOWN_DAYS <= self.known_days.len() {
                self.known_days.clear();
            }
            self.known_days.insert(day);
        }
        Ok(())
    }

    async fn transact(&self, tables: &Tables<'_>, way: Way) -> Result<Option<u64>, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        match self.fill(&mut transaction, tables, way).await {
            Ok(Some(new)) => {
                failpoint!("record-written", crate::chaos::cut_off());
                transaction.commit().await?;
                failpoint!("record-committed", crate::chaos::cut_off());
                Ok(Some(new))
            }
            not_written => {
                // At once, because the lock is given back with it. A connection that is gone rolls back by itself.
                transaction.rollback().await.ok();
                not_written
            }
        }
    }

    async fn fill(
        &self,
        transaction: &mut Transaction<'_, Postgres>,
        tables: &Tables<'_>,
        way: Way,
    ) -> Result<Option<u64>, sqlx::Error> {
        // Only saves work: two recorders that write the same rows would both be right.
        let lock = sqlx::query_as(include_str!("lock.sql")).bind(&self.lock);
        let (locked, outbox_in_use): (bool, bool) = lock.fetch_one(&mut **transaction).await?;
        if !locked {
            return Ok(None);
        }
        let new = match way {
            Way::Copy => {
                self.copy(transaction, "outcomes", &tables.outcomes).await?
                    + self.copy(transaction, "attempts", &tables.attempts).await?
            }
            Way::Stage => self.stage(transaction, tables).await?,
        };
        self.bury(transaction, &tables.letters).await?;
        if outbox_in_use {
            forget(&mut **transaction, tables.outcomes.iter().copied()).await?;
        }
        lineage::tell(transaction, &tables.outcomes).await?;
        Ok(Some(new))
    }

    async fn copy(
        &self,
        connection: &mut PgConnection,
        table: &'static str,
        rows: &[&Row],
    ) -> Result<u64, sqlx::Error> {
        if rows.is_empty() {
            return Ok(0);
        }
        let filled = Filled::by(rows);
        let bytes = filled.encode(&self.queue, rows);
        let mut copy = connection.copy_in_raw(&filled.statement(table)).await?;
        copy.send(bytes).await?;
        copy.finish().await
    }

    async fn stage(&self, connection: &mut PgConnection, tables: &Tables<'_>) -> Result<u64, sqlx::Error> {
        sqlx::raw_sql(include_str!("stage.sql")).execute(&mut *connection).await?;
        self.copy(connection, "staged_outcomes", &tables.outcomes).await?;
        self.copy(connection, "staged_attempts", &tables.attempts).await?;
        let mut new = 0;
        for move_over in [
            "INSERT INTO outcomes SELECT * FROM staged_outcomes ON CONFLICT DO NOTHING",
            "INSERT INTO attempts SELECT * FROM staged_attempts ON CONFLICT DO NOTHING",
        ] {
            new += sqlx::raw_sql(move_over).execute(&mut *connection).await?.rows_affected();
        }
        Ok(new)
    }

    async fn bury(&self, connection: &mut PgConnection, rows: &[&Row]) -> Result<(), sqlx::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        fn column<'a, T>(rows: &[&'a Row], of: impl Fn(&'a Row) -> T) -> Vec<T> {
            rows.iter().map(|row| of(row)).collect()
        }
        let letters = || rows.iter().filter_map(|row| row.letter.as_ref());
        let died = |row: &Row| DateTime::<Utc>::from_timestamp_micros(row.finished_us).unwrap_or_default();
        sqlx::query(include_str!("bury.sql"))
            .bind(self.queue.as_ref())
            .bind(column::<Uuid>(rows, |row| row.job))
            .bind(column(rows, |row| row.kind.as_str()))
            .bind(column(rows, |row| row.tenant.as_deref()))
            .bind(column(rows, |row| row.error_class))
            .bind(column(rows, |row| row.code.as_deref()))
            .bind(column(rows, |row| row.error.as_deref()))
            .bind(column(rows, |row| row.attempt))
            .bind(letters().map(|letter| letter.fingerprint.as_str()).collect::<Vec<_>>())
            .bind(letters().map(|letter| letter.envelope.as_slice()).collect::<Vec<_>>())
            .bind(letters().map(|letter| letter.payload.as_deref()).collect::<Vec<_>>())
            .bind(column(rows, died))
            .bind(column(rows, |row| row.replay_of))
            .execute(connection)
            .await
            .map(drop)
    }
}

/// How rows get into their tables.
#[derive(Clone, Copy)]
enum Way {
    /// Straight: fails when one is there already.
    Copy,
    /// Through a staging table: what is there already stays.
    Stage,
}

/// Rows by table, in the order of their keys, which keeps index pages together.
struct Tables<'a> {
    outcomes: Vec<&'a Row>,
    attempts: Vec<&'a Row>,
    letters: Vec<&'a Row>,
}

impl<'a> Tables<'a> {
    fn of(rows: &'a [Row]) -> Self {
        let mut sorted: Vec<&Row> = rows.iter().collect();
        sorted.sort_unstable_by_key(|row| (row.job, row.run));
        let letters = sorted.iter().copied().filter(|row| row.letter.is_some()).collect();
        let (outcomes, attempts) = sorted.into_iter().partition(|row| row.is_final());
        Self { outcomes, attempts, letters }
    }
}

/// Gives it up when it takes too long. A whole batch may take longer: of one that is refused each row is tried alone.
async fn in_time<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let late = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    timeout(WRITE_TIMEOUT, work).await.unwrap_or_else(late)
}

/// Deletes the outbox rows of jobs that have ended.
async fn forget<'a>(
    executor: impl sqlx::PgExecutor<'_>,
    rows: impl IntoIterator<Item = &'a Row>,
) -> Result<(), sqlx::Error> {
    let ended: Vec<Uuid> = rows.into_iter().filter(|row| row.is_final()).map(|row| row.job).collect();
    sqlx::query(include_str!("ended.sql")).bind(ended).execute(executor).await.map(drop)
}

fn is_about_content(error: &sqlx::Error) -> bool {
    match sqlstate(error) {
        Some(code) => ABOUT_CONTENT.contains(&&code[..2]),
        None => matches!(error, sqlx::Error::Encode(_)),
    }
}

/// What Postgres said, for the person who looks at the refused record.
fn reason(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(said) => {
            format!("Postgres refused it: {} ({})", said.message(), sqlstate(error).unwrap_or_default())
        }
        None => format!("it could not be sent to Postgres: {error}"),
    }
}
