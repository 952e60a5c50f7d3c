//! Retention: history has an end.
//!
//! Once an hour one worker makes the partitions of the days ahead, drops those that are old enough, and removes dead
//! letters that somebody has decided on long ago. Writers are never locked out: a partition is detached concurrently
//! before it is dropped, and whatever cannot be locked at once waits for the next hour. Nothing vanishes silently: each
//! partition and each dead letter that goes is counted, logged, and leaves a row in the audit log.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgExecutor, PgPool};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    audit::{self, Deed},
    clock::now,
    database::DatabaseError,
    failure::chain,
    telemetry::metrics::HISTORY_REMOVED,
};

/// How often a process looks whether there is something to do.
const EVERY: Duration = Duration::from_hours(1);
/// Partitions are made for today and the week ahead.
const DAYS_AHEAD: i32 = 8;
/// Longest wait for a lock. Who waits for a lock makes others wait.
const LOCK_TIMEOUT: &str = "2s";
/// Most dead letters that one statement removes.
const LETTERS: i64 = 1_000;
/// Whom the audit log names.
const ACTOR: &str = "retention";

/// How old what may get; `None` for any age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ages {
    /// Rows of ended jobs, by the day on which they ended.
    pub outcomes: Option<Duration>,
    /// Rows of failed runs, by their day.
    pub attempts: Option<Duration>,
    /// Dead letters that were replayed or discarded, since then.
    pub dead_letters: Option<Duration>,
    /// Dead letters that nobody has decided on, since they died.
    pub waiting_dead_letters: Option<Duration>,
}

impl Default for Ages {
    fn default() -> Self {
        let days = |days: u64| Some(Duration::from_hours(days * 24));
        Self { outcomes: days(90), attempts: days(30), dead_letters: days(365), waiting_dead_letters: None }
    }
}

/// What one pass did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Partitions that were made ahead.
    pub made: i32,
    /// Names of partitions that were dropped.
    pub dropped: Vec<String>,
    /// Partitions that are old enough and could not be locked; the next pass tries again.
    pub busy: Vec<String>,
    /// Dead letters that were removed.
    pub dead_letters: u64,
}

/// Makes the partitions of this day and the week ahead, so that no batch of history has to. Answers how many were missing.
///
/// # Errors
/// When Postgres does not answer, or has no tables yet.
pub async fn make_days(executor: impl PgExecutor<'_>, now: DateTime<Utc>) -> Result<i32, DatabaseError> {
    let ahead = sqlx::query_scalar(include_str!("retention/ahead.sql"));
    // Small, wherever it is waited for.
    Ok(Box::pin(ahead.bind(now.date_naive()).bind(DAYS_AHEAD).fetch_one(executor)).await?)
}

/// Keeps history as long as it should be kept, in one process.
pub struct Retention {
    pool: PgPool,
    ages: Ages,
}

impl Retention {
    /// Keeps history in this database.
    pub fn new(pool: PgPool, ages: Ages) -> Self {
        Self { pool, ages }
    }

