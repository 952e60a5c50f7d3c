//! Hears that rows were committed, or wakes after a while all the same.
//!
//! The trigger on the outbox notifies. That may fail (Postgres away, a pooler in between that does not pass it on) and
//! then costs the length of a poll.

use std::time::Duration;

use sqlx::{PgPool, postgres::PgListener};
use tokio::time::{Instant, sleep};

/// What the trigger in `migrations/0002_outbox.sql` notifies.
const CHANNEL: &str = "flota_outbox";
/// How long to leave it after a listener could not be had.
const RETRY: Duration = Duration::from_secs(10);

pub(super) struct Wake {
    pool: PgPool,
    listener: Option<PgListener>,
    not_before: Option<Instant>,
}

impl Wake {
    pub(super) fn new(pool: PgPool) -> Self {
        Self { pool, listener: None, not_before: None }
    }

    /// Returns when rows were committed since the last call, or after `most`.
    pub(super) async fn wait(&mut self, most: Duration) {
        if self.listener.is_none() && self.not_before.is_none_or(|time| time <= Instant::now()) {
            self.not_before = Some(Instant::now() + RETRY);
            self.listener = listen(&self.pool).await.ok();
            // What was committed before this cannot be heard: look at once.
            return;
        }
        let Some(listener) = &mut self.listener else { return sleep(most).await };
        tokio::select! {
            heard = listener.recv() => match heard {
                // One look serves all that has been heard so far.
                Ok(_) => while listener.next_buffered().is_some() {},
                Err(_) => self.listener = None,
            },
            () = sleep(most) => {}
        }
    }
}

async fn listen(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}
