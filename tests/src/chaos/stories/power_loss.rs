//! R3: the machine of Redis loses its power, and what was not on disk is gone. With `appendfsync always` nothing that
//! anybody was told is lost, neither a job nor an end. With `everysec` it is at most the last second's, which the story
//! measures; what had ended in that second may run once more.
//!
//! Every other telling kills the workers too, as when all of it runs on one machine.

use std::{collections::HashSet, time::Duration};

use flota_producer::JobId;
use flota_worker::dev::RedisOptions;
use sqlx::Row;
use tempfile::TempDir;
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    chaos::{
        checker::Terms,
        errand::effect_between,
        history::{self, EVERYTHING, What},
        monotonic::now_ns,
        scene::{Scene, Stage, Told},
        shims::{DurableLength, NoShim, PowerLoss, Preload, redis_under},
        story::{CannotBeTold, Story},
    },
    telling,
};

pub(super) const ALWAYS: Story = Story {
    name: "power-loss-always",
    promise: "R3",
    what: "the machine of Redis loses its power, with appendfsync always",
    seeds: 3,
    smoke: false,
    tell: telling!(always),
};

pub(super) const EVERYSEC: Story = Story {
    name: "power-loss-everysec",
    promise: "R3",
    what: "the machine of Redis loses its power, with appendfsync everysec",
    seeds: 3,
    smoke: false,
    tell: telling!(everysec),
};

/// What `everysec` may lose: Redis starts a sync each second, and the one that is under way may not have come to an end.
const AT_RISK: Duration = Duration::from_secs(2);

async fn scene(seed: u64, fsync: &str) -> anyhow::Result<(Scene, DurableLength, TempDir)> {
    let directory = tempfile::tempdir()?;
    let note = Preload::durable_length(directory.path()).await.map_err(told_why)?;
    let redis = RedisOptions {
        programs: redis_under(&[note.preload()], directory.path())?,
        extra_arguments: vec!["--appendfsync".into(), fsync.into()],
        ..RedisOptions::default()
    };
    let mut scene = Scene::open(seed, Stage { redis, ..Stage::default() }).await?;
    scene.workers(3).await?;
    Ok((scene, note, directory))
}

/// Without a compiler the story is left out.
pub(super) fn told_why(error: NoShim) -> anyhow::Error {
    match error {
        NoShim::Compiler(_) => CannotBeTold(error.to_string()).into(),
        other => other.into(),
    }
}

/// From when until when Redis was away.
struct Away {
    from: u64,
    until: u64,
}

/// Loses the power, and with every other seed the workers.
async fn lose_power(scene: &mut Scene, note: &DurableLength, workers_too: bool) -> anyhow::Result<Away> {
    let victims = if workers_too { scene.living() } else { Vec::new() };
    scene.redis.kill().await?;
    let from = now_ns();
    let lost = PowerLoss::Durable(note).cut(scene.redis.directory())?;
    scene.redis.start_again().await?;
    let until = now_ns();
    for victim in &victims {
        scene.kill(*victim).await?;
    }
    for victim in victims {
        scene.another_like(victim).await?;
    }
    scene.figure("bytes lost", lost.lost_bytes);
    Ok(Away { from, until })
}

async fn always(seed: u64) -> anyhow::Result<Told> {
    let (mut scene, note, _directory) = scene(seed, "always").await?;
    let workers_too = seed.is_multiple_of(2);
    let quick = scene.load(20, Duration::from_millis(20), effect_between(5, 5))?;
    let slow = scene.load(2, Duration::from_millis(100), effect_between(300, 300))?;
    for _ in 0..3 {
        scene.pause_between(1_000, 2_000).await;
        scene.fault_began("power lost", EVERYTHING);
        lose_power(&mut scene, &note, workers_too).await?;
        scene.fault_ended("power lost", EVERYTHING);
    }
    sleep(Duration::from_secs(1)).await;
    quick.stop().await?;
    slow.stop().await?;
    scene.close(&Terms { no_repeats: !workers_too, ..Terms::default() }).await
}

async fn everysec(seed: u64) -> anyhow::Result<Told> {
    let (mut scene, note, _directory) = scene(seed, "everysec").await?;
    let workers_too = seed.is_multiple_of(2);
    let quick = scene.load(20, Duration::from_millis(20), effect_between(5, 5))?;
    let slow = scene.load(2, Duration::from_millis(100), effect_between(300, 300))?;
    scene.pause_between(1_000, 2_000).await;
    // What is written from now on may be lost, so runs from now on may be repeated.
    scene.fault_began("power lost", EVERYTHING);
    sleep(AT_RISK).await;
    let away = lose_power(&mut scene, &note, workers_too).await?;
    scene.fault_ended("power lost", EVERYTHING);
    scene.pause_between(1_000, 2_000).await;
    quick.stop().await?;
    slow.stop().await?;
    scene.come_to_rest().await?;
    let lost = losses(&scene, &away).await?;
    let oldest = lost.iter().max().copied().unwrap_or_default();
    scene.figure("jobs lost", lost.len());
    scene.figure("oldest of them", format!("{oldest:.2?}"));
    anyhow::ensure!(oldest <= AT_RISK, "a job that was accepted {oldest:.1?} before the power loss is lost");
    scene.close(&Terms { may_lose: Some(lost.len()), ..Terms::default() }).await
}

/// How long before the power loss each lost job had been accepted.
async fn losses(scene: &Scene, away: &Away) -> anyhow::Result<Vec<Duration>> {
    let rows = sqlx::query("SELECT DISTINCT job_id FROM outcomes").fetch_all(&scene.pool()?).await?;
    let ended: HashSet<JobId> = rows.iter().map(|row| row.get::<Uuid, _>(0).into()).collect();
    let mut lost = Vec::new();
    for entry in history::read_all(scene.directory())? {
        if let What::Accepted { job } = entry.what
            && !ended.contains(&job)
        {
            anyhow::ensure!(
                entry.ns <= away.until,
                "job {job} was accepted after the power loss and is lost"
            );
            lost.push(Duration::from_nanos(away.from.saturating_sub(entry.ns)));
        }
    }
    Ok(lost)
}
