//! R3: Redis is killed with SIGKILL under load and comes back from its append-only file. What the system has, a killed
//! process cannot lose, so every acknowledged job is still there, and nothing runs twice.

use std::time::Duration;

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
    what: "Redis is killed with SIGKILL under load, again and again, and starts from its append-only file",
    seeds: 20,
    smoke: true,
    tell: telling!(tell),
};

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let mut scene = Scene::open(seed, Stage::default()).await?;
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
    }
    quick.stop().await?;
    slow.stop().await?;
    scene.check_reconnection(&back)?;
    scene.close(&Terms { no_repeats: true, ..Terms::default() }).await
}
