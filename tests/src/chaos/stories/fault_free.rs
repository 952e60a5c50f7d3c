//! Nothing goes wrong: each job has its effect once, and nothing is left behind.

use std::time::Duration;

use crate::{
    chaos::{
        checker::Terms,
        errand::{Step, errand},
        scene::{Scene, Stage, Told},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "fault-free",
    promise: "promise 3",
    what: "three workers run 2,000 jobs and nothing goes wrong",
    seeds: 3,
    smoke: true,
    tell: telling!(tell),
};

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let mut scene = Scene::open(seed, Stage::default()).await?;
    scene.workers(3).await?;
    scene.enqueue_many(2_000, &errand([Step::Effect])).await;
    scene.wait_for_outcomes(2_000, Duration::from_secs(60)).await?;
    scene.close(&Terms { no_repeats: true, ..Terms::default() }).await
}
