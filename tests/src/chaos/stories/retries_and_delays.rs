//! R13: jobs run when they are due: at most a second late, and never early, not even while a worker is killed in the
//! middle of making jobs ready. When 10,000 are due within one second, all are ready within a second; how soon so many
//! start is a matter of the workers, which are no release builds here. Tries count 1, 2, 3 up to the limit of their
//! class, and a job that is due in a day waits for it in one place, once.

use std::{collections::HashMap, time::Duration};

use flota_engine::ErrorClass;
use flota_producer::{JobId, NewJob};
use rand::RngExt;
use tokio::time::sleep;

use crate::{
    chaos::{
        checker::Terms,
        errand::{Errand, Step, errand},
        evidence::Evidence,
        history::{self, What},
        percentile::percentile,
        redis_time::RedisTime,
        scene::{Scene, Stage, Told, WorkerOptions},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "retries-and-delays",
    promise: "R13",
    what: "10,000 jobs are due within a second, others fail until they are dead, and a worker dies making jobs ready",
    seeds: 3,
    smoke: false,
    tell: telling!(tell),
};

/// Jobs that are due within one second.
const SPIKE: usize = 10_000;
/// Jobs that are due within two seconds.
const FEW: usize = 1_000;
/// Most microseconds that 99 % of jobs may be late.
const LATE: i64 = 1_000_000;
/// Most microseconds that one may be early.
const EARLY: i64 = 1_000;
/// Tries that a queue gives a failing server unless it says otherwise.
const TRIES: u32 = 3;
/// How soon jobs of the second round are due, and over how long, in ms.
const SECOND_ROUND: (u64, u64) = (1_000, 4_000);

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let stage = Stage { concurrency: 64, ..Stage::default() };
    let mut scene = Scene::open(seed, stage).await?;
    scene.workers(2).await?;
    let clock = RedisTime::ask(&scene.link).await?;
    let tomorrow = scene.enqueue_many(200, &errand([]).after(Duration::from_hours(24))).await;
    scene.enqueue_many(100, &errand([Step::Effect, Step::Fail(ErrorClass::ServerError)])).await;
    scene.enqueue_many(100, &fails_once()).await;
    wait_for_starts(&scene).await?;

    let round = delayed(&mut scene, &clock, FEW, (1_000, 2_000)).await?;
    wait_for_starts(&scene).await?;
    let mut late = lateness(&scene, &clock, &round)?;
    let p99 = percentile(&late, 0.99).unwrap_or(i64::MAX);
    scene.figure("late p99 of 500 due per second", format!("{} ms", p99 / 1_000));
    anyhow::ensure!(p99 <= LATE, "1 % of {FEW} jobs started more than {} ms late", p99 / 1_000);

    let spike = delayed(&mut scene, &clock, SPIKE, (3_000, 1_000)).await?;
    let overdue = longest_overdue(&scene, &clock, &spike).await?;
    scene.figure("10,000 due within 1 s: ready after at most", format!("{overdue} ms"));
    anyhow::ensure!(overdue * 1_000 <= LATE, "a job was still not ready {overdue} ms after it was due");
    wait_for_starts(&scene).await?;
    let its = lateness(&scene, &clock, &spike)?;
    scene.figure("started p99 after", format!("{} ms", percentile(&its, 0.99).unwrap_or(0) / 1_000));
    late.extend(its);

    let doomed = doomed_promoter(&mut scene).await?;
    let round = delayed(&mut scene, &clock, 2_000, SECOND_ROUND).await?;
    lose(&mut scene, doomed).await?;
    wait_for_starts(&scene).await?;
    let early = lateness(&scene, &clock, &round)?.into_iter().chain(late).min().unwrap_or(0);
    let margin = EARLY + clock.error.as_micros() as i64;
    anyhow::ensure!(-margin <= early, "a job started {} µs before it was due", -early);
    scene.figure("earliest", format!("{early} µs after it was due"));

    let counts = scene.counts().await?;
    anyhow::ensure!(counts.delayed >= tomorrow.len() as u64, "jobs of tomorrow are gone: {counts:?}");
    for job in tomorrow {
        scene.cancel(job).await?;
    }
    all_tries_were_used(&scene).await?;
    scene.close(&Terms { max_attempts: Some(TRIES), ..Terms::default() }).await
}

