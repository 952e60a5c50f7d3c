//! The search for jobs that Redis has lost: in no `jobs` hash, without an outcome, and yet with a row here.
//!
//! The order of the questions is what makes the answer right; the header of `outbox.rs` argues why. A search reads
//! every row that was sent a while ago, which is few unless many jobs are put off or wait in line, and rests for ten
//! times as long as it took.

use std::{
    collections::{BTreeMap, HashSet},
    sync::LazyLock,
    time::Duration,
};

use chrono::{DateTime, Utc};
use flota_producer::{
    BATCH, JobId,
    keys::{QueueKeys, check_queue_name},
    link::LinkError,
    script,
};
use redis::Script;
use sqlx::{FromRow, Row, postgres::PgRow};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use super::{
    OutboxError,
    batch::Mover,
    relay::{Trouble, answered},
};
use crate::telemetry::metrics::OUTBOX_RESENT;

/// How long to wait for the recorder to come past a point of the stream, and how often to look.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);
/// A search rests so many times as long as it took.
const REST: u32 = 10;
/// One process searches at a time. The lock is one of the session: a search waits for recorders, queue by queue, and Postgres
/// ends a session that is idle for half a minute inside a transaction.
const LOCK: &str = "SELECT pg_try_advisory_lock(hashtextextended('flota outbox search', 0))";
const UNLOCK: &str = "SELECT pg_advisory_unlock(hashtextextended('flota outbox search', 0))";

static MISSING: LazyLock<Script> = LazyLock::new(|| script("missing", include_str!("missing.lua")));

/// Place of a stream entry: time and number.
type Place = (u64, u64);

pub(super) struct Search<'a> {
    mover: &'a Mover,
}

/// A row whose job should be somewhere.
struct Sent {
    id: Uuid,
    queue: String,
    sends: i32,
    taken: DateTime<Utc>,
    /// Rows behind it in its line wait until Redis is known to have it.
    keeps_others_back: bool,
}

impl FromRow<'_, PgRow> for Sent {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            queue: row.try_get("queue")?,
            sends: row.try_get("sends")?,
            taken: row.try_get("sent_at")?,
            keeps_others_back: row.try_get("keeps_others_back")?,
        })
    }
}

impl<'a> Search<'a> {
    pub(super) fn new(mover: &'a Mover) -> Self {
        Self { mover }
    }

    /// Searches now and then until told to stop.
    pub(super) async fn run(&self, stop: &CancellationToken) {
        let mut trouble = Trouble::default();
        let mut rest = self.mover.pace.search_every;
        while stop.run_until_cancelled(sleep(rest)).await.is_some() {
            let began = Instant::now();
            rest = match answered(self.pass()).await {
                Ok(_) => {
                    trouble.is_over();
                    self.mover.pace.search_every.max(began.elapsed() * REST)
                }
                Err(error) => trouble.met(&error).max(self.mover.pace.search_every),
            };
        }
    }

    /// Looks at every row that was sent long enough ago. Answers how many jobs were sent again.
    pub(super) async fn pass(&self) -> Result<usize, OutboxError> {
        let mut lock = self.mover.pool.acquire().await?;
        if !sqlx::query_scalar::<_, bool>(LOCK).fetch_one(&mut *lock).await? {
            return Ok(0);
        }
        // However the search ends, the lock is given back, at the latest with the session.
        lock.close_on_drop();
        let (mut sent_again, mut after) = (0, (DateTime::<Utc>::UNIX_EPOCH, Uuid::nil()));
        // Queues whose recorder is behind: another search asks again.
        let mut behind = HashSet::new();
        loop {
            let page = sqlx::query_as(include_str!("sent.sql"))
                .bind(self.mover.pace.lost_after.as_millis() as i64)
                .bind(after.0)
                .bind(after.1)
                .bind(BATCH as i64);
            let page: Vec<Sent> = page.fetch_all(&mut *lock).await?;
            let (is_last, Some(last)) = (page.len() < BATCH, page.last()) else { break };
            after = (last.taken, last.id);
            for (queue, rows) in by_queue(page) {
                if behind.contains(&queue) {
                    continue;
                }
                match self.look_for(&queue, rows).await? {
                    Some(count) => sent_again += count,
                    None => drop(behind.insert(queue)),
                }
            }
            if is_last {
                break;
            }
        }
        sqlx::query(UNLOCK).execute(&mut *lock).await?;
        Ok(sent_again)
    }

