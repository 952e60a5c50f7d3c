//! Jobs that take their time: are all slots of a worker busy all the time?

use super::{load::Load, workers::Workers};
use crate::bench::{case::Case, ground::Ground, metric::Metric, payload::SLEEP, sample::Readings};

const SLOTS: usize = 256;
/// How long each job takes, ms.
const TAKES: usize = 100;

/// Runs so many jobs in each slot.
pub(super) async fn run(ground: &Ground, waves: usize) -> anyhow::Result<Readings> {
    let jobs = SLOTS * waves;
    let load = Load { slots: SLOTS, ..Load::of(Case::Slots, jobs) };
    let field = ground.empty(load.fsync, true).await?;
    load.enqueue(&field).await?;
    field.quiet().await?;
    let workers = Workers::ours(&field, 1, SLOTS, &[(SLEEP, TAKES.to_string())]).await?;
    let tally = workers.ran(jobs).await?;
    workers.stop().await?;
    let ideal_ns = (waves * TAKES) as f64 * 1e6;
    let share = ideal_ns / tally.last.saturating_sub(tally.began) as f64;
    Ok(vec![(Case::Slots, Metric::ShareOfIdeal, share)])
}