/// Fails, and then succeeds.
fn fails_once() -> NewJob {
    let first = vec![Step::Effect, Step::Fail(ErrorClass::Network)];
    NewJob::new(Errand { tries: vec![first, vec![Step::Effect]] })
}

/// Enqueues jobs whose due times lie in a stretch of time from now on, and answers them: (from, length) in ms.
async fn delayed(
    scene: &mut Scene,
    clock: &RedisTime,
    count: usize,
    (from, length): (u64, u64),
) -> anyhow::Result<HashMap<JobId, u64>> {
    let begins = clock.now_ms() + from;
    let due: Vec<u64> = (0..count).map(|_| begins + scene.rng.random_range(0..length)).collect();
    let jobs = due.iter().map(|due| errand([]).at(*due)).collect();
    let accepted = scene.enqueue(jobs).await;
    anyhow::ensure!(accepted.len() == count, "only {} of {count} jobs were accepted", accepted.len());
    anyhow::ensure!(clock.now_ms() < begins, "this machine took too long to enqueue {count} jobs");
    Ok(accepted.into_iter().zip(due).collect())
}

/// A further worker, which will die right after it has made due jobs ready.
async fn doomed_promoter(scene: &mut Scene) -> anyhow::Result<usize> {
    let after = scene.rng.random_range(20..60);
    let failpoint = ("FAILPOINTS".to_owned(), format!("promoted={after}*off->1*return(kill)"));
    scene.worker_with(WorkerOptions { environment: vec![failpoint], ..WorkerOptions::default() }).await
}

async fn lose(scene: &mut Scene, place: usize) -> anyhow::Result<()> {
    scene.wait_for_death(place, Duration::from_secs(30)).await?;
    let name = scene.workers[place].name.clone();
    scene.fault_began("killed", &name);
    scene.fault_ended("killed", &name);
    Ok(())
}

/// For how many milliseconds the job that was made ready last had been due by then, as far as looks at Redis can tell.
async fn longest_overdue(scene: &Scene, clock: &RedisTime, due: &HashMap<JobId, u64>) -> anyhow::Result<i64> {
    let last = due.values().max().copied().unwrap_or(0);
    let next = redis::cmd("ZRANGE").arg(scene.keys().delayed()).arg(0).arg(0).arg("WITHSCORES").to_owned();
    let mut longest = 0;
    loop {
        let asked = clock.now_ms();
        let first: Vec<(Vec<u8>, f64)> = scene.link.query(&next).await?;
        let waiting = first.first().map(|(_, due)| *due as u64).filter(|due| *due <= last);
        let Some(waiting) = waiting else { return Ok(longest) };
        longest = longest.max(asked as i64 - waiting as i64);
        sleep(Duration::from_millis(5)).await;
    }
}

async fn wait_for_starts(scene: &Scene) -> anyhow::Result<()> {
    let patience = Duration::from_secs(60);
    scene
        .wait_until("every due job has started", patience, |counts| {
            // What is left are the jobs of tomorrow.
            counts.ready == 0 && counts.running == 0 && counts.delayed <= 200
        })
        .await?;
    // The last lines of the histories are written by then.
    sleep(Duration::from_millis(100)).await;
    Ok(())
}

/// How many microseconds after its time each job started first; negative when it was early.
fn lateness(scene: &Scene, clock: &RedisTime, due: &HashMap<JobId, u64>) -> anyhow::Result<Vec<i64>> {
    let mut first: HashMap<JobId, i64> = HashMap::new();
    for entry in history::read_all(scene.directory())? {
        if let What::Started { job, .. } = entry.what
            && let Some(due) = due.get(&job)
        {
            first.entry(job).or_insert_with(|| clock.micros_after(*due, &entry));
        }
    }
    anyhow::ensure!(first.len() == due.len(), "{} of {} due jobs started", first.len(), due.len());
    Ok(first.into_values().collect())
}

/// A job that always fails is dead after exactly its tries.
async fn all_tries_were_used(scene: &Scene) -> anyhow::Result<()> {
    let mut evidence = Evidence::default();
    evidence.read_postgres(&scene.pool()?).await?;
    let dead = evidence.outcomes.iter().filter(|row| row.status == "dead");
    let early = dead.clone().filter(|row| row.attempt != TRIES).count();
    anyhow::ensure!(early == 0, "{early} jobs were buried before their {TRIES} tries were used");
    anyhow::ensure!(dead.count() == 100, "not every job that always fails is dead");
    Ok(())
}
