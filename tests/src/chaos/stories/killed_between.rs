//! R1 in the crash windows W3 to W5: a worker with one job is killed exactly after the fetch (before and after it has
//! read the body), between the effect and the settle, and after the settle. Each job ends once; only the middle window
//! repeats an effect, and there it is exactly one.

use std::time::Duration;

use anyhow::ensure;
use rand::{RngExt, seq::SliceRandom};

use crate::{
    chaos::{
        checker::Terms,
        errand::effect_between,
        scene::{Scene, Stage, Told, WorkerOptions},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "killed-between",
    promise: "R1, W3-W5",
    what: "a worker is killed exactly after a fetch, between effect and settle, and after a settle",
    seeds: 3,
    smoke: false,
    tell: telling!(tell),
};

/// Failpoint, and how many effects a kill there repeats.
const WINDOWS: [(&str, usize); 4] =
    [("fetch-replied", 0), ("fetch-bodies", 0), ("run-returned", 1), ("settle-sent", 0)];
/// By when a worker must have met its failpoint.
const MET_WITHIN: Duration = Duration::from_secs(20);

async fn tell(seed: u64) -> anyhow::Result<Told> {
    // One job at a time, so that nothing else is under way in the worker that is killed.
    let stage = Stage { concurrency: 1, ..Stage::default() };
    let terms = Terms { picked_up_within: Some(stage.picked_up_within()), ..Terms::default() };
    let mut scene = Scene::open(seed, stage).await?;
    scene.worker().await?;
    let load = scene.load(1, Duration::from_millis(20), effect_between(5, 5))?;
    let mut windows = WINDOWS;
    windows.shuffle(&mut scene.rng);
    for (failpoint, _) in windows {
        let action = format!("{failpoint}={}*off->1*return(kill)", scene.rng.random_range(3..30));
        let environment = vec![("FAILPOINTS".into(), action)];
        let victim = scene.worker_with(WorkerOptions { environment, ..WorkerOptions::default() }).await?;
        scene.wait_for_death(victim, MET_WITHIN).await?;
        let name = scene.workers[victim].name.clone();
        scene.fault_began("killed", &name);
        scene.fault_ended("killed", &name);
    }
    load.stop().await?;
    let told = scene.close(&terms).await?;
    let expected: usize = WINDOWS.iter().map(|(_, repeats)| repeats).sum();
    ensure!(told.repeated == expected, "{} effects were repeated, not {expected}", told.repeated);
    Ok(told)
}
