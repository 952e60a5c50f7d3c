//! R18: Redis reaches `maxmemory`. Producers are told so and nothing half-done stays; everything that is already there goes
//! on: settling, retrying, parking, lengthening leases, taking back what a killed worker held. So the queue drains by
//! itself, and then there is room again.

use std::time::{Duration, Instant};

use flota_engine::ErrorClass;
use flota_producer::{EnqueueError, NewJob};
use tokio::time::sleep;

use crate::{
    chaos::{
        checker::Terms,
        errand::{Errand, Step, effect_between},
        scene::{Scene, Stage, Told},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "redis-full",
    promise: "R18",
    what: "Redis reaches maxmemory while jobs run, retry and wait, and a worker is killed",
    seeds: 3,
    smoke: false,
    tell: telling!(tell),
};

/// Room that is left for the flood.
const ROOM: u64 = 3 * 1024 * 1024;
/// Longer than two leases, so that heartbeats must have lengthened them.
const LONG_MS: u64 = 7_000;

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let stage = Stage::default();
    let terms = Terms { picked_up_within: Some(stage.picked_up_within()), ..Terms::default() };
    let mut scene = Scene::open(seed, stage).await?;
    scene.workers(3).await?;
    let long = scene.enqueue_many(12, &effect_between(LONG_MS / 2, LONG_MS / 2)).await;
    scene.wait_for_running(long.len() as u64, Duration::from_secs(10)).await?;
    // So that the flood is not drained while it comes.
    scene.pause_queue().await?;
    let retried = scene.enqueue_many(200, &comes_back()).await;
    let limit = scene.redis_info("used_memory").await? + ROOM;
    scene.configure_redis("maxmemory", &limit.to_string()).await?;
    let accepted = flood(&scene).await?;
    scene.resume_queue().await?;
    scene.pause_between(200, 1_000).await;
    let victim = scene.any_worker()?;
    scene.kill(victim).await?;
    let drained = drain(&scene).await?;
    scene.figure("accepted until full", accepted + retried.len());
    scene.figure("drained in", format!("{drained:.1?}"));
    scene.close(&terms).await
}

/// Fails before it succeeds, and has a body large enough to fill Redis soon: its third try is never made.
fn comes_back() -> NewJob {
    let failed = vec![Step::Fail(ErrorClass::ServerError)];
    NewJob::new(Errand { tries: vec![failed, vec![Step::Effect], vec![Step::Sleep(1); 150]] })
}

/// Enqueues until Redis is full. Answers how many jobs were accepted; every refusal must say why.
async fn flood(scene: &Scene) -> anyhow::Result<usize> {
    let (began, mut accepted) = (Instant::now(), 0);
    loop {
        anyhow::ensure!(began.elapsed() < Duration::from_secs(30), "Redis is not full after {accepted} jobs");
        let outcomes = scene.producer.enqueue_all(vec![comes_back(); 100]).await;
        let mut full = false;
        for outcome in &outcomes {
            scene.tell_of_enqueue(outcome);
            match outcome {
                Ok(_) => accepted += 1,
                Err(EnqueueError::Refused(error)) if error.code() == Some("OOM") => full = true,
                Err(error) => anyhow::bail!("a full Redis was told as: {error}"),
            }
        }
        if full {
            return Ok(accepted);
        }
    }
}

/// Waits until producers are accepted again, with Redis still limited.
async fn drain(scene: &Scene) -> anyhow::Result<Duration> {
    let began = Instant::now();
    loop {
        let outcome = scene.producer.enqueue(comes_back()).await;
        scene.tell_of_enqueue(&outcome);
        if outcome.is_ok() && scene.counts().await?.ready == 0 {
            return Ok(began.elapsed());
        }
        anyhow::ensure!(began.elapsed() < Duration::from_secs(60), "a full Redis is not drained");
        sleep(Duration::from_millis(100)).await;
    }
}
