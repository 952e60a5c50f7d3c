//! R1: workers are killed with SIGKILL again and again, and replaced. No job is lost, and a killed worker's jobs run
//! again within lease + 2 heartbeats + 1 s.

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
    name: "worker-killed",
    promise: "R1",
    what: "workers under load are killed with SIGKILL one after the other and replaced",
    seeds: 20,
    smoke: true,
    tell: telling!(tell),
};

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let stage = Stage::default();
    let terms = Terms { picked_up_within: Some(stage.picked_up_within()), ..Terms::default() };
    let mut scene = Scene::open(seed, stage).await?;
    scene.workers(3).await?;
    let quick = scene.load(20, Duration::from_millis(50), effect_between(5, 5))?;
    let slow = scene.load(2, Duration::from_millis(100), effect_between(300, 300))?;
    for _ in 0..4 {
        scene.pause_between(300, 1_500).await;
        let victim = scene.any_worker()?;
        scene.kill(victim).await?;
        scene.another_like(victim).await?;
    }
    quick.stop().await?;
    slow.stop().await?;
    scene.close(&terms).await
}
