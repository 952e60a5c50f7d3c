//! R1 at its worst: every worker is killed at the same moment, and some of their successors already while they start.
//! There is nobody left to take the jobs over, and still none is lost once workers are back.

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
    name: "fleet-killed",
    promise: "R1",
    what: "all workers are killed at once, and some of their successors while they start",
    seeds: 5,
    smoke: false,
    tell: telling!(tell),
};

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let mut scene = Scene::open(seed, Stage::default()).await?;
    scene.workers(3).await?;
    let quick = scene.load(10, Duration::from_millis(50), effect_between(5, 5))?;
    let slow = scene.load(2, Duration::from_millis(200), effect_between(300, 300))?;
    for _ in 0..2 {
        scene.pause_between(500, 2_000).await;
        for victim in scene.living() {
            scene.kill(victim).await?;
        }
        for _ in 0..2 {
            scene.kill_while_it_starts(Duration::from_millis(1_500)).await?;
        }
        scene.workers(3).await?;
    }
    quick.stop().await?;
    slow.stop().await?;
    scene.close(&Terms::default()).await
}
