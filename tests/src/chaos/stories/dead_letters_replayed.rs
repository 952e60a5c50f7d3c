//! R14: a dead letter is replayed once. The command is given by two people at once, killed at every place where it can be
//! killed, and given again; the relays that carry the replays into Redis are killed at every step of theirs, and all of
//! them are gone for longer than it takes to be thought lost. Each letter becomes one job, which acts once.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::ensure;
use flota_producer::JobId;
use rand::{RngExt, seq::SliceRandom};
use sqlx::PgPool;
use tokio::time::sleep;

use crate::{
    chaos::{
        checker::Terms,
        errand::{Step, errand},
        provider::Behaviour,
        scene::{Scene, Stage, Told, WorkerOptions},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "dead-letters-replayed",
    promise: "R14",
    what: "replays are commanded twice and killed at every step, and so are the relays that send them",
    seeds: 3,
    smoke: true,
    tell: telling!(tell),
};

const LETTERS: usize = 1_000;
/// Where the command dies.
const COMMAND: [&str; 4] = ["bulk-created", "bulk-locked", "bulk-stepped", "bulk-committed"];
/// Where relays die.
const RELAY: [&str; 3] = ["relay-taken", "relay-sent", "relay-noted"];
/// After how long a job that was sent and is nowhere counts as lost.
const LOST_AFTER_MS: u64 = 2_000;
const PATIENCE: Duration = Duration::from_secs(60);

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let lost_after = ("CHAOS_LOST_AFTER_MS".to_owned(), LOST_AFTER_MS.to_string());
    let stage = Stage { concurrency: 64, environment: vec![lost_after], ..Stage::default() };
    let mut scene = Scene::open(seed, stage).await?;
    let letters = bury(&mut scene).await?;
    let pool = scene.pool()?;
    replay_with_deaths(&mut scene).await?;
    let replaying = count(&pool, "SELECT count(*) FROM dead_letters WHERE state = 'replaying'").await?;
    ensure!(replaying == LETTERS as i64, "{replaying} of {LETTERS} letters are being replayed");
    send_with_deaths(&mut scene).await?;
    // Nobody relays for longer than it takes to be thought lost.
    sleep(Duration::from_millis(LOST_AFTER_MS * 3 / 2)).await;
    scene.worker().await?;
    scene.wait_for_outcomes(2 * LETTERS as i64, PATIENCE).await?;
    check(&scene, &pool, &letters).await?;
    scene.figure("letters", LETTERS);
    scene.figure("commands killed", 2 * COMMAND.len());
    scene.figure("relays killed", RELAY.len());
    scene.close(&Terms { no_repeats: true, ..Terms::default() }).await
}

/// Real dead letters: their only try met a provider that failed. Afterwards it works again, and no worker is left.
async fn bury(scene: &mut Scene) -> anyhow::Result<Vec<JobId>> {
    scene.provider.behave(Behaviour::FailBeforeWork(500));
    let worker = scene.worker().await?;
    let letters = scene.enqueue_many(LETTERS, &errand([Step::Effect]).max_attempts(1)).await;
    scene.wait_for_outcomes(LETTERS as i64, PATIENCE).await?;
    ensure!(scene.terminate(worker).await?, "the worker did not end well");
    scene.provider.behave(Behaviour::Answer(200));
    Ok(letters)
}

/// Two people give the command at the same time, and both commands die; again for each place; then somebody finishes.
async fn replay_with_deaths(scene: &mut Scene) -> anyhow::Result<()> {
    let replay = ["dead", "replay", "--queue", scene.queue_name(), "--yes"].map(str::to_owned).to_vec();
    let mut points = COMMAND;
    points.shuffle(&mut scene.rng);
    for point in points {
        let open = "SELECT id::text FROM bulk_operations WHERE state = 'running' ORDER BY random() LIMIT 1";
        let open: Option<String> = sqlx::query_scalar(open).fetch_optional(&scene.pool()?).await?;
        let resume = open.map(|id| vec!["bulk".to_owned(), "resume".to_owned(), id]);
        let passes = scene.rng.random_range(0..2);
        let dies = format!("{point}={passes}*off->1*return(kill)");
        let one = flota(scene, resume.as_ref().unwrap_or(&replay), Some(&dies));
        let other = flota(scene, &replay, Some(&dies));
        tokio::try_join!(one, other)?;
    }
    let open: Vec<String> =
        sqlx::query_scalar("SELECT id::text FROM bulk_operations WHERE state = 'running'")
            .fetch_all(&scene.pool()?)
            .await?;
    for id in open {
        let resume = ["bulk".to_owned(), "resume".to_owned(), id];
        flota(scene, &resume, None).await?;
    }
    flota(scene, &replay, None).await?;
    let left = count(&scene.pool()?, "SELECT count(*) FROM bulk_operations WHERE state <> 'done'").await?;
    ensure!(left == 0, "{left} operations are not done although all of them were resumed");
    Ok(())
}

/// Gives a command and waits for its end, however it ends: when others have taken its letters it says so.
async fn flota(scene: &Scene, arguments: &[String], failpoints: Option<&str>) -> anyhow::Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = scene.flota(&arguments)?;
    command.stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(failpoints) = failpoints {
        command.env("FAILPOINTS", failpoints);
    }
    command.status().await?;
    Ok(())
}

/// One relay after the other dies at its place. They work on another queue, so nothing is run yet.
async fn send_with_deaths(scene: &mut Scene) -> anyhow::Result<()> {
    let mut points = RELAY;
    points.shuffle(&mut scene.rng);
    for point in points {
        let environment = vec![("FAILPOINTS".to_owned(), format!("{point}=1*return(kill)"))];
        let arguments = vec!["--queue".to_owned(), "webhook".to_owned()];
        let doomed = WorkerOptions { environment, arguments, ..WorkerOptions::default() };
        let place = scene.start_worker(doomed).await?;
        let name = scene.workers[place].name.clone();
        scene.fault_began("relay killed", &name);
        scene.wait_for_death(place, PATIENCE).await?;
        scene.fault_ended("relay killed", &name);
    }
    Ok(())
}

/// Each letter is replayed, as one job, which had one effect.
async fn check(scene: &Scene, pool: &PgPool, letters: &[JobId]) -> anyhow::Result<()> {
    let replayed = "SELECT count(*) FROM dead_letters WHERE state = 'replayed'";
    let began = Instant::now();
    while count(pool, replayed).await? < LETTERS as i64 && began.elapsed() < PATIENCE {
        sleep(Duration::from_millis(50)).await;
    }
    let replayed = count(pool, replayed).await?;
    ensure!(replayed == LETTERS as i64, "{replayed} of {LETTERS} letters were replayed");
    let jobs = count(pool, "SELECT count(*) FROM outcomes WHERE replay_of IS NOT NULL").await?;
    let distinct = count(pool, "SELECT count(DISTINCT replay_of) FROM outcomes").await?;
    ensure!(
        jobs == distinct && distinct == LETTERS as i64,
        "{jobs} jobs repeat {distinct} of {LETTERS} letters"
    );
    let effects = scene.provider.effects()?;
    ensure!(effects.len() == LETTERS, "{} effects came of {LETTERS} replays", effects.len());
    let early = effects.iter().filter(|effect| letters.contains(&effect.job)).count();
    ensure!(early == 0, "{early} letters had an effect before they died");
    Ok(())
}

async fn count(pool: &PgPool, sql: &'static str) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar(sql).fetch_one(pool).await?)
}
