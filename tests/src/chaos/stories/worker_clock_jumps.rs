//! R20: the clocks of workers and producers jump by an hour, each for itself. Nothing happens: due times and leases are
//! told by the clock of Redis, and a worker measures time with a clock that does not jump.

use std::time::Duration;

use anyhow::Context;
use rand::RngExt;
use tokio::time::sleep;

use super::power_loss::told_why;
use crate::{
    chaos::{
        checker::Terms,
        errand::{Errand, Step, effect_between, errand},
        history::What,
        scene::{Scene, Stage, Told, WorkerOptions},
        shims::{self, Preload},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "worker-clock-jumps",
    promise: "R20",
    what: "the clocks of workers and of producers jump by an hour, each for itself",
    seeds: 3,
    smoke: false,
    tell: telling!(tell),
};

const HOUR: i64 = 3_600;
/// How much later than it should a delayed job may start on a busy machine.
const LATE: Duration = Duration::from_secs(2);
/// How long jobs are delayed.
const DELAY: Duration = Duration::from_secs(3);

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let mut scene = Scene::open(seed, Stage::default()).await?;
    let (mut clocks, directory) = (Vec::new(), tempfile::tempdir()?);
    for number in 1..=3 {
        let place = directory.path().join(number.to_string());
        std::fs::create_dir(&place)?;
        let clock = Preload::clock(&place).await.map_err(told_why)?;
        let environment = shims::environment(&[clock.preload()]);
        scene.worker_with(WorkerOptions { environment, ..WorkerOptions::default() }).await?;
        clocks.push(clock);
    }
    let load = scene.load(5, Duration::from_millis(50), effect_between(100, 100))?;
    for _ in 0..8 {
        scene.pause_between(200, 800).await;
        let clock = &clocks[scene.rng.random_range(0..clocks.len())];
        clock.jump(if clock.offset() == 0 { HOUR } else { -2 * clock.offset() })?;
        producer_with(&scene, &shims::environment(&[clock.preload()])).await?;
    }
    let delayed = scene.enqueue_many(20, &errand([Step::Effect]).after(DELAY)).await;
    let due = crate::chaos::monotonic::now_ns() + DELAY.as_nanos() as u64;
    sleep(DELAY + LATE).await;
    load.stop().await?;
    let effects = scene.provider.effects()?;
    for job in delayed {
        let effect = effects.iter().find(|effect| effect.job == job).context("a delayed job did not run")?;
        let early = Duration::from_nanos(due.saturating_sub(effect.ns));
        anyhow::ensure!(early < Duration::from_secs(1), "a delayed job ran {early:.1?} too early");
    }
    scene.close(&Terms { no_repeats: true, ..Terms::default() }).await
}

/// Enqueues one job from a process with a clock of its own.
async fn producer_with(scene: &Scene, environment: &[(String, String)]) -> anyhow::Result<()> {
    let payload = serde_json::to_string(&Errand { tries: vec![vec![Step::Effect]] })?;
    let arguments =
        ["enqueue", "errand", "--queue", scene.queue_name(), "--data", &payload, "--output", "json"];
    let mut command = scene.command("chaos_worker", &arguments)?;
    command.env_remove("CHAOS_HISTORY");
    command.envs(environment.iter().cloned());
    let output = command.output().await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let id = serde_json::from_str::<serde_json::Value>(&said)
        .ok()
        .and_then(|receipt| receipt["id"].as_str().and_then(|id| id.parse().ok()));
    let job = id.with_context(|| format!("{said}{}", String::from_utf8_lossy(&output.stderr)))?;
    scene.history.tell(What::Accepted { job });
    Ok(())
}
