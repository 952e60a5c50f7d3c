//! Jobs in order while workers are killed, frozen and stopped and Redis is killed: each line goes on, job by job, and no
//! job starts before those before it have ended.

use std::time::Duration;

use flota_engine::ErrorClass;
use flota_producer::NewJob;
use flota_worker::dev::RedisOptions;
use rand::{RngExt, seq::IndexedRandom};
use tokio::time::sleep;

use crate::{
    chaos::{
        checker::Terms,
        errand::{Errand, Step, effect_between, errand},
        scene::{Scene, Stage, Told},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "in-order",
    promise: "R1 R2 R3",
    what: "twelve lines of jobs go on while workers are killed, frozen and stopped, Redis is killed, and jobs are cancelled",
    seeds: 5,
    smoke: true,
    tell: telling!(tell),
};

/// Lines, and how many jobs join each of them at a time.
const LINES: usize = 12;
const AT_A_TIME: usize = 8;

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let redis = RedisOptions {
        extra_arguments: vec!["--appendfsync".into(), "always".into()],
        ..RedisOptions::default()
    };
    let stage = Stage { redis, drain: Duration::from_secs(1), ..Stage::default() };
    let frozen_for = stage.lease * 2;
    let mut scene = Scene::open(seed, stage).await?;
    scene.workers(3).await?;
    let beside = scene.load(5, Duration::from_millis(50), effect_between(2, 2))?;
    more(&mut scene).await?;
    let frozen = scene.any_worker()?;
    scene.freeze(frozen).await?;
    more(&mut scene).await?;
    let victim = scene.any_worker()?;
    scene.kill(victim).await?;
    scene.another_like(victim).await?;
    sleep(frozen_for).await;
    scene.thaw(frozen).await?;
    more(&mut scene).await?;
    beside.stop().await?;
    scene.kill_redis().await?;
    scene.pause_between(0, 500).await;
    scene.start_redis().await?;
    more(&mut scene).await?;
    let stopped = scene.any_worker()?;
    anyhow::ensure!(scene.terminate(stopped).await?, "a stopped worker did not end well");
    scene.another_like(stopped).await?;
    scene.close(&Terms::default()).await
}

/// Some jobs join each line, and a few of all that wait there are cancelled.
async fn more(scene: &mut Scene) -> anyhow::Result<()> {
    let mut joined = Vec::new();
    for line in 0..LINES {
        let jobs: Vec<NewJob> = (0..AT_A_TIME).map(|_| any_job(scene)).collect();
        joined.extend(scene.enqueue_in_order(&format!("line-{line}"), jobs).await);
    }
    scene.pause_between(100, 400).await;
    for _ in 0..AT_A_TIME {
        let job = *joined.choose(&mut scene.rng).expect("some were accepted");
        scene.cancel(job).await?;
    }
    scene.pause_between(100, 400).await;
    Ok(())
}

fn any_job(scene: &mut Scene) -> NewJob {
    let fails_once = vec![vec![Step::Effect, Step::Fail(ErrorClass::ServerError)], vec![Step::Effect]];
    match scene.rng.random_range(0..10) {
        0 => NewJob::new(Errand { tries: fails_once }),
        1 => errand([Step::Bury]),
        2 => effect_between(50, 20),
        _ => effect_between(1, 1),
    }
}