    /// How many jobs were sent again; `None` when the recorder is too far behind to tell.
    async fn look_for(&self, queue: &str, rows: Vec<Sent>) -> Result<Option<usize>, OutboxError> {
        if check_queue_name(queue).is_err() {
            return Ok(Some(0));
        }
        let keys = self.mover.prefix.queue(queue);
        let (missing, alive) = self.missing(&keys, rows).await?;
        let known = alive.iter().filter(|row| row.keeps_others_back).map(|row| (row.id, row.sends));
        let (ids, sends): (Vec<Uuid>, Vec<i32>) = known.unzip();
        if !ids.is_empty() {
            self.mover.placed(ids, sends).await?;
        }
        if missing.is_empty() {
            return Ok(Some(0));
        }
        if !self.is_recorded(&keys).await? {
            return Ok(None);
        }
        let not_after = self.mover.not_after().await?;
        let (ids, sends): (Vec<Uuid>, Vec<i32>) = missing.iter().map(|row| (row.id, row.sends)).unzip();
        let take = sqlx::query_as(include_str!("take_again.sql")).bind(ids).bind(sends);
        let lost = take.fetch_all(&self.mover.pool).await?;
        let count = lost.len();
        if count == 0 {
            return Ok(Some(0));
        }
        warn!(
            queue.name = queue,
            jobs = count,
            "Redis has lost {count} jobs of queue {queue}: they are sent again from the outbox",
        );
        metrics::counter!(OUTBOX_RESENT, "queue" => queue.to_owned()).increment(count as u64);
        self.mover.hand_over(queue, lost, not_after).await?;
        Ok(Some(count))
    }

    /// The rows whose jobs are not alive, and the others.
    async fn missing(&self, keys: &QueueKeys, rows: Vec<Sent>) -> Result<(Vec<Sent>, Vec<Sent>), LinkError> {
        let mut call = MISSING.key(keys.jobs());
        for row in &rows {
            call.arg(JobId::from(row.id));
        }
        let positions: Vec<usize> = self.mover.link.invoke(&call).await?;
        let mut rows: Vec<Option<Sent>> = rows.into_iter().map(Some).collect();
        let missing = positions.into_iter().filter_map(|position| rows.get_mut(position)?.take()).collect();
        Ok((missing, rows.into_iter().flatten().collect()))
    }

    /// Waits until everything that is in the outcomes stream now has left it; false when that takes too long.
    async fn is_recorded(&self, keys: &QueueKeys) -> Result<bool, LinkError> {
        let Some(newest) = self.entry(keys, "XREVRANGE", ["+", "-"]).await? else { return Ok(true) };
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            match self.entry(keys, "XRANGE", ["-", "+"]).await? {
                Some(oldest) if oldest <= newest => sleep(LOOK).await,
                _ => return Ok(true),
            }
        }
        Ok(false)
    }

    /// The first entry of the stream in this direction.
    async fn entry(
        &self,
        keys: &QueueKeys,
        command: &str,
        range: [&str; 2],
    ) -> Result<Option<Place>, LinkError> {
        let mut command = redis::cmd(command);
        command.arg(keys.outcomes()).arg(&range).arg("COUNT").arg(1);
        let entries: Vec<(String, redis::Value)> = self.mover.link.query(&command).await?;
        // A place that cannot be read counts as the last of all, and then nothing is sent again.
        Ok(entries.first().map(|(id, _)| place(id).unwrap_or((u64::MAX, u64::MAX))))
    }
}

fn place(id: &str) -> Option<Place> {
    let (time, number) = id.split_once('-')?;
    Some((time.parse().ok()?, number.parse().ok()?))
}

fn by_queue(rows: Vec<Sent>) -> BTreeMap<String, Vec<Sent>> {
    let mut queues = BTreeMap::<String, Vec<Sent>>::new();
    for row in rows {
        queues.entry(row.queue.clone()).or_default().push(row);
    }
    queues
}
