//! Enqueueing inside a database transaction: the job is a row that is committed with the caller's own rows, or rolled
//! back with them.
//!
//! Nothing here needs Redis. A relay in every worker process moves committed rows on, and a row stays until its job
//! has an outcome, so that even a total loss of Redis loses no job. `docs/transactional-enqueue.md` has the table, what
//! holds, and the same in plain SQL.

use sqlx::{PgConnection, postgres::PgQueryResult};
use uuid::Uuid;

use crate::{
    envelope::MAX_BYTES,
    error::EnqueueError,
    job_id::JobId,
    new_job::{DEFAULT_KEY_WINDOW, NewJob, When},
    producer::{Producer, Receipt, sealed},
};

/// The end of the year 9999 in Unix ms. Later times are cut to it, since a date type may not hold them.
const LATEST_MS: u64 = 253_402_300_799_000;

/// Writes jobs into the outbox table. Costs nothing to make, needs no Redis.
///
/// ```no_run
/// # async fn example(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
/// use flota_producer::{EmailBody, NewJob, Outbox, SendEmail};
///
/// let mut transaction = pool.begin().await?;
/// sqlx::query("UPDATE orders SET state = 'shipped' WHERE id = 42").execute(&mut *transaction).await?;
/// let mail = SendEmail::new("ana@example.com", EmailBody::text("Shipped", "Your order is on its way."));
/// Outbox::default().enqueue_in(&mut transaction, NewJob::new(mail).tenant("acme")).await?;
/// // Now both are true, or neither.
/// transaction.commit().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Outbox {
    max_bytes: usize,
}

/// Why a job is not in the outbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// The job is not valid or too large. Nothing was sent to Postgres, so the transaction can go on.
    #[error(transparent)]
    Job(#[from] EnqueueError),
    /// Postgres refused the row: the transaction has to be rolled back. A missing table is made by `flota db migrate`.
    #[error(
        "the job could not be written into the outbox: roll the transaction back, and see that `flota db migrate` was run in this database"
    )]
    Database(#[source] sqlx::Error),
}

/// One row, as columns of UNNEST.
#[derive(Default)]
struct Rows {
    ids: Vec<Uuid>,
    queues: Vec<String>,
    envelopes: Vec<Vec<u8>>,
    after_ms: Vec<Option<i64>>,
    at_ms: Vec<Option<i64>>,
    windows_ms: Vec<Option<i64>>,
}

impl Default for Outbox {
    /// With the usual limit of 64 KiB for one envelope.
    fn default() -> Self {
        Self { max_bytes: MAX_BYTES }
    }
}

impl Outbox {
    /// Writes one job into the transaction of this connection, with the checks of [`Producer::enqueue`]. The receipt is
    /// worth something once the transaction is committed. Its `deduplicated` is always false: keys are looked at when
    /// the job gets to Redis, and a job that another one stands for is dropped there.
    ///
    /// A delay ([`NewJob::after`]) begins now, by the clock of Postgres, and not at the commit.
    ///
    /// # Errors
    /// See [`OutboxError`].
    pub async fn enqueue_in(
        &self,
        transaction: &mut PgConnection,
        job: NewJob,
    ) -> Result<Receipt, OutboxError> {
        let mut receipts = self.enqueue_all_in(transaction, vec![job]).await?;
        Ok(receipts.pop().expect("one job gives one receipt"))
    }

    /// Writes many jobs with one statement: all of them or, when one is not valid, none.
    ///
    /// # Errors
    /// See [`OutboxError`].
    pub async fn enqueue_all_in(
        &self,
        transaction: &mut PgConnection,
        jobs: Vec<NewJob>,
    ) -> Result<Vec<Receipt>, OutboxError> {
        let mut rows = Rows::default();
        let mut receipts = Vec::with_capacity(jobs.len());
        for job in jobs {
            receipts.push(rows.add(job, self.max_bytes)?);
        }
        if !receipts.is_empty() {
            rows.insert(transaction).await.map_err(OutboxError::Database)?;
        }
        Ok(receipts)
    }
}

impl Producer {
    /// The same as [`Outbox::enqueue_in`], with this producer's limit of bytes. Redis is not asked.
    ///
    /// # Errors
    /// See [`OutboxError`].
    pub async fn enqueue_in(
        &self,
        transaction: &mut PgConnection,
        job: NewJob,
    ) -> Result<Receipt, OutboxError> {
        Outbox { max_bytes: self.max_bytes() }.enqueue_in(transaction, job).await
    }
}

impl Rows {
    fn add(&mut self, job: NewJob, max_bytes: usize) -> Result<Receipt, EnqueueError> {
        let (when, window, queue) = (job.when, job.key_window, job.queue.clone());
        let (envelope, bytes) = sealed(job, max_bytes)?;
        let (after, at) = match when {
            When::Now => (None, None),
            When::After(delay) => (Some(delay.as_millis() as i64), None),
            When::At(unix_ms) => (None, Some(unix_ms.min(LATEST_MS) as i64)),
        };
        let window = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        let usual = DEFAULT_KEY_WINDOW.as_millis() as i64;
        let id = JobId::mint();
        self.ids.push(id.uuid());
        self.queues.push(queue.clone());
        self.envelopes.push(bytes);
        self.after_ms.push(after);
        self.at_ms.push(at);
        self.windows_ms.push((window != usual).then_some(window));
        Ok(Receipt { id, queue, kind: envelope.kind, deduplicated: false })
    }

    async fn insert(self, connection: &mut PgConnection) -> Result<PgQueryResult, sqlx::Error> {
        sqlx::query(include_str!("outbox/insert.sql"))
            .bind(self.ids)
            .bind(self.queues)
            .bind(self.envelopes)
            .bind(self.after_ms)
            .bind(self.at_ms)
            .bind(self.windows_ms)
            .execute(connection)
            .await
    }
}
