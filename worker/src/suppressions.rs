//! Who is not written to any more, whatever a job says.
//!
//! 1. `address.rs`: one form for each address
//! 2. `table.rs`: the list in Postgres, shared by the fleet
//! 3. here: the copy that each worker keeps in memory and asks before it calls a provider
//!
//! The copy holds 16 bytes of hash per address, about 30 MB for a million. It hears of changes within [`PERIOD`]. While
//! Postgres is away it goes on with what it knows: nobody can add to the list then either. A worker waits with its first
//! messages until it has tried to read the list; one that starts while Postgres is away knows of nobody until Postgres is
//! back, and says so: work may not wait for history.

mod address;
mod table;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use aws_lc_rs::digest::{SHA256, digest};
use futures_util::{StreamExt, TryStreamExt};
use sqlx::{PgPool, Row, postgres::PgRow};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, info, warn};

pub use self::{
    address::{Channel, NotAnAddress, normal},
    table::{Suppression, Wanted, add, list, remove},
};
use crate::failure::chain;

/// How often a copy asks for changes: an address that is put on the list is left alone everywhere after this time.
pub const PERIOD: Duration = Duration::from_secs(5);
/// A copy that has heard nothing for longer reads everything anew: rows that were removed are kept for a day only.
const TOO_OLD: Duration = Duration::from_hours(1);

/// Why nothing can be said about an address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the suppression list is being read from Postgres, so nothing is sent yet")]
pub struct NotReadYet;

/// The copy of a process. Cheap to clone.
#[derive(Clone)]
pub struct Suppressions {
    copy: Arc<RwLock<Copy>>,
    /// Where additions go; `None` keeps them in memory.
    pool: Option<PgPool>,
    /// Ends the task that follows the table, with the last clone.
    _follows: Option<Arc<DropGuard>>,
}

#[derive(Default)]
struct Copy {
    marks: HashSet<u128>,
    is_tried: bool,
}

impl Suppressions {
    /// A list without entries and without Postgres, for tools and tests.
    pub fn empty() -> Self {
        let copy = Copy { is_tried: true, ..Copy::default() };
        Self { copy: Arc::new(RwLock::new(copy)), pool: None, _follows: None }
    }

    /// A copy that follows the table from now on.
    pub fn following(pool: PgPool) -> Self {
        let (copy, end) = (Arc::<RwLock<Copy>>::default(), CancellationToken::new());
        let follower = Follower { pool: pool.clone(), copy: Arc::clone(&copy), horizon: None };
        tokio::spawn(end.clone().run_until_cancelled_owned(follower.follow()));
        Self { copy, pool: Some(pool), _follows: Some(Arc::new(end.drop_guard())) }
    }

    /// Whether this address is not to be written to on behalf of this tenant. What is no address of the channel is not
    /// on the list; its provider will say what is wrong with it.
    ///
    /// # Errors
    /// While the list has not been read.
    pub fn holds(&self, channel: Channel, tenant: Option<&str>, address: &str) -> Result<bool, NotReadYet> {
        let copy = self.copy.read().unwrap_or_else(PoisonError::into_inner);
        if !copy.is_tried {
            return Err(NotReadYet);
        }
        let Ok(address) = normal(channel, address) else { return Ok(false) };
        let for_everybody = copy.marks.contains(&mark(channel.name(), "", &address));
        Ok(for_everybody
            || tenant.is_some_and(|tenant| copy.marks.contains(&mark(channel.name(), tenant, &address))))
    }

    /// Puts an address on the list because a provider said that it must not, or cannot, be written to. The job has ended
    /// either way, so a Postgres that is away is told in the log: the next message will find out again.
    pub async fn learn(
        &self,
        channel: Channel,
        tenant: Option<&str>,
        address: &str,
        reason: &str,
        provider: &str,
    ) {
        let Ok(address) = normal(channel, address) else { return };
        self.write().marks.insert(mark(channel.name(), tenant.unwrap_or_default(), &address));
        let Some(pool) = &self.pool else { return };
        match add(pool, (channel, tenant), &[address], reason, provider).await {
            Ok(_) => info!(
                service = provider,
                channel = channel.name(),
                "An address is on the suppression list now: {reason}"
            ),
            Err(error) => warn!(
                service = provider,
                channel = channel.name(),
                "An address could not be put on the suppression list ({reason}): {}",
                chain(&error)
            ),
        }
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Copy> {
        self.copy.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is kept of an entry. Two of them are never equal by chance within the life of a fleet.
fn mark(channel: &str, tenant: &str, address: &str) -> u128 {
    let hash = digest(&SHA256, format!("{channel}\0{tenant}\0{address}").as_bytes());
    let mut first = [0; 16];
    first.copy_from_slice(&hash.as_ref()[..16]);
    u128::from_ne_bytes(first)
}

/// Keeps a copy up to date.
struct Follower {
    pool: PgPool,
    copy: Arc<RwLock<Copy>>,
    /// What was still open when the table was read last, and when that was.
    horizon: Option<(String, Instant)>,
}

impl Follower {
    async fn follow(mut self) {
        let mut is_away = false;
        loop {
            match self.read().await {
                Ok(()) => is_away = false,
                Err(error) if is_away => debug!("The suppression list cannot be read: {}", chain(&error)),
                Err(error) => {
                    is_away = true;
                    self.copy.write().unwrap_or_else(PoisonError::into_inner).is_tried = true;
                    warn!(
                        "The suppression list cannot be read; what is known of it holds: {}",
                        chain(&error)
                    );
                }
            }
            sleep(PERIOD).await;
        }
    }

    /// Everything at first, later what changed.
    async fn read(&mut self) -> Result<(), sqlx::Error> {
        let now = Instant::now();
        // Asked before reading: what is committed in between is read twice rather than never.
        let next: String =
            sqlx::query_scalar(include_str!("suppressions/horizon.sql")).fetch_one(&self.pool).await?;
        match self.horizon.as_ref().filter(|(_, at)| at.elapsed() < TOO_OLD) {
            None => {
                let rows = sqlx::query(include_str!("suppressions/all.sql")).fetch(&self.pool);
                let marks = rows.map(|row| Ok::<_, sqlx::Error>(entry(&row?)?.0)).try_collect().await?;
                *self.copy.write().unwrap_or_else(PoisonError::into_inner) = Copy { marks, is_tried: true };
            }
            Some((since, _)) => {
                let query = sqlx::query(include_str!("suppressions/changed.sql")).bind(since);
                self.apply(&query.fetch_all(&self.pool).await?)?;
            }
        }
        self.horizon = Some((next, now));
        Ok(())
    }

    fn apply(&self, rows: &[PgRow]) -> Result<(), sqlx::Error> {
        let changes = rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        let mut copy = self.copy.write().unwrap_or_else(PoisonError::into_inner);
        for (mark, removed) in changes {
            if removed {
                copy.marks.remove(&mark)
            } else {
                copy.marks.insert(mark)
            };
        }
        Ok(())
    }
}

fn entry(row: &PgRow) -> Result<(u128, bool), sqlx::Error> {
    let (channel, tenant, address) =
        (row.try_get("channel")?, row.try_get("tenant")?, row.try_get("address")?);
    Ok((mark(channel, tenant, address), row.try_get("removed")?))
}
