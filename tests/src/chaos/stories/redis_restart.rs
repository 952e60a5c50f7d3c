//! R4: Redis is away for half a lease, two leases or ten, while 200 long jobs run in living workers. Every lease in Redis
//! ends meanwhile, and yet nothing runs twice: the workers know that nobody is served, go on, and are heard before
//! anybody takes what is theirs.
//!
//! A Redis that is frozen (SIGSTOP) cannot be told from a cut network by those who wait for it. So beyond a lease
//! the workers stop their own runs, and an effect that such a run has had is repeated; that is `redis-frozen`.

use std::time::Duration;

use flota_producer::NewJob;
use rand::RngExt;
use tokio::time::sleep;

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
    name: "redis-restart",
    promise: "R4",
    what: "Redis is killed or shut down for 0.5, 2 or 10 leases while 200 long jobs run",
    seeds: 20,
    smoke: true,
    tell: telling!(restarted),
};

pub(super) const FROZEN: Story = Story {
    name: "redis-frozen",
    promise: "R4",
    what: "Redis is frozen (SIGSTOP) for 0.5, 2 or 10 leases while 200 long jobs run",
    seeds: 3,
    smoke: false,
    tell: telling!(frozen),
};

/// Jobs that run while Redis is away.
const JOBS: u64 = 200;
/// Of three workers: all those jobs at once, and places for others.
const CONCURRENCY: usize = 80;
/// How long Redis is away, in leases; the seed chooses. Two come first, for the quick set.
const LEASES: [f64; 3] = [2.0, 0.5, 10.0];
/// From how many leases of silence on workers stop their own runs.
const FENCED_AFTER: f64 = 1.0;

/// Three workers with 200 long jobs under way, some of which end while Redis is away.
async fn scene_with_long_jobs(seed: u64, away: Duration) -> anyhow::Result<Scene> {
    let mut scene = Scene::open(seed, stage()).await?;
    scene.workers(3).await?;
    let longest = away.as_millis() as u64 + 4_000;
    let mut parts = || scene.rng.random_range(200..longest / 2);
    let jobs: Vec<NewJob> = (0..JOBS).map(|_| effect_between(2_000 + parts(), parts())).collect();
    scene.enqueue(jobs).await;
    scene.wait_for_running(JOBS, Duration::from_secs(10)).await?;
    Ok(scene)
}

fn stage() -> Stage {
    Stage { concurrency: CONCURRENCY, ..Stage::default() }
}

fn leases(seed: u64) -> f64 {
    LEASES[(seed.wrapping_sub(1) % 3) as usize]
}

async fn restarted(seed: u64) -> anyhow::Result<Told> {
    let away = stage().lease.mul_f64(leases(seed));
    let mut scene = scene_with_long_jobs(seed, away).await?;
    let quick = scene.load(6, Duration::from_millis(50), effect_between(5, 5))?;
    scene.pause_between(100, 600).await;
    if scene.rng.random() {
        scene.kill_redis().await?;
    } else {
        scene.fault_began("redis away", EVERYTHING);
        scene.redis.stop().await?;
    }
    sleep(away).await;
    let back = scene.start_redis().await?;
    sleep(Duration::from_millis(2_200)).await;
    quick.stop().await?;
    scene.check_reconnection(&[back])?;
    scene.figure("away", format!("{away:?}"));
    scene.close(&Terms { no_repeats: true, ..Terms::default() }).await
}

async fn frozen(seed: u64) -> anyhow::Result<Told> {
    let away = stage().lease.mul_f64(leases(seed));
    let mut scene = scene_with_long_jobs(seed, away).await?;
    let quick = scene.load(6, Duration::from_millis(50), effect_between(5, 5))?;
    scene.pause_between(100, 600).await;
    scene.fault_began("redis frozen", EVERYTHING);
    scene.redis.pause().await?;
    sleep(away).await;
    scene.redis.resume().await?;
    let back = now_ns();
    scene.fault_ended("redis frozen", EVERYTHING);
    sleep(Duration::from_millis(2_200)).await;
    quick.stop().await?;
    scene.check_reconnection(&[back])?;
    scene.figure("away", format!("{away:?}"));
    scene.close(&Terms { no_repeats: leases(seed) < FENCED_AFTER, ..Terms::default() }).await
}
