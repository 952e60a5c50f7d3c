//! R10: jobs that take their whole process down (abort, stack overflow, more memory than the process may have) end as
//! dead letters after exactly `max_deliveries` processes, and nobody else does: not the 63 long jobs beside such a pill,
//! and not the many quick ones. Nothing is charged to any of them.

use std::time::Duration;

use anyhow::ensure;
use flota_producer::JobId;
use sqlx::Row;
use tokio::time::{Instant, sleep};

use super::memory_limit::with_little_memory;
use crate::{
    chaos::{
        checker::Terms,
        errand::{Step, effect_between, errand},
        scene::{Scene, Stage, Told},
        story::Story,
    },
    telling,
};

pub(super) const BESIDE_INNOCENTS: Story = Story {
    name: "poison-beside-innocents",
    promise: "R10",
    what: "one job of 64 in a process takes it down again and again; only that one is buried",
    seeds: 6,
    smoke: false,
    tell: telling!(beside_innocents),
};

pub(super) const AMONG_MANY: Story = Story {
    name: "poison-among-many",
    promise: "R10",
    what: "jobs that abort, overflow the stack and eat the memory come among thousands of quick ones",
    seeds: 3,
    smoke: false,
    tell: telling!(among_many),
};

/// MiB that a greedy job wants; far more than a worker of these stories may have.
const GREED: usize = 8 * 1024;
/// Lost leases at which a job is dead.
const MAX_DELIVERIES: u32 = 4;
/// By when the pills must be buried.
const BURIED_WITHIN: Duration = Duration::from_secs(150);

/// What a pill does.
const PILLS: [Step; 3] = [Step::Abort, Step::Overflow, Step::Hog(GREED)];

async fn beside_innocents(seed: u64) -> anyhow::Result<Told> {
    let stage = Stage { concurrency: 64, max_deliveries: MAX_DELIVERIES, ..Stage::default() };
    let mut scene = Scene::open(seed, stage).await?;
    let kind = &PILLS[seed as usize % PILLS.len()];
    let mut jobs = vec![effect_between(1_500, 0); 63];
    let place = rand::RngExt::random_range(&mut scene.rng, 0..=jobs.len());
    jobs.insert(place, errand([Step::Sleep(300), kind.clone()]));
    let pill = scene.enqueue(jobs).await[place];
    let options = with_little_memory(&scene)?;
    // One process at first, so that all of them are in it.
    scene.worker_with(options.clone()).await?;
    let mut crashes = 0;
    while crashes < 2 {
        crashes += scene.replace_the_dead().await?;
    }
    for _ in 0..2 {
        scene.worker_with(options.clone()).await?;
    }
    crashes += until_buried(&mut scene, 1).await?;
    scene.figure("pill", format!("{kind:?}"));
    scene.figure("processes lost", crashes);
    ensure!(crashes == MAX_DELIVERIES as usize, "{crashes} processes were lost, not {MAX_DELIVERIES}");
    exactly_these_are_buried(&scene, &[pill]).await?;
    scene.close(&Terms { max_attempts: Some(1), ..Terms::default() }).await
}

async fn among_many(seed: u64) -> anyhow::Result<Told> {
    let stage = Stage { max_deliveries: MAX_DELIVERIES, ..Stage::default() };
    let mut scene = Scene::open(seed, stage).await?;
    let options = with_little_memory(&scene)?;
    for _ in 0..3 {
        scene.worker_with(options.clone()).await?;
    }
    let quick = scene.load(10, Duration::from_millis(25), errand([Step::Effect]))?;
    let (mut crashes, mut pills) = (0, Vec::new());
    for kind in &PILLS {
        scene.pause_between(200, 1_500).await;
        pills.extend(scene.enqueue(vec![errand([kind.clone()])]).await);
        crashes += scene.replace_the_dead().await?;
    }
    crashes += until_buried(&mut scene, pills.len() as i64).await?;
    let healthy = quick.stop().await?.len();
    scene.wait_for_outcomes((healthy + pills.len()) as i64, Duration::from_secs(60)).await?;
    let at_once = share_of_first_runs(&scene).await?;
    scene.figure("processes lost", crashes);
    scene.figure("healthy jobs", healthy);
    scene.figure("of these ended by their first run", format!("{:.2} %", at_once * 100.0));
    let most = MAX_DELIVERIES as usize * pills.len();
    ensure!(crashes <= most, "{crashes} processes were lost, more than {most}");
    ensure!(0.99 <= at_once, "only {:.2} % of the healthy jobs ended by their first run", at_once * 100.0);
    exactly_these_are_buried(&scene, &pills).await?;
    scene.close(&Terms { max_attempts: Some(1), ..Terms::default() }).await
}

/// Replaces workers that end until so many jobs are dead. Answers how many ended.
async fn until_buried(scene: &mut Scene, pills: i64) -> anyhow::Result<usize> {
    let (began, pool) = (Instant::now(), scene.pool()?);
    let mut crashes = 0;
    loop {
        crashes += scene.replace_the_dead().await?;
        let dead = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM outcomes WHERE status = 'dead'");
        let dead = dead.fetch_one(&pool).await?;
        if pills <= dead {
            return Ok(crashes);
        }
        ensure!(began.elapsed() < BURIED_WITHIN, "{dead} of {pills} pills are dead after {BURIED_WITHIN:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Exactly the pills are dead, as poison.
async fn exactly_these_are_buried(scene: &Scene, pills: &[JobId]) -> anyhow::Result<()> {
    let rows = sqlx::query("SELECT job_id, error_class FROM outcomes WHERE status = 'dead'");
    let rows = rows.fetch_all(&scene.pool()?).await?;
    let mut buried: Vec<JobId> = rows.iter().map(|row| row.get::<uuid::Uuid, _>(0).into()).collect();
    let mut pills = pills.to_vec();
    buried.sort_unstable();
    pills.sort_unstable();
    ensure!(buried == pills, "the pills are {pills:?}, and buried were {buried:?}");
    let as_poison = |row: &sqlx::postgres::PgRow| row.get::<Option<&str>, _>(1) == Some("poison");
    ensure!(rows.iter().all(as_poison), "a pill was buried for another reason than that it is one");
    Ok(())
}

/// Of the jobs that succeeded, the share that needed one run only.
async fn share_of_first_runs(scene: &Scene) -> anyhow::Result<f64> {
    const SHARE: &str = "SELECT (count(*) FILTER (WHERE run = 1))::float8 / count(*) FROM outcomes WHERE status = 'succeeded'";
    Ok(sqlx::query_scalar(SHARE).fetch_one(&scene.pool()?).await?)
}
