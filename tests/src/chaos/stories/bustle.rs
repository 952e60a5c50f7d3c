//! A bit of everything at once: failures, waits, delays, cancellations and a pause, while a worker is killed, one is frozen
//! for longer than its leases, and one is stopped and replaced. The mutants are hunted here.

use std::time::Duration;

use flota_engine::ErrorClass;
use flota_producer::{JobId, NewJob};
use rand::RngExt;
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
    name: "bustle",
    promise: "R1 R2 R11 R13 R15",
    what: "jobs fail, wait, stand in line and are cancelled while workers are killed, frozen, stopped and replaced",
    seeds: 3,
    smoke: false,
    tell: telling!(tell),
};

async fn tell(seed: u64) -> anyhow::Result<Told> {
    // Shorter than some jobs, so that a stopped worker has to give them back.
    let stage = Stage { drain: Duration::from_secs(1), ..Stage::default() };
    let frozen_for = stage.lease * 2;
    let mut scene = Scene::open(seed, stage).await?;
    scene.workers(3).await?;
    let load = scene.load(10, Duration::from_millis(50), effect_between(2, 2))?;
    scene.enqueue(mixed()).await;
    for line in ["a", "b", "c"] {
        scene.enqueue_in_order(line, mixed_in_order()).await;
    }
    // Longer than a lease: only heartbeats keep them.
    scene.enqueue_many(6, &effect_between(5_000, 100)).await;
    let running = scene.enqueue_many(3, &effect_between(60_000, 0)).await;
    let to_cancel = scene.enqueue(waiting()).await;
    scene.enqueue_many(24, &effect_between(600, 600)).await;
    let frozen = scene.any_worker()?;
    scene.freeze(frozen).await?;
    scene.pause_between(200, 600).await;
    cancel_some(&mut scene, &to_cancel).await?;
    let victim = scene.any_worker()?;
    scene.kill(victim).await?;
    scene.another_like(victim).await?;
    scene.pause_queue().await?;
    sleep(frozen_for / 2).await;
    scene.resume_queue().await?;
    for job in running {
        scene.cancel(job).await?;
    }
    sleep(frozen_for / 2).await;
    scene.thaw(frozen).await?;
    scene.enqueue_many(24, &effect_between(20_000, 0).timeout(Duration::from_secs(5))).await;
    scene.pause_between(300, 600).await;
    scene.enqueue_many(12, &effect_between(2_000, 0)).await;
    scene.pause_between(300, 600).await;
    anyhow::ensure!(scene.terminate(frozen).await?, "a stopped worker did not end well");
    scene.another_like(frozen).await?;
    load.stop().await?;
    scene.close(&Terms::default()).await
}

fn fails_twice() -> NewJob {
    NewJob::new(Errand {
        tries: vec![
            vec![Step::Effect, Step::Fail(ErrorClass::ServerError)],
            vec![Step::Effect, Step::Fail(ErrorClass::Network)],
            vec![Step::Effect],
        ],
    })
}

/// Jobs that are in each other's way when they are not run in order.
fn mixed_in_order() -> Vec<NewJob> {
    let some = || [fails_twice(), effect_between(30, 30), errand([Step::Bury]), effect_between(10, 10)];
    (0..4).flat_map(|_| some()).collect()
}

/// Jobs that fail, wait and die.
fn mixed() -> Vec<NewJob> {
    let mut jobs = vec![fails_twice(); 40];
    jobs.extend(vec![errand([Step::Bury]); 10]);
    jobs.extend(vec![errand([Step::Panic]); 5]);
    jobs.extend(vec![errand([Step::Effect]).after(Duration::from_millis(1_500)); 40]);
    jobs
}

/// Jobs that are due in a while, so that they can be cancelled before they start.
fn waiting() -> Vec<NewJob> {
    vec![errand([Step::Effect]).after(Duration::from_secs(4)); 60]
}

async fn cancel_some(scene: &mut Scene, jobs: &[JobId]) -> anyhow::Result<()> {
    for job in jobs {
        if scene.rng.random_bool(0.5) {
            scene.cancel(*job).await?;
        }
    }
    Ok(())
}
