//! Everything a story left behind, for the checker: histories, the provider's ledger, rows in Postgres, keys in Redis.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use flota_producer::{JobId, link::Link};
use sqlx::{PgPool, Row, postgres::PgRow};
use uuid::Uuid;

use super::{history::Entry, provider::Effect};

/// One row of `outcomes` or `attempts`.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// The job.
    pub job: JobId,
    /// Number of the run.
    pub run: u32,
    /// Number of the try.
    pub attempt: u32,
    /// How it ended.
    pub status: String,
    /// Class of the error, where there was one.
    pub class: Option<String>,
    /// When, by Redis.
    pub finished_at: DateTime<Utc>,
    /// Which dead letter it repeats.
    pub replay_of: Option<JobId>,
}

/// What a story left behind.
#[derive(Debug, Default)]
pub struct Evidence {
    /// What the processes did.
    pub history: Vec<Entry>,
    /// What happened outside.
    pub effects: Vec<Effect>,
    /// Rows of ended jobs.
    pub outcomes: Vec<RunRow>,
    /// Rows of failed runs.
    pub attempts: Vec<RunRow>,
    /// State of each dead letter.
    pub dead_letters: BTreeMap<JobId, String>,
    /// Rows that are still in the outbox.
    pub outbox: Vec<JobId>,
    /// Keys that are still in Redis, each with how much is in it; without those that may stay.
    pub leftovers: Vec<String>,
    /// What the looks at Redis during the story found wrong (see `conservation.rs`).
    pub unaccounted: Vec<String>,
}

impl Evidence {
    /// Reads what Postgres has.
    pub async fn read_postgres(&mut self, pool: &PgPool) -> Result<(), sqlx::Error> {
        const COLUMNS: &str = "job_id, run, attempt, status, error_class, finished_at, replay_of";
        let rows = |table: &str| format!("SELECT {COLUMNS} FROM {table} ORDER BY finished_at, job_id, run");
        let outcomes = sqlx::query(sqlx::AssertSqlSafe(rows("outcomes"))).fetch_all(pool).await?;
        self.outcomes = outcomes.iter().map(run_row).collect();
        let attempts = sqlx::query(sqlx::AssertSqlSafe(rows("attempts"))).fetch_all(pool).await?;
        self.attempts = attempts.iter().map(run_row).collect();
        let letters = sqlx::query("SELECT job_id, state FROM dead_letters").fetch_all(pool).await?;
        self.dead_letters = letters.iter().map(|row| (row.get::<Uuid, _>(0).into(), row.get(1))).collect();
        let outbox = sqlx::query("SELECT id FROM outbox").fetch_all(pool).await?;
        self.outbox = outbox.iter().map(|row| row.get::<Uuid, _>(0).into()).collect();
        Ok(())
    }

    /// Reads what is still in Redis.
    pub async fn read_redis(&mut self, link: &Link) -> anyhow::Result<()> {
        self.leftovers = super::leftovers::leftovers(link).await?;
        Ok(())
    }
}

fn run_row(row: &PgRow) -> RunRow {
    RunRow {
        job: row.get::<Uuid, _>("job_id").into(),
        run: row.get::<i32, _>("run") as u32,
        attempt: row.get::<i32, _>("attempt") as u32,
        status: row.get("status"),
        class: row.get("error_class"),
        finished_at: row.get("finished_at"),
        replay_of: row.get::<Option<Uuid>, _>("replay_of").map(JobId::from),
    }
}
