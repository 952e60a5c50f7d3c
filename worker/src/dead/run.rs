//! Carries an operation out from wherever it stands: at its rate, stage by stage, until it ends or is told to stop.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    operation::{Operation, State, find, pause},
    step,
};

/// Letters in one transaction: enough that the network does not matter, few enough that locks are short.
const BATCH: i64 = 200;
/// How often a limited rate is divided into steps.
const STEPS_PER_SECOND: f64 = 5.0;
/// How often to look whether the replays of a stage have ended.
const LOOK: Duration = Duration::from_millis(200);

/// What is reported on the way.
#[derive(Debug)]
pub enum Told<'a> {
    /// Letters were dealt with.
    Stepped(&'a Operation),
    /// So many replays of the stage have not ended yet.
    Waiting(&'a Operation, i64),
}

/// Works until the operation has ended or somebody stopped it. Answers how it stands then; `None` when there is none.
///
/// `stop` pauses it after the step at hand. Any number of processes may carry out the same operation.
pub async fn carry_out(
    pool: &PgPool,
    id: Uuid,
    actor: &str,
    stop: &CancellationToken,
    mut tell: impl FnMut(Told<'_>),
) -> Result<Option<Operation>, sqlx::Error> {
    let mut due = Instant::now();
    loop {
        if stop.is_cancelled() {
            pause(pool, id, actor).await?;
            return find(pool, id).await;
        }
        let Some((before, waiting)) = step::judge(pool, id).await? else { return Ok(None) };
        let most = room(&before, waiting);
        if before.state != State::Running {
            return Ok(Some(before));
        }
        // While a stage is on its way, the last step decides whether the operation is done.
        if most == 0 || (before.left() == 0 && 0 < waiting) {
            tell(Told::Waiting(&before, waiting));
            tokio::select! { () = sleep(LOOK) => {}, () = stop.cancelled() => {} }
            continue;
        }
        let Some(after) = step::step(pool, id, most).await? else { return Ok(None) };
        tell(Told::Stepped(&after));
        if after.state != State::Running {
            return Ok(Some(after));
        }
        due = due.max(Instant::now() - LOOK) + pause_after(&before, &after);
        tokio::select! { () = sleep_until(due) => {}, () = stop.cancelled() => {} }
    }
}

/// How many letters the next step may take. A stage is filled, and then waited for until the last of it has ended.
fn room(operation: &Operation, waiting: i64) -> i64 {
    let by_rate =
        operation.rate.map_or(BATCH, |rate| ((rate / STEPS_PER_SECOND).ceil() as i64).clamp(1, BATCH));
    let by_stage = operation.stage_size.map_or(BATCH, |size| {
        let filled = operation.queued % i64::from(size);
        if filled == 0 && 0 < waiting { 0 } else { i64::from(size) - filled }
    });
    by_rate.min(by_stage)
}

/// How long the letters of this step take at the operation's rate.
fn pause_after(before: &Operation, after: &Operation) -> Duration {
    let dealt = (before.left() - after.left()).max(0) as f64;
    let longest = Duration::from_secs(3_600);
    after.rate.map_or(Duration::ZERO, |rate| {
        Duration::try_from_secs_f64(dealt / rate).map_or(longest, |pause| pause.min(longest))
    })
}
