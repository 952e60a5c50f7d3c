//! The outbox: jobs that were committed to Postgres together with the caller's own rows, on their way into Redis.
//!
//! `relay.rs` is the loop, one in every worker process; `batch.rs` takes rows and hands them over; `search.rs` finds
//! jobs that Redis has lost; `wake.rs` hears of new rows; `standing.rs` tells people how things are. Statements are in
//! the `.sql` files. The recorder (`outcomes/write.rs`) deletes a row when the job has ended.
//!
//! # Each job is sent once
//!
//! A row is *taken* before it is sent: one committed UPDATE sets `sent_at` and raises `sends`. If Redis then says that
//! it did not take the job, the row is put back. If nothing is heard (a lost reply, a killed relay) the row stays
//! taken, and the search below decides; sending again at once could run a job twice that was quick to finish. A relay
//! that was asleep in between cannot do harm either: the enqueue script refuses a call that comes later than half of
//! [`Pace::lost_after`] after the row was taken, by the clock of Redis, and nobody looks at a row before all of that
//! time has passed.
//!
//! # A lost job is sent again, a finished one never
//!
//! A row that was sent a while ago belongs to a job that is alive, has ended, or was lost. The search asks in this
//! order:
//!
//! 1. Redis: the id is not in `jobs`. So the job is not alive. If it has ended, then before now, and its record is in
//!    the outcomes stream or has been there: settle appends the record in the same script that removes the body.
//! 2. Redis: every entry that the stream had *after* step 1 is gone from it. The recorder removes an entry only after
//!    the COMMIT of the transaction that writes its records, and that transaction deletes the outbox rows of jobs that
//!    ended. So if the job has ended, its row is gone by now.
//! 3. Postgres: the row is still there, and its `sends` is what it was before step 1, so nobody has sent it meanwhile.
//!    Therefore the job has not ended: it was lost. The same statement takes the row, and the job is sent with its id.
//!
//! Records that Postgres refuses, or that cannot be read, leave the stream too; the recorder deletes their rows first. What the argument cannot
//! cover is Redis losing the *record* of a finished job, in the moment before it is recorded, and Postgres losing a
//! commit: then the job runs again, as any job does whose worker vanished before it could report.
//!
//! # Jobs in order go to Redis in order
//!
//! Their place in line is the order in which they reach Redis, and relays work side by side. So a row with a line is
//! taken only when every earlier row of that line is *placed*: Redis has said that it has the job. Relays take such rows
//! one after the other (a lock of Postgres, for one short transaction), so that none overlooks an earlier row that
//! another is just taking. A row whose fate is unknown (a lost reply, a killed relay) keeps its line back until the
//! search has found its job alive, ended or lost.

mod batch;
mod relay;
mod search;
mod standing;
mod wake;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use relay::Relay;
pub use standing::{Standing, standing};

use crate::database::DatabaseError;
use flota_producer::link::LinkError;

/// How often things are done. The defaults are right outside of tests.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Longest time between two looks for new rows; nearly always a notification comes first.
    pub poll: Duration,
    /// How old a sent row must be before it is asked whether its job was lost.
    pub lost_after: Duration,
    /// Time between two searches for lost jobs.
    pub search_every: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            lost_after: Duration::from_secs(30),
            search_every: Duration::from_secs(10),
        }
    }
}

/// Why the outbox stands still. Nothing is lost: rows stay until their job has an outcome.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// Postgres brought no answer.
    #[error("the outbox cannot be read or written")]
    Postgres(#[from] DatabaseError),
    /// Redis brought no answer.
    #[error("jobs cannot be put into Redis")]
    Redis(#[from] LinkError),
}

impl From<sqlx::Error> for OutboxError {
    fn from(error: sqlx::Error) -> Self {
        Self::Postgres(error.into())
    }
}
