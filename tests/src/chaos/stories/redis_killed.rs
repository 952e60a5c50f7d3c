//! R3: Redis is killed with SIGKILL under load and comes back from its append-only file. With `appendfsync always` every
//! acknowledged job is still there, and nothing runs twice.
//!
//! With `everysec` it is the same nearly always, since what the system has, a killed process cannot lose. But while a sync
//! is under way on a slow disk, Redis holds back what it has acknowledged, for up to two seconds (`aof_delayed_fsync`
//! counts longer waits), and a process that is killed then takes it along.

use std::time::Duration;

use flota_worker::dev::RedisOptions;

use crate::{
    chaos::{
        checker::Terms,
        errand::effect_between,
        scene::{Scene, Stage, Told},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "redis-killed",
    promise: "R3",
    what: "Redis is killed with SIGKILL under load, again and again, with appendfsync always",
    seeds: 20,
    smoke: true,
    tell: telling!(always),
};

pub(super) const EVERYSEC: Story = Story {
    name: "redis-killed-everysec",
    promise: "R3",
    what: "the same with appendfsync everysec: two seconds of work are at risk, if a sync is under way",
    seeds: 5,
    smoke: false,
    tell: telling!(everysec),
};

/// Most jobs that are accepted in two seconds.
const AT_RISK: usize = 1_000;

async fn always(seed: u64) -> anyhow::Result<Told> {
    Box::pin(tell(seed, "always", Terms { no_repeats: true, ..Terms::default() })).await
}

async fn everysec(seed: u64) -> anyhow::Result<Told> {
    Box::pin(tell(seed, "everysec", Terms { may_lose: Some(AT_RISK), ..Terms::default() })).await
}

async fn tell(seed: u64, fsync: &str, terms: Terms) -> anyhow::Result<Told> {
    let redis = RedisOptions {
        extra_arguments: vec!["--appendfsync".into(), fsync.into()],
        ..RedisOptions::default()
    };
    let mut scene = Scene::open(seed, Stage { redis, ..Stage::default() }).await?;
    scene.workers(3).await?;
    let quick = scene.load(20, Duration::from_millis(50), effect_between(5, 5))?;
    let slow = scene.load(2, Duration::from_millis(100), effect_between(300, 300))?;
    let mut back = Vec::new();
    for _ in 0..3 {
        scene.pause_between(300, 1_000).await;
        scene.kill_redis().await?;
        scene.pause_between(0, 1_500).await;
        back.push(scene.start_redis().await?);
        scene.pause_between(2_000, 2_500).await;
        scene.rewrite_aof().await?;
    }
    quick.stop().await?;
    slow.stop().await?;
    scene.check_reconnection(&back)?;
    scene.close(&terms).await
}
