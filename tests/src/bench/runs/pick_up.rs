//! From just before a job is enqueued until its handler begins, at 50 jobs a second.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{load, one_thread, producers, workers::Workers};
use crate::bench::{
    case::Case,
    ground::{Fsync, Ground},
    metric::Metric,
    payload,
    peers::{Peer, install::Call},
    sample::Readings,
    tally::{TIMED, Tally},
};

/// Between two jobs.
const APART: Duration = Duration::from_millis(20);
/// What a worker has to get ready.
const START: Duration = Duration::from_secs(3);

/// Ours.
pub(super) async fn ours(ground: &Ground, jobs: usize) -> anyhow::Result<Readings> {
    let field = ground.empty(Fsync::EverySecond, true).await?;
    let workers = Workers::ours(&field, 1, load::SLOTS, &[(TIMED, "1".to_owned())]).await?;
    workers.at_work(&field).await?;
    sleep(START).await;
    let producer = load::producer(&field)?;
    let paced = one_thread::perform(async move {
        let mut ticks = interval(APART);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for number in 0..jobs {
            ticks.tick().await;
            producer.enqueue(payload::job(number)).await?;
        }
        Ok(())
    });
    paced.await?;
    let tally = workers.ran(jobs).await?;
    workers.stop().await?;
    readings(tally, jobs)
}

/// A peer's.
pub(super) async fn peer(ground: &Ground, jobs: usize, peer: &Peer, call: &Call) -> anyhow::Result<Readings> {
    let field = ground.empty(Fsync::EverySecond, false).await?;
    let workers = Workers::peer(&field, peer, call, true).await?;
    sleep(START).await;
    producers::enqueue(&field, (peer, call), "paced", jobs, APART.as_millis() as u64).await?;
    let tally = workers.ran(jobs).await?;
    workers.kill().await?;
    readings(tally, jobs)
}

fn readings(tally: Tally, jobs: usize) -> anyhow::Result<Readings> {
    let mut waited = tally.waited_us;
    anyhow::ensure!(waited.len() == jobs, "{} of {jobs} jobs told how long they waited", waited.len());
    waited.sort_unstable();
    let at = |hundredths: usize| waited[(waited.len() * hundredths / 100).min(waited.len() - 1)] as f64 / 1e3;
    Ok(vec![
        (Case::Usual, Metric::PickUpP50Ms, at(50)),
        (Case::Usual, Metric::PickUpP99Ms, at(99)),
        (Case::Usual, Metric::PickUpMaxMs, at(100)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_waiting_times_that_were_seen() {
        let tally = Tally { count: 200, waited_us: (1..=200).rev().collect(), ..Tally::default() };

        let readings = readings(tally, 200).unwrap();

        assert_eq!(readings.map_values(), [0.101, 0.199, 0.2]);
    }

    trait Values {
        fn map_values(self) -> Vec<f64>;
    }

    impl Values for Readings {
        fn map_values(self) -> Vec<f64> {
            self.into_iter().map(|(_, _, value)| value).collect()
        }
    }
}
