//! R20: the clock of Redis jumps by an hour, forward and back. Forward, every lease looks ended and every delayed job due;
//! back, leases end in an hour and delayed jobs wait an hour longer. No job is lost and none runs twice, and the jobs of
//! a worker that is killed after the jump run again within two leases.
//!
//! Delayed jobs follow the clock of Redis: a jump forward makes them due, a jump back makes them wait. The story sets the
//! clock right again, and then all of them have run.

use std::time::Duration;

use flota_worker::dev::RedisOptions;
use rand::RngExt;
use tempfile::TempDir;
use tokio::time::sleep;

use super::power_loss::told_why;
use crate::{
    chaos::{
        checker::Terms,
        errand::{Step, effect_between, errand},
        scene::{Scene, Stage, Told},
        shims::{Clock, Preload, redis_under},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "redis-clock-jumps",
    promise: "R20",
    what: "the clock of Redis jumps by an hour, forward and back, and a worker is killed before and after",
    seeds: 3,
    smoke: false,
    tell: telling!(tell),
};

const HOUR: i64 = 3_600;

async fn scene(seed: u64) -> anyhow::Result<(Scene, Clock, TempDir)> {
    let directory = tempfile::tempdir()?;
    let clock = Preload::clock(directory.path()).await.map_err(told_why)?;
    let programs = redis_under(&[clock.preload()], directory.path())?;
    let redis = RedisOptions { programs, ..RedisOptions::default() };
    let mut scene = Scene::open(seed, Stage { redis, ..Stage::default() }).await?;
    scene.workers(3).await?;
    Ok((scene, clock, directory))
}

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let (mut scene, clock, _directory) = scene(seed).await?;
    let first = if scene.rng.random() { HOUR } else { -HOUR };
    let within = Stage::default().lease * 2 + Duration::from_secs(1);
    let load = scene.load(2, Duration::from_millis(100), effect_between(300, 300))?;
    let later = errand([Step::Effect]).after(Duration::from_secs(4));
    scene.enqueue_many(20, &later).await;
    for jump in [first, -2 * first, first] {
        scene.pause_between(500, 1_500).await;
        // A worker that dies just before the jump, whose leases end by the old clock, and one that dies after it.
        let (before, after) = (scene.any_worker()?, scene.rng.random_range(100..1_000));
        scene.kill(before).await?;
        clock.jump(jump)?;
        scene.another_like(before).await?;
        sleep(Duration::from_millis(after)).await;
        let victim = scene.any_worker()?;
        scene.kill(victim).await?;
        scene.another_like(victim).await?;
        sleep(within).await;
    }
    load.stop().await?;
    anyhow::ensure!(clock.offset() == 0, "the clock is right again");
    scene.figure("first jump", format!("{:+} h", first / HOUR));
    scene.close(&Terms { picked_up_within: Some(within), ..Terms::default() }).await
}
