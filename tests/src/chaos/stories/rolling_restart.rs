//! R11: every worker is replaced again and again under load, as by one deploy after the other: first the new one starts,
//! then the old one gets SIGTERM. Nothing is lost, repeated or charged; a worker that was told to stop starts nothing
//! more and ends in time; what it could not finish restarts elsewhere at once and not after a lease.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep_until};

use crate::{
    chaos::{
        checker::Terms,
        errand::{Step, effect_between, errand},
        history::Entry,
        monotonic::now_ns,
        scene::{Scene, Stage, Told},
        story::Story,
        timeline,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "rolling-restart",
    promise: "R11",
    what: "every worker is replaced each 3 s under load, 4 rounds",
    seeds: 20,
    smoke: true,
    tell: telling!(short),
};

pub(super) const LONG: Story = Story {
    name: "rolling-restart-long",
    promise: "R11",
    what: "every worker is replaced each 5 s under load, 50 rounds",
    seeds: 1,
    smoke: false,
    tell: telling!(long),
};

/// How many workers there are.
const WORKERS: usize = 3;
/// How long a worker may let its jobs finish.
const DRAIN: Duration = Duration::from_millis(500);
/// How much longer its end may take: jobs are told to stop, and the last outcomes go to Postgres.
const END: Duration = Duration::from_secs(3);
/// How long a worker that was told to stop may go on starting what it fetches. The promise is 100 ms, and the rest is
/// for a machine that lets a process wait.
const STARTS_WITHIN: Duration = Duration::from_millis(500);
/// By when a released job runs again.
const RESTARTS_WITHIN: Duration = Duration::from_secs(1);

/// One worker's end.
struct End {
    name: String,
    /// When it was told, in nanoseconds of the monotonic clock.
    told_at: u64,
    took: Duration,
}

async fn short(seed: u64) -> anyhow::Result<Told> {
    tell(seed, 4, Duration::from_secs(3)).await
}

async fn long(seed: u64) -> anyhow::Result<Told> {
    tell(seed, 50, Duration::from_secs(5)).await
}

async fn tell(seed: u64, rounds: usize, pace: Duration) -> anyhow::Result<Told> {
    let mut scene = Scene::open(seed, Stage { drain: DRAIN, ..Stage::default() }).await?;
    scene.workers(WORKERS).await?;
    // Those with an effect end within the drain; the long ones never do and have to move on.
    let quick = scene.load(10, Duration::from_millis(100), effect_between(20, 20))?;
    let slow = scene.load(1, Duration::from_millis(500), errand([Step::Sleep(2_500)]))?;
    let mut ends = Vec::new();
    for _ in 0..rounds {
        let next_round = Instant::now() + pace;
        for place in scene.living() {
            scene.pause_between(0, 200).await;
            scene.another_like(place).await?;
            ends.push(end(&mut scene, place).await?);
        }
        sleep_until(next_round).await;
    }
    quick.stop().await?;
    slow.stop().await?;
    judge(&mut scene, &ends)?;
    let terms = Terms { no_repeats: true, max_attempts: Some(1), ..Terms::default() };
    scene.close(&terms).await
}

/// Tells a worker to stop and waits for its end.
async fn end(scene: &mut Scene, place: usize) -> anyhow::Result<End> {
    let (name, told_at, began) = (scene.workers[place].name.clone(), now_ns(), Instant::now());
    let ended_well = scene.terminate(place).await?;
    let took = began.elapsed();
    ensure!(ended_well, "{name} did not end with 0:\n{}", scene.log(&name));
    ensure!(took <= DRAIN + END, "{name} took {took:.1?} to end, and may drain for {DRAIN:?}");
    Ok(End { name, told_at, took })
}

/// Measures how the workers ended, and insists on what was promised.
fn judge(scene: &mut Scene, ends: &[End]) -> anyhow::Result<()> {
    let history: Vec<Entry> = scene.so_far()?;
    let starts = ends.iter().filter_map(|end| timeline::last_start_after(&history, &end.name, end.told_at));
    let last_start = starts.max().unwrap_or_default();
    let restarts: Vec<Duration> =
        ends.iter().flat_map(|end| timeline::restarts(&history, &end.name)).collect();
    let slowest = restarts.iter().max().copied().unwrap_or_default();
    let longest = ends.iter().map(|end| end.took).max().unwrap_or_default();
    scene.figure("restarts", ends.len());
    scene.figure("released runs", restarts.len());
    scene.figure("slowest released run ran again after", format!("{slowest:.0?}"));
    scene.figure("last start after SIGTERM", format!("{last_start:.0?}"));
    scene.figure("longest end", format!("{longest:.1?}"));
    ensure!(!restarts.is_empty(), "no run was released, so the story proves nothing");
    ensure!(slowest <= RESTARTS_WITHIN, "a released run ran again only after {slowest:.1?}");
    ensure!(last_start <= STARTS_WITHIN, "a worker started a run {last_start:.1?} after SIGTERM");
    let charged = timeline::recovered(&history);
    ensure!(charged == 0, "{charged} leases were left behind and charged to their jobs");
    Ok(())
}
