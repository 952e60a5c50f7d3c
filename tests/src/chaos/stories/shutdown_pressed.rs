//! R11 where things go wrong on top: SIGTERM twice, SIGTERM while Redis is away, SIGTERM and then SIGKILL a second later.
//! The process ends in time and with 0 each time (unless it is killed), no job is lost, and no try is charged.

use std::time::Duration;

use anyhow::ensure;
use rand::{RngExt, seq::SliceRandom};
use tokio::time::{Instant, sleep};

use crate::{
    chaos::{
        checker::Terms,
        errand::{Step, effect_between, errand},
        history::EVERYTHING,
        scene::{Scene, Stage, Told},
        story::Story,
        timeline,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "shutdown-pressed",
    promise: "R11",
    what: "workers get SIGTERM twice, SIGTERM while Redis is away, and SIGKILL a second after SIGTERM",
    seeds: 5,
    smoke: false,
    tell: telling!(tell),
};

/// How long a worker may drain.
const DRAIN: Duration = Duration::from_secs(6);
/// How much longer it may take until it has ended.
const END: Duration = Duration::from_secs(2);
/// By when a worker that was told twice has ended, long before its drain is over.
const AT_ONCE: Duration = Duration::from_secs(3);
/// By when a released job runs again.
const RESTARTS_WITHIN: Duration = Duration::from_secs(1);

/// What comes on top of SIGTERM.
#[derive(Debug, Clone, Copy)]
enum Pressure {
    /// SIGTERM once more.
    Twice,
    /// Redis is not there.
    WithoutRedis,
    /// SIGKILL.
    ThenKilled,
}

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let stage = Stage { drain: DRAIN, ..Stage::default() };
    let terms =
        Terms { max_attempts: Some(1), picked_up_within: Some(stage.picked_up_within()), ..Terms::default() };
    let mut scene = Scene::open(seed, stage).await?;
    let mut pressures = [Pressure::Twice, Pressure::WithoutRedis, Pressure::ThenKilled];
    pressures.shuffle(&mut scene.rng);
    scene.workers(2).await?;
    let quick = scene.load(2, Duration::from_millis(50), effect_between(10, 10))?;
    // Longer than any drain, without an effect that could be repeated.
    scene.enqueue_many(8, &errand([Step::Sleep(10_000), Step::Effect])).await;
    scene.wait_for_running(8, Duration::from_secs(10)).await?;
    for pressure in pressures {
        let victim = scene.any_worker()?;
        scene.another_like(victim).await?;
        scene.pause_between(0, 500).await;
        match pressure {
            Pressure::Twice => told_twice(&mut scene, victim).await?,
            Pressure::WithoutRedis => told_without_redis(&mut scene, victim).await?,
            Pressure::ThenKilled => told_and_killed(&mut scene, victim).await?,
        }
    }
    quick.stop().await?;
    scene.close(&terms).await
}

async fn told_twice(scene: &mut Scene, victim: usize) -> anyhow::Result<()> {
    let name = scene.workers[victim].name.clone();
    let before = timeline::recovered(&scene.so_far()?);
    scene.signal(victim, "TERM").await?;
    scene.pause_between(100, 1_000).await;
    let (took, well) = ended(scene, victim).await?;
    ensure!(well, "{name} was told twice and did not end with 0:\n{}", scene.log(&name));
    ensure!(took <= AT_ONCE, "{name} was told twice and took {took:.1?} to end");
    sleep(RESTARTS_WITHIN).await;
    let history = scene.so_far()?;
    let slowest = timeline::restarts(&history, &name).into_iter().max().unwrap_or_default();
    scene.figure("told twice: ended after", format!("{took:.1?}"));
    scene.figure("told twice: slowest released run ran again after", format!("{slowest:.0?}"));
    ensure!(slowest <= RESTARTS_WITHIN, "a run that {name} released ran again only after {slowest:.1?}");
    let charged = timeline::recovered(&history) - before;
    ensure!(charged == 0, "{name} was told twice and left {charged} leases behind");
    Ok(())
}

async fn told_without_redis(scene: &mut Scene, victim: usize) -> anyhow::Result<()> {
    let name = scene.workers[victim].name.clone();
    let comes_back = scene.rng.random_bool(0.5);
    scene.fault_began("Redis away", EVERYTHING);
    scene.redis.kill().await?;
    scene.pause_between(0, 500).await;
    let mut well = None;
    if comes_back {
        scene.signal(victim, "TERM").await?;
        scene.pause_between(500, 3_000).await;
    } else {
        let (took, ended_well) = ended(scene, victim).await?;
        scene.figure("without Redis: ended after", format!("{took:.1?}"));
        ensure!(
            took <= DRAIN + END,
            "{name} took {took:.1?} to end without Redis, and may drain for {DRAIN:?}"
        );
        well = Some(ended_well);
    }
    scene.redis.start_again().await?;
    scene.fault_ended("Redis away", EVERYTHING);
    if well.is_none() {
        well = Some(end_of_one_told(scene, victim).await?);
    }
    ensure!(well == Some(true), "{name} did not end with 0 without Redis:\n{}", scene.log(&name));
    Ok(())
}

async fn told_and_killed(scene: &mut Scene, victim: usize) -> anyhow::Result<()> {
    scene.signal(victim, "TERM").await?;
    sleep(Duration::from_secs(1)).await;
    let before = timeline::recovered(&scene.so_far()?);
    scene.kill(victim).await?;
    // What it held is taken back before anything else happens, so that nothing else is blamed for it.
    let (killed, within) = (Instant::now(), Stage::default().picked_up_within());
    while timeline::recovered(&scene.so_far()?) == before && killed.elapsed() < within {
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Tells a worker to stop, for the first or the second time. Answers how long it took and whether it ended well.
async fn ended(scene: &mut Scene, victim: usize) -> anyhow::Result<(Duration, bool)> {
    let began = Instant::now();
    let well = scene.terminate(victim).await?;
    Ok((began.elapsed(), well))
}

/// Waits for a worker that was told once, without telling it again. Answers whether it says that it has stopped.
async fn end_of_one_told(scene: &mut Scene, victim: usize) -> anyhow::Result<bool> {
    let name = scene.workers[victim].name.clone();
    scene.wait_for_death(victim, DRAIN + END + Duration::from_secs(2)).await?;
    Ok(scene.log(&name).contains("This worker has stopped"))
}