    /// Works once an hour until told to stop. Failures delay it and never end it.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let pass = stop.run_until_cancelled(self.once(now())).await;
            if let Some(Err(error)) = pass {
                warn!("History is not cleaned up now, and again in an hour: {}", chain(&error));
            }
            // Not all processes at the same moment.
            let pause = EVERY.mul_f64(0.9 + 0.2 * rand::random::<f64>());
            stop.run_until_cancelled(sleep(pause)).await;
        }
    }

    /// One pass at this time. `None` when another process is at it.
    ///
    /// # Errors
    /// When Postgres does not answer. What was done until then stays done.
    pub async fn once(&self, now: DateTime<Utc>) -> Result<Option<Removed>, DatabaseError> {
        // A connection of its own: the lock lives as long as the session, and detaching may wait for old readers.
        let options = self.pool.connect_options().as_ref().clone();
        let options = options.options([("statement_timeout", "10min"), ("lock_timeout", LOCK_TIMEOUT)]);
        let mut connection = options.connect().await?;
        let mine = sqlx::query_scalar(include_str!("retention/lock.sql")).fetch_one(&mut connection).await?;
        let removed = if mine { Some(self.pass(&mut connection, now).await?) } else { None };
        // Everything is committed: how the connection ends changes nothing.
        connection.close().await.ok();
        Ok(removed)
    }

    async fn pass(
        &self,
        connection: &mut PgConnection,
        now: DateTime<Utc>,
    ) -> Result<Removed, DatabaseError> {
        let made = make_days(&mut *connection, now).await?;
        let mut removed = Removed { made, ..Removed::default() };
        for (parent, age) in [("outcomes", self.ages.outcomes), ("attempts", self.ages.attempts)] {
            let Some(age) = age else { continue };
            self.drop_old(connection, parent, oldest_kept(now, age), &mut removed).await?;
        }
        let since = |age: Option<Duration>| age.and_then(|age| now.checked_sub_signed(delta(age)));
        removed.dead_letters += self
            .letters(connection, include_str!("retention/decided.sql"), since(self.ages.dead_letters))
            .await?;
        removed.dead_letters += self
            .letters(connection, include_str!("retention/waiting.sql"), since(self.ages.waiting_dead_letters))
            .await?;
        Ok(removed)
    }

    async fn drop_old(
        &self,
        connection: &mut PgConnection,
        parent: &str,
        first_kept: NaiveDate,
        removed: &mut Removed,
    ) -> Result<(), DatabaseError> {
        let old = sqlx::query_as(include_str!("retention/old.sql"));
        let old: Vec<(String, bool, bool, i64, i64)> =
            old.bind(parent).bind(first_kept).fetch_all(&mut *connection).await?;
        for (name, attached, pending, rows, bytes) in old {
            let partition = Old { name, attached, pending, rows, bytes };
            match drop_one(connection, parent, &partition).await {
                Ok(()) => {
                    self.tell_dropped(parent, &partition).await?;
                    removed.dropped.push(partition.name);
                }
                // Somebody reads it for longer than we wait: nobody else should have to.
                Err(error) if is_busy(&error) => removed.busy.push(partition.name),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn tell_dropped(&self, parent: &str, partition: &Old) -> Result<(), DatabaseError> {
        info!("Dropped {}, which was older than history is kept", partition.name);
        metrics::counter!(HISTORY_REMOVED, "what" => parent.to_owned()).increment(1);
        let detail = json!({ "rows": partition.rows, "bytes": partition.bytes });
        let deed =
            Deed { actor: ACTOR, action: "retention.drop", subject: &partition.name, tenant: None, detail };
        Ok(audit::write(&self.pool, &deed).await?)
    }

    /// Removes letters in small statements; each leaves its audit row in the same one.
    async fn letters(
        &self,
        connection: &mut PgConnection,
        sql: &'static str,
        before: Option<DateTime<Utc>>,
    ) -> Result<u64, DatabaseError> {
        let Some(before) = before else { return Ok(0) };
        let mut all = 0;
        loop {
            let done =
                sqlx::query(sql).bind(before).bind(LETTERS).bind(ACTOR).execute(&mut *connection).await?;
            let count = done.rows_affected();
            all += count;
            if 0 < count {
                info!(count, "Removed {count} dead letters that were older than they are kept");
                metrics::counter!(HISTORY_REMOVED, "what" => "dead_letters").increment(count);
            }
            if count < LETTERS as u64 {
                return Ok(all);
            }
        }
    }
}

/// A partition that is old enough.
#[derive(Debug)]
struct Old {
    name: String,
    attached: bool,
    /// A detach that was interrupted.
    pending: bool,
    /// As the planner estimates.
    rows: i64,
    bytes: i64,
}

/// Detaches without locking anybody out, and drops what is then a table that nobody uses. An interrupted detach is
/// finished first.
async fn drop_one(connection: &mut PgConnection, parent: &str, old: &Old) -> Result<(), sqlx::Error> {
    // Both names come from the catalogue, and have passed a pattern there.
    let name = &old.name;
    if old.attached {
        let how = if old.pending { "FINALIZE" } else { "CONCURRENTLY" };
        let detach = format!("ALTER TABLE {parent} DETACH PARTITION {name} {how}");
        sqlx::raw_sql(AssertSqlSafe(detach)).execute(&mut *connection).await?;
    }
    sqlx::raw_sql(AssertSqlSafe(format!("DROP TABLE {name}"))).execute(&mut *connection).await?;
    Ok(())
}

/// A lock that was not to be had in time, or a statement that took too long.
fn is_busy(error: &sqlx::Error) -> bool {
    crate::database::sqlstate(error).is_some_and(|code| matches!(code.as_str(), "55P03" | "57014"))
}

/// The first day that is kept: a day goes when all of it is older than `age`.
fn oldest_kept(now: DateTime<Utc>, age: Duration) -> NaiveDate {
    now.checked_sub_signed(delta(age)).map_or(NaiveDate::MIN, |time| time.date_naive())
}

fn delta(age: Duration) -> TimeDelta {
    TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX)
}

/// The partitions of one table, for `flota db status`.
#[derive(Debug, Clone, Serialize)]
pub struct PartitionRow {
    /// The partitioned table, or a table without partitions.
    pub table: String,
    /// The partition.
    pub partition: String,
    /// As the planner estimates; -1 when it never looked.
    pub rows: i64,
    /// With indexes.
    pub bytes: i64,
}

/// Tables and partitions with their sizes, newest first.
///
/// # Errors
/// When Postgres does not answer, or has no tables yet.
pub async fn partitions(pool: &PgPool) -> Result<Vec<PartitionRow>, DatabaseError> {
    let rows = sqlx::query_as(include_str!("retention/partitions.sql")).fetch_all(pool).await?;
    let row = |(table, partition, rows, bytes): (String, String, i64, i64)| PartitionRow {
        table,
        partition,
        rows,
        bytes,
    };
    Ok(rows.into_iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_goes_when_all_of_it_is_old_enough() {
        let now = "2026-11-21T18:30:00Z".parse().unwrap();

        let day = |days: u64| oldest_kept(now, Duration::from_hours(days * 24)).to_string();

        assert_eq!([day(1), day(30)], ["2026-11-20", "2026-10-22"]);
    }
}
