//! R19: the disk of Redis is full. With `appendfsync everysec` Redis refuses writes (MISCONF) until there is room and then
//! goes on; with `always` it ends itself, and whoever supervises it starts it again. Either way no acknowledged job is
//! lost, and work goes on within 5 s once there is room. Living workers keep their runs.

use std::time::{Duration, Instant};

use flota_producer::NewJob;
use flota_worker::dev::RedisOptions;
use tokio::time::sleep;

use crate::{
    chaos::{
        checker::Terms,
        disk::{NoDisk, SmallDisk},
        errand::{Errand, Step, effect_between},
        history::EVERYTHING,
        scene::{Scene, Stage, Told},
        story::{CannotBeTold, Story},
    },
    telling,
};

pub(super) const EVERYSEC: Story = Story {
    name: "redis-disk-full",
    promise: "R19",
    what: "the disk of Redis is full for a while, with appendfsync everysec",
    seeds: 3,
    smoke: false,
    tell: telling!(everysec),
};

pub(super) const ALWAYS: Story = Story {
    name: "redis-disk-full-always",
    promise: "R19",
    what: "the disk of Redis is full for a while, with appendfsync always: Redis ends and is started again",
    seeds: 3,
    smoke: false,
    tell: telling!(always),
};

/// Size of the disk.
const MEGABYTES: u32 = 24;
/// By when work goes on after there is room.
const WORKS_WITHIN: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(20);

async fn scene(seed: u64, fsync: &str) -> anyhow::Result<(Scene, SmallDisk)> {
    let disk = SmallDisk::mount(MEGABYTES).map_err(|error| match error {
        NoDisk::NotRoot | NoDisk::Refused { .. } => CannotBeTold(error.to_string()).into(),
        NoDisk::System(error) => anyhow::Error::from(error),
    })?;
    let redis = RedisOptions {
        directory: Some(disk.folder()),
        extra_arguments: vec!["--appendfsync".into(), fsync.into()],
        ..RedisOptions::default()
    };
    let mut scene = Scene::open(seed, Stage { redis, ..Stage::default() }).await?;
    scene.workers(3).await?;
    Ok((scene, disk))
}

/// A job that fills the disk soon.
fn large() -> NewJob {
    NewJob::new(Errand { tries: vec![vec![Step::Effect], vec![Step::Sleep(1); 500]] })
}

async fn everysec(seed: u64) -> anyhow::Result<Told> {
    let (mut scene, disk) = scene(seed, "everysec").await?;
    let long = scene.enqueue_many(20, &effect_between(5_000, 5_000)).await;
    let load = scene.load(5, Duration::from_millis(50), large())?;
    scene.wait_for_running(long.len() as u64, Duration::from_secs(10)).await?;
    scene.pause_between(0, 1_000).await;
    scene.fault_began("disk full", EVERYTHING);
    disk.fill()?;
    wait_until(&scene, "a full disk is refused", PATIENCE, false).await?;
    scene.pause_between(500, 6_000).await;
    disk.free()?;
    let again = wait_until(&scene, "Redis takes jobs again", WORKS_WITHIN, true).await?;
    scene.fault_ended("disk full", EVERYTHING);
    sleep(Duration::from_secs(1)).await;
    load.stop().await?;
    scene.figure("accepts again", format!("{again:.1?}"));
    finish(scene, disk).await
}

async fn always(seed: u64) -> anyhow::Result<Told> {
    let (mut scene, disk) = scene(seed, "always").await?;
    let long = scene.enqueue_many(20, &effect_between(5_000, 5_000)).await;
    let load = scene.load(5, Duration::from_millis(50), large())?;
    scene.wait_for_running(long.len() as u64, Duration::from_secs(10)).await?;
    scene.pause_between(0, 1_000).await;
    scene.fault_began("disk full", EVERYTHING);
    disk.fill()?;
    wait_until(&scene, "Redis on a full disk ends", PATIENCE, false).await?;
    scene.pause_between(500, 6_000).await;
    disk.free()?;
    let freed = Instant::now();
    while let Err(error) = scene.redis.start_again().await {
        anyhow::ensure!(freed.elapsed() < WORKS_WITHIN, "Redis does not start again: {error}");
    }
    wait_until(&scene, "Redis takes jobs again", WORKS_WITHIN, true).await?;
    scene.fault_ended("disk full", EVERYTHING);
    scene.figure("accepts again", format!("{:.1?}", freed.elapsed()));
    sleep(Duration::from_secs(1)).await;
    load.stop().await?;
    finish(scene, disk).await
}

/// The disk goes after the server on it.
async fn finish(scene: Scene, disk: SmallDisk) -> anyhow::Result<Told> {
    let told = scene.close(&Terms { no_repeats: true, ..Terms::default() }).await;
    drop(disk);
    told
}

/// Waits until producers are accepted, or are not.
async fn wait_until(
    scene: &Scene,
    what: &str,
    patience: Duration,
    accepted: bool,
) -> anyhow::Result<Duration> {
    let began = Instant::now();
    loop {
        let outcome = scene.producer.enqueue(large()).await;
        scene.tell_of_enqueue(&outcome);
        if outcome.is_ok() == accepted {
            return Ok(began.elapsed());
        }
        anyhow::ensure!(began.elapsed() < patience, "{what}: not after {patience:?}; {outcome:?}");
        sleep(Duration::from_millis(10)).await;
    }
}
