//! R17: a large backlog. Its memory is bounded, Redis starts again with it soon, workers are as fast in front of it as of a
//! small one, and the memory comes back when it is drained.

use std::time::{Duration, Instant};

use flota_producer::NewJob;
use tokio::time::sleep;

use crate::{
    chaos::{
        checker::Terms,
        errand::Errand,
        scene::{Scene, Stage, Told},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "large-backlog",
    promise: "R17",
    what: "100,000 jobs wait, Redis is restarted, and workers drain them",
    seeds: 3,
    smoke: false,
    tell: telling!(large),
};

pub(super) const HUGE: Story = Story {
    name: "huge-backlog",
    promise: "R17",
    what: "1,000,000 jobs of 300 bytes wait, Redis is restarted, and workers go on as fast as before",
    seeds: 1,
    smoke: false,
    tell: telling!(huge),
};

/// Jobs in one call.
const AT_ONCE: usize = 5_000;
/// Memory of a million jobs, and what Redis takes for itself.
const BYTES_OF_A_MILLION: u64 = 600 * 1024 * 1024;
const BYTES_WITHOUT_JOBS: u64 = 40 * 1024 * 1024;
/// By when Redis serves again with a million jobs.
const STARTED_WITHIN: Duration = Duration::from_secs(15);
/// Least speed in front of the large backlog, beside that in front of a small one.
const LEAST_SPEED: f64 = 0.9;
/// Most memory after the drain, beside that before the backlog.
const MOST_MEMORY: f64 = 1.3;
const PATIENCE: Duration = Duration::from_secs(240);

async fn large(seed: u64) -> anyhow::Result<Told> {
    tell(seed, 100_000).await
}

async fn huge(seed: u64) -> anyhow::Result<Told> {
    tell(seed, 1_000_000).await
}

/// A job of 300 bytes with its id.
fn job() -> NewJob {
    NewJob::new(Errand { tries: vec![Vec::new()] }).meta("filler", "x".repeat(150))
}

async fn tell(seed: u64, jobs: usize) -> anyhow::Result<Told> {
    let stage = Stage { concurrency: 64, queue: "max_len = 2000000".into(), ..Stage::default() };
    let mut scene = Scene::open(seed, stage).await?;
    scene.workers(2).await?;
    let before = scene.redis_info("used_memory_rss").await?;
    scene.pause_queue().await?;
    enqueue(&scene, jobs).await?;
    check_memory(&mut scene, jobs).await?;
    scene.kill_redis().await?;
    let began = Instant::now();
    scene.start_redis().await?;
    let took = began.elapsed();
    scene.figure("restart", format!("{took:.1?}"));
    anyhow::ensure!(took <= STARTED_WITHIN, "Redis serves {took:.1?} after its start");
    check_speed(&mut scene, jobs).await?;
    scene.wait_for_outcomes(jobs as i64, PATIENCE).await?;
    check_memory_is_back(&mut scene, before).await?;
    scene.close(&Terms { no_repeats: true, ..Terms::default() }).await
}

/// Lets the workers drain everything in one go. The fifth of it that has nearly everything behind it must go as fast as
/// the last one, which has nothing behind it.
async fn check_speed(scene: &mut Scene, jobs: usize) -> anyhow::Result<()> {
    let fifth = jobs / 5;
    scene.resume_queue().await?;
    // The first twentieth warms up.
    until_left(scene, jobs - jobs / 20).await?;
    let large = drained(scene, jobs - jobs / 20 - fifth, fifth).await?;
    until_left(scene, fifth).await?;
    let small = drained(scene, 0, fifth).await?;
    scene.figure("jobs/s at the end, at the beginning", format!("{small:.0}, {large:.0}"));
    anyhow::ensure!(
        small * LEAST_SPEED <= large,
        "{large:.0} jobs/s in front of {jobs} jobs, and {small:.0} in front of none"
    );
    Ok(())
}

/// Jobs per second until only so many are left.
async fn drained(scene: &Scene, left: usize, jobs: usize) -> anyhow::Result<f64> {
    let began = Instant::now();
    until_left(scene, left).await?;
    Ok(jobs as f64 / began.elapsed().as_secs_f64())
}

async fn until_left(scene: &Scene, left: usize) -> anyhow::Result<()> {
    let began = Instant::now();
    while left < scene.link.query::<usize>(redis::cmd("HLEN").arg(scene.keys().jobs())).await? {
        anyhow::ensure!(began.elapsed() < PATIENCE, "more than {left} jobs are left after {PATIENCE:?}");
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Enqueues while nothing is fetched.
async fn enqueue(scene: &Scene, jobs: usize) -> anyhow::Result<()> {
    let mut left = jobs;
    while 0 < left {
        let count = left.min(AT_ONCE);
        let accepted = scene.enqueue_many(count, &job()).await.len();
        anyhow::ensure!(accepted == count, "only {accepted} of {count} jobs were accepted");
        left -= count;
    }
    Ok(())
}

async fn check_memory(scene: &mut Scene, jobs: usize) -> anyhow::Result<()> {
    let memory = scene.redis_info("used_memory_rss").await?;
    let allowed = BYTES_WITHOUT_JOBS + BYTES_OF_A_MILLION * jobs as u64 / 1_000_000;
    scene.figure("MB with the backlog", memory / 1024 / 1024);
    anyhow::ensure!(memory <= allowed, "{jobs} jobs take {memory} bytes, more than {allowed}");
    Ok(())
}

/// The allocator gives memory back in its own time.
async fn check_memory_is_back(scene: &mut Scene, before: u64) -> anyhow::Result<()> {
    let most = (before as f64 * MOST_MEMORY) as u64;
    let began = Instant::now();
    loop {
        let memory = scene.redis_info("used_memory_rss").await?;
        if memory <= most || Duration::from_secs(30) < began.elapsed() {
            scene.figure("MB before, after", format!("{}, {}", before / 1024 / 1024, memory / 1024 / 1024));
            anyhow::ensure!(memory <= most, "{memory} bytes of memory after the drain, {before} before");
            return Ok(());
        }
        sleep(Duration::from_millis(200)).await;
    }
}
