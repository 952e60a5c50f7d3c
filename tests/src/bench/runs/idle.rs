//! A worker with nothing to do: its CPU and memory, and what it makes Redis do.

use std::time::Duration;

use tokio::time::sleep;

use super::workers::Workers;
use crate::bench::{
    case::Case,
    ground::{Field, Fsync, Ground},
    metric::Metric,
    peers::{Peer, install::Call},
    sample::Readings,
};

/// What a worker has to get ready before it is looked at.
const START: Duration = Duration::from_secs(5);

/// The program as people run it, with six queues.
pub(super) async fn ours(ground: &Ground, secs: u64) -> anyhow::Result<Readings> {
    let field = ground.empty(Fsync::EverySecond, true).await?;
    let workers = Workers::as_installed(&field).await?;
    workers.at_work(&field).await?;
    let readings = watch(&field, &workers, Duration::from_secs(secs)).await?;
    workers.stop().await?;
    Ok(readings)
}

/// A peer's.
pub(super) async fn peer(ground: &Ground, secs: u64, peer: &Peer, call: &Call) -> anyhow::Result<Readings> {
    let field = ground.empty(Fsync::EverySecond, false).await?;
    let workers = Workers::peer(&field, peer, call, false).await?;
    let readings = watch(&field, &workers, Duration::from_secs(secs)).await?;
    workers.kill().await?;
    Ok(readings)
}

async fn watch(field: &Field<'_>, workers: &Workers, length: Duration) -> anyhow::Result<Readings> {
    sleep(START.min(length)).await;
    let (cpu, redis) = (workers.cpu(), field.redis_cpu().await?);
    sleep(length).await;
    let percent = |used: Duration| 100.0 * used.as_secs_f64() / length.as_secs_f64();
    let resident = workers.resident_mb();
    anyhow::ensure!(0.0 < resident, "the worker has ended");
    Ok(vec![
        (Case::Usual, Metric::IdleCpuPercent, percent(workers.cpu().saturating_sub(cpu))),
        (Case::Usual, Metric::IdleRedisPercent, percent(field.redis_cpu().await?.saturating_sub(redis))),
        (Case::Usual, Metric::IdleRssMb, resident),
    ])
}
