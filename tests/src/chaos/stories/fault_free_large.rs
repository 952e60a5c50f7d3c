//! Promise 3 at length: 100,000 jobs, nothing goes wrong, and not one effect comes twice.

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
    name: "fault-free-large",
    promise: "promise 3",
    what: "three workers run 100,000 jobs and nothing goes wrong",
    seeds: 1,
    smoke: false,
    tell: telling!(tell),
};

/// How many jobs.
const JOBS: usize = 100_000;
/// How many are enqueued at once.
const AT_ONCE: usize = 5_000;

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let mut scene = Scene::open(seed, Stage { concurrency: 64, ..Stage::default() }).await?;
    scene.workers(3).await?;
    let job = errand([Step::Effect]);
    for _ in 0..JOBS / AT_ONCE {
        scene.enqueue_many(AT_ONCE, &job).await;
    }
    let took = scene.wait_for_outcomes(JOBS as i64, Duration::from_mins(5)).await?;
    scene.figure("last outcome after", format!("{:.0} s", took.as_secs_f64()));
    scene.close(&Terms { no_repeats: true, max_attempts: Some(1), ..Terms::default() }).await
}
