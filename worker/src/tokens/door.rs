//! Who is let in: a token is looked up in Postgres and then known for [`FRESH`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::constant_time;
use sqlx::{PgPool, Row, postgres::PgRow};

use super::{Grant, TokenText, register};
use crate::database::DatabaseError;

/// How long an answer of Postgres is believed: a revoked token is refused everywhere after this.
pub const FRESH: Duration = Duration::from_secs(5);
/// How long a Postgres that was away is not asked again, so that requests are not all held up by it.
const LEAVE_ALONE: Duration = Duration::from_millis(500);
/// Most tokens that are remembered. Behind a valid checksum anybody may write any secret, so those that nobody knows
/// are remembered too, and everything is forgotten when this is reached.
const MOST: usize = 10_000;

/// Looks tokens up.
pub struct Door {
    pool: Option<PgPool>,
    state: Mutex<State>,
}

type Answer = Result<Arc<Grant>, Refusal>;

#[derive(Default)]
struct State {
    known: HashMap<[u8; 32], (Instant, Answer)>,
    away: Option<Instant>,
}

/// Why nobody is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not written like a token of ours.
    #[error("this is no token of this fleet; it may have been cut or mistyped")]
    Malformed,
    /// It is written like one, and nobody made it.
    #[error("this token is not known here")]
    Unknown,
    /// Its time is over.
    #[error("this token has expired; ask an admin for a new one")]
    Expired,
    /// Somebody took it back.
    #[error("this token has been revoked; ask an admin for a new one")]
    Revoked,
    /// Nobody can say.
    #[error("tokens cannot be checked now, because Postgres does not answer")]
    Away,
}

impl Door {
    /// A door that asks this database; without one nobody is let in.
    pub fn new(pool: Option<PgPool>) -> Self {
        Self { pool, state: Mutex::default() }
    }

    /// What the holder of this token may do.
    ///
    /// # Errors
    /// Why nothing.
    pub async fn open(&self, text: &str) -> Answer {
        let hash = TokenText::parse(text).ok_or(Refusal::Malformed)?.hash();
        if let Some(answer) = self.remembered(&hash) {
            return answer;
        }
        let answer = self.look_up(&hash).await;
        let mut state = self.lock();
        if answer == Err(Refusal::Away) {
            state.away = Some(Instant::now());
            return answer;
        }
        if MOST <= state.known.len() {
            state.known.clear();
        }
        state.known.insert(hash, (Instant::now(), answer.clone()));
        answer
    }

    fn remembered(&self, hash: &[u8; 32]) -> Option<Answer> {
        let state = self.lock();
        if let Some((at, answer)) = state.known.get(hash)
            && at.elapsed() < FRESH
        {
            return Some(answer.clone());
        }
        state.away.is_some_and(|at| at.elapsed() < LEAVE_ALONE).then_some(Err(Refusal::Away))
    }

    async fn look_up(&self, hash: &[u8; 32]) -> Answer {
        let pool = self.pool.as_ref().ok_or(Refusal::Away)?;
        let row = sqlx::query(include_str!("look_up.sql")).bind(hash.to_vec()).fetch_optional(pool).await;
        let row = row.map_err(away)?.ok_or(Refusal::Unknown)?;
        let (grant, use_is_old) = judge(&row, hash).map_err(away)??;
        if use_is_old {
            // Only for people who tidy up; a request does not fail because of it.
            sqlx::query(include_str!("used.sql")).bind(grant.id).execute(pool).await.ok();
        }
        Ok(Arc::new(grant))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a row says; and whether its last use was written down long ago.
fn judge(row: &PgRow, hash: &[u8; 32]) -> Result<Result<(Grant, bool), Refusal>, sqlx::Error> {
    // An index compares as fast as it can; this does not tell by its time where two hashes differ.
    let same = constant_time::verify_slices_are_equal(row.try_get::<&[u8], _>("hash")?, hash).is_ok();
    if !same {
        return Ok(Err(Refusal::Unknown));
    }
    if row.try_get("revoked")? {
        return Ok(Err(Refusal::Revoked));
    }
    if row.try_get("expired")? {
        return Ok(Err(Refusal::Expired));
    }
    let grant = Grant {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        role: register::role(row)?,
        may_see_payloads: row.try_get("may_see_payloads")?,
        tenant: row.try_get("tenant")?,
    };
    Ok(Ok((grant, row.try_get("use_is_old")?)))
}

fn away(error: sqlx::Error) -> Refusal {
    let error = DatabaseError::from(error);
    tracing::warn!(error = &error as &dyn std::error::Error, "A token could not be looked up: {error}");
    Refusal::Away
}
