//! R5: Redis answers and refuses: it has forgotten its scripts (NOSCRIPT), it still loads its data (LOADING), or it was
//! made a replica for a moment (READONLY). Each time the fleet goes on by itself as soon as it is served, and no living
//! worker loses a run.

use std::time::{Duration, Instant};

use rand::seq::SliceRandom;
use redis::Pipeline;
use tokio::time::sleep;

use flota_worker::dev::RedisOptions;

use crate::{
    chaos::{
        checker::Terms,
        errand::effect_between,
        history::EVERYTHING,
        monotonic::now_ns,
        scene::{Scene, Stage, Told},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "redis-refuses",
    promise: "R5",
    what: "Redis forgets its scripts, loads for a long time, and is a replica for a moment",
    seeds: 3,
    smoke: false,
    tell: telling!(tell),
};

/// Makes loading slow: microseconds for each command in the append-only file.
const LOAD_DELAY_US: &str = "200";
/// Commands that have to be loaded: for 4 s, longer than a lease.
const TO_LOAD: usize = 20_000;
/// How long scripts are forgotten.
const FORGETFUL: Duration = Duration::from_secs(3);
/// How long Redis is a replica: shorter than it takes workers to stop their runs.
const REPLICA: Duration = Duration::from_millis(1_500);

#[derive(Debug, Clone, Copy)]
enum Refusal {
    NoScript,
    Loading,
    ReadOnly,
}

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let redis = RedisOptions {
        extra_arguments: vec!["--key-load-delay".into(), LOAD_DELAY_US.into()],
        ..RedisOptions::default()
    };
    let mut scene = Scene::open(seed, Stage { redis, ..Stage::default() }).await?;
    scene.workers(3).await?;
    fill(&scene).await?;
    let quick = scene.load(20, Duration::from_millis(50), effect_between(5, 5))?;
    let slow = scene.load(2, Duration::from_millis(100), effect_between(600, 600))?;
    let mut refusals = [Refusal::NoScript, Refusal::Loading, Refusal::ReadOnly];
    refusals.shuffle(&mut scene.rng);
    let mut back = Vec::new();
    for refusal in refusals {
        scene.pause_between(300, 1_000).await;
        back.push(match refusal {
            Refusal::NoScript => forget_scripts(&mut scene).await?,
            Refusal::Loading => load_for_long(&mut scene).await?,
            Refusal::ReadOnly => be_a_replica(&mut scene).await?,
        });
        sleep(Duration::from_millis(2_200)).await;
    }
    quick.stop().await?;
    slow.stop().await?;
    scene.check_reconnection(&back)?;
    scene.close(&Terms { no_repeats: true, ..Terms::default() }).await
}

/// Gives Redis something to load.
async fn fill(scene: &Scene) -> anyhow::Result<()> {
    let mut pipeline = Pipeline::new();
    for number in 0..TO_LOAD {
        pipeline.cmd("SET").arg("something").arg(number).ignore();
    }
    Ok(scene.link.pipeline::<()>(&pipeline).await?)
}

async fn forget_scripts(scene: &mut Scene) -> anyhow::Result<u64> {
    scene.fault_began("scripts forgotten", EVERYTHING);
    let began = Instant::now();
    while began.elapsed() < FORGETFUL {
        scene.link.query::<()>(redis::cmd("SCRIPT").arg("FLUSH")).await?;
        scene.pause_between(0, 20).await;
    }
    scene.fault_ended("scripts forgotten", EVERYTHING);
    Ok(now_ns())
}

async fn load_for_long(scene: &mut Scene) -> anyhow::Result<u64> {
    scene.kill_redis().await?;
    let began = Instant::now();
    let back = scene.start_redis().await?;
    scene.figure("loading", format!("{:.1?}", began.elapsed()));
    Ok(back)
}

async fn be_a_replica(scene: &mut Scene) -> anyhow::Result<u64> {
    scene.fault_began("a replica", EVERYTHING);
    // Nobody listens there, so it keeps what it has.
    scene.link.query::<()>(redis::cmd("REPLICAOF").arg("127.0.0.1").arg(1)).await?;
    sleep(REPLICA).await;
    scene.link.query::<()>(redis::cmd("REPLICAOF").arg("NO").arg("ONE")).await?;
    scene.fault_ended("a replica", EVERYTHING);
    Ok(now_ns())
}
