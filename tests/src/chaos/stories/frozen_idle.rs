//! R2: a worker freezes while it waits for work. Redis leases it a job all the same, the reply waits in its socket, and
//! others take the job over. When the worker goes on and reads the reply, it must not start that job a second time.

use std::time::Duration;

use anyhow::ensure;
use flota_producer::JobId;
use tokio::time::{Instant, sleep};

use crate::{
    chaos::{
        checker::Terms,
        errand::effect_between,
        history::What,
        scene::{Scene, Stage, Told},
        story::Story,
        timeline,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "frozen-idle",
    promise: "R2",
    what: "a worker is frozen while it waits for work, and reads what it was given only when others run it",
    seeds: 3,
    smoke: false,
    tell: telling!(tell),
};

/// By when the job must run elsewhere.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(15);

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let mut scene = Scene::open(seed, Stage::default()).await?;
    let idle = scene.worker().await?;
    // Redis has to know the script of the fetch, or the fetch that waits at the bell is refused.
    scene.enqueue_many(1, &effect_between(0, 0)).await;
    scene.wait_for_outcomes(1, Duration::from_secs(10)).await?;
    scene.pause_between(1_000, 2_000).await;
    scene.freeze(idle).await?;
    let jobs = scene.enqueue_many(4, &effect_between(8_000, 500)).await;
    scene.wait_for_running(4, Duration::from_secs(5)).await?;
    scene.worker().await?;
    until_started(&scene, &jobs).await?;
    scene.pause_between(500, 3_000).await;
    scene.thaw(idle).await?;
    scene.wait_for_outcomes(5, Duration::from_secs(30)).await?;
    let mut late = timeline::started_by(&scene.so_far()?, "worker-1");
    late.retain(|(job, _)| jobs.contains(job));
    let late = late.len();
    ensure!(late == 0, "the worker that was frozen started {late} jobs that others were running");
    scene.close(&Terms { no_repeats: true, max_attempts: Some(1), ..Terms::default() }).await
}

/// Waits until these jobs run elsewhere.
async fn until_started(scene: &Scene, jobs: &[JobId]) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let history = scene.so_far()?;
        let runs = |job: &JobId| {
            history
                .iter()
                .any(|entry| matches!(entry.what, What::Started { job: other, .. } if other == *job))
        };
        if jobs.iter().all(runs) {
            return Ok(());
        }
        ensure!(began.elapsed() < TAKEN_OVER_WITHIN, "nobody took the jobs over in {TAKEN_OVER_WITHIN:?}");
        sleep(Duration::from_millis(50)).await;
    }
}
