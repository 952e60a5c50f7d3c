//! One enqueue after the other, by one caller.

use std::time::Instant;

use super::{load, one_thread, producers};
use crate::bench::{
    case::Case,
    ground::{Fsync, Ground},
    metric::Metric,
    payload,
    peers::{Peer, install::Call},
    sample::Readings,
};

/// Ours.
pub(super) async fn ours(ground: &Ground, jobs: usize) -> anyhow::Result<Readings> {
    let field = ground.empty(Fsync::EverySecond, true).await?;
    let producer = load::producer(&field)?;
    let took = one_thread::perform(async move {
        let began = Instant::now();
        for number in 0..jobs {
            producer.enqueue(payload::job(number)).await?;
        }
        Ok(began.elapsed())
    });
    Ok(vec![(Case::Usual, Metric::SinglePerS, jobs as f64 / took.await?.as_secs_f64())])
}

/// A peer's.
pub(super) async fn peer(ground: &Ground, jobs: usize, peer: &Peer, call: &Call) -> anyhow::Result<Readings> {
    let field = ground.empty(Fsync::EverySecond, false).await?;
    let rate = producers::enqueue(&field, (peer, call), "single", jobs, 0).await?;
    Ok(vec![(Case::Usual, Metric::SinglePerS, rate)])
}
