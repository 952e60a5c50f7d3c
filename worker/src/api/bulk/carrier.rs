//! Carries bulk operations out in the background of a server.

use std::{collections::HashMap, time::Duration};

use sqlx::{PgConnection, PgPool};
use tokio::{
    sync::mpsc,
    task::{Id, JoinSet},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use crate::{database::DatabaseError, dead};

/// How often to look for operations that nobody holds.
const LOOK: Duration = Duration::from_secs(5);

/// Where operations are handed in.
pub(in crate::api) struct Carrier(mpsc::UnboundedSender<Uuid>);

impl Carrier {
    /// Works in the background until `stop`. What is under way then is taken up by another server, or by the next one.
    pub(in crate::api) fn start(pool: Option<PgPool>, stop: CancellationToken) -> Self {
        let (sender, wanted) = mpsc::unbounded_channel();
        if let Some(pool) = pool {
            tokio::spawn(async move { stop.run_until_cancelled(work(pool, wanted)).await });
        }
        Self(sender)
    }

    /// Asks for this operation to be carried out.
    pub(in crate::api) fn take_up(&self, id: Uuid) {
        // After the end of this server somebody else takes it up.
        self.0.send(id).ok();
    }
}

/// What this server holds. The locks belong to the session of the connection and end with it.
struct Held {
    locks: Option<PgConnection>,
    running: JoinSet<()>,
    /// Which operation each task carries out.
    tasks: HashMap<Id, Uuid>,
}

async fn work(pool: PgPool, mut wanted: mpsc::UnboundedReceiver<Uuid>) {
    let mut held = Held { locks: None, running: JoinSet::new(), tasks: HashMap::new() };
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(id) = wanted.recv() => held.take(&pool, id).await,
            _ = look.tick() => held.look(&pool).await,
            Some(ended) = held.running.join_next_with_id() => {
                let task = match &ended { Ok((task, ())) => *task, Err(error) => error.id() };
                held.let_go(task).await;
            }
            else => return,
        }
    }
}

impl Held {
    /// Takes up what was asked of the API and is carried out by nobody.
    async fn look(&mut self, pool: &PgPool) {
        let open: Result<Vec<Uuid>, _> =
            sqlx::query_scalar(include_str!("unattended.sql")).fetch_all(pool).await;
        match open {
            Ok(open) => {
                for id in open {
                    self.take(pool, id).await;
                }
            }
            Err(error) => tracing::debug!(
                error = &DatabaseError::from(error) as &dyn std::error::Error,
                "Bulk operations cannot be looked for now"
            ),
        }
    }

    async fn take(&mut self, pool: &PgPool, id: Uuid) {
        if self.tasks.values().any(|held| *held == id) {
            return;
        }
        match self.lock(pool, id).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                // The next look finds it again.
                let error = DatabaseError::from(error);
                warn!(error = &error as &dyn std::error::Error, "Operation {id} waits: {error}");
                self.lose();
                return;
            }
        }
        let pool = pool.clone();
        let task = self.running.spawn(async move { carry_out(&pool, id).await });
        self.tasks.insert(task.id(), id);
    }

    async fn lock(&mut self, pool: &PgPool, id: Uuid) -> Result<bool, sqlx::Error> {
        if self.locks.is_none() {
            self.locks = Some(pool.acquire().await?.detach());
        }
        let Some(connection) = &mut self.locks else { return Ok(false) };
        let lock = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 0))");
        lock.bind(format!("flota_bulk:{id}")).fetch_one(connection).await
    }

    /// The connection is gone, and with it every lock: others may take over what was held.
    fn lose(&mut self) {
        self.locks = None;
        self.running.abort_all();
        // Otherwise the end of an aborted task would let go of an operation that has been taken up again since.
        self.tasks.clear();
    }

    async fn let_go(&mut self, task: Id) {
        let Some(id) = self.tasks.remove(&task) else { return };
        let Some(connection) = &mut self.locks else { return };
        let unlock = sqlx::query("SELECT pg_advisory_unlock(hashtextextended($1, 0))");
        if unlock.bind(format!("flota_bulk:{id}")).execute(connection).await.is_err() {
            self.lose();
        }
    }
}

async fn carry_out(pool: &PgPool, id: Uuid) {
    // Never told to stop: a server that ends leaves the operation running, for another one to take up.
    let never = CancellationToken::new();
    match dead::carry_out(pool, id, "api", &never, |_| {}).await {
        Ok(Some(operation)) => info!(
            operation = %id, queued = operation.queued,
            "Operation {id} is {}: {} of {} letters", operation.state.word(), operation.queued, operation.matched
        ),
        Ok(None) => {}
        Err(error) => {
            let error = DatabaseError::from(error);
            warn!(error = &error as &dyn std::error::Error, operation = %id, "Operation {id} was interrupted: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn the_end_of_what_was_lost_does_not_let_go_of_what_was_taken_up_again() {
        let id = Uuid::now_v7();
        let mut held = Held { locks: None, running: JoinSet::new(), tasks: HashMap::new() };
        let lost = held.running.spawn(pending()).id();
        held.tasks.insert(lost, id);

        held.lose();
        let again = held.running.spawn(pending()).id();
        held.tasks.insert(again, id);
        let ended = held.running.join_next_with_id().await.unwrap().unwrap_err();
        held.let_go(ended.id()).await;

        assert_eq!(ended.id(), lost);
        assert_eq!(held.tasks, HashMap::from([(again, id)]));
    }
}
