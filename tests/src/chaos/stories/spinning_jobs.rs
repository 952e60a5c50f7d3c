//! R10: jobs that compute for three leases without ever yielding hold up every thread of their worker. Heartbeats come
//! from a thread of their own, so neither they nor their neighbours lose their leases, and nothing runs twice.

use std::time::Duration;

use anyhow::ensure;

use crate::{
    chaos::{
        checker::Terms,
        errand::{Step, effect_between, errand},
        scene::{Scene, Stage, Told},
        story::Story,
        timeline,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "spinning-jobs",
    promise: "R10",
    what: "jobs occupy every thread of a worker for three leases without yielding",
    seeds: 3,
    smoke: false,
    tell: telling!(tell),
};

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let stage = Stage::default();
    let busy = stage.lease.as_millis() as u64 * 3;
    let mut scene = Scene::open(seed, stage).await?;
    scene.worker().await?;
    let threads = std::thread::available_parallelism()?.get();
    // Neighbours first, so that they are under way when the threads are gone.
    scene.enqueue_many(8, &effect_between(500, 0)).await;
    scene.wait_for_running(8, Duration::from_secs(10)).await?;
    scene.enqueue_many(threads, &errand([Step::Effect, Step::Spin(busy)])).await;
    scene.pause_between(0, 300).await;
    // Somebody who would take over what is not kept.
    scene.worker().await?;
    scene.enqueue_many(100, &effect_between(10, 10)).await;
    scene.wait_for_outcomes(108 + threads as i64, Duration::from_secs(60)).await?;
    // What was fetched when nobody was left to start it comes back after a lease, and must not be started late.
    let history = scene.so_far()?;
    let (started, lost) =
        (timeline::started_by(&history, "worker-1"), timeline::lost_by(&history, "worker-1"));
    scene.figure("busy threads", threads);
    scene.figure("fetched, not started and taken over", lost.difference(&started).count());
    let lost = lost.intersection(&started).count();
    ensure!(lost == 0, "{lost} runs lost their leases while threads were busy");
    scene.close(&Terms { no_repeats: true, max_attempts: Some(1), ..Terms::default() }).await
}
