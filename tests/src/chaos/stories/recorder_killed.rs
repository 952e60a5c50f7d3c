//! R8: an outcome is recorded once, however often it is delivered. Recorders are killed and cut off before the commit,
//! between commit and removal, and after it; two of them record the same queue; and at the end everything that they
//! recorded is delivered again, twice, with pairs of the same outcome in one entry: no row changes.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use flota_engine::ErrorClass;
use rand::{RngExt, seq::IndexedRandom};

use crate::{
    chaos::{
        checker::Terms,
        errand::{Errand, Step, effect_between, errand},
        scene::{Scene, Stage, Told, WorkerOptions},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "recorder-killed",
    promise: "R8",
    what: "recorders die between writing, committing and removing, and every outcome is delivered again",
    seeds: 3,
    smoke: true,
    tell: telling!(tell),
};

/// Where recorders die.
const POINTS: [&str; 3] = ["record-written", "record-committed", "record-removed"];
/// How often a recorder that was killed is replaced by another one that will be.
const KILLS: usize = 4;
/// Jobs whose outcomes are delivered again at the end.
const KEPT: usize = 300;
const PATIENCE: Duration = Duration::from_secs(30);

/// Entries of the outcomes stream: fields and values in turn.
type Entries = Vec<(String, Vec<Vec<u8>>)>;

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let mut scene = Scene::open(seed, Stage::default()).await?;
    let load = scene.load(5, Duration::from_millis(20), effect_between(1, 1))?;
    // Always two recorders at once, and both about to die.
    let mut doomed = VecDeque::from([doomed_worker(&mut scene).await?, doomed_worker(&mut scene).await?]);
    for _ in 0..KILLS {
        wait_for_a_death(&mut scene, &mut doomed).await?;
        doomed.push_back(doomed_worker(&mut scene).await?);
    }
    for _ in 0..doomed.len() {
        wait_for_a_death(&mut scene, &mut doomed).await?;
    }
    load.stop().await?;
    // From here on they only lose their connection, each time with a good chance.
    let cut_off: Vec<String> = POINTS.iter().map(|point| format!("{point}=25%return(error)")).collect();
    let shaky = with_failpoints(&cut_off.join(";"));
    scene.worker_with(shaky.clone()).await?;
    scene.worker_with(shaky).await?;
    let kept = settle_without_postgres(&mut scene).await?;
    scene
        .wait_until("all is recorded", PATIENCE, |now| now.ready + now.running + now.unrecorded == 0)
        .await?;
    let before = rows(&scene).await?;
    let delivered = deliver_again(&mut scene, &kept).await?;
    scene.wait_until("all is recorded again", PATIENCE, |now| now.unrecorded == 0).await?;
    let after = rows(&scene).await?;
    ensure!(before == after, "delivering every outcome again changed rows: {before:?} became {after:?}");
    scene.figure("recorders killed", KILLS + 2);
    scene.figure("entries delivered again", delivered);
    scene.figure("rows changed by that", 0);
    scene.close(&Terms::default()).await
}

fn with_failpoints(points: &str) -> WorkerOptions {
    let environment = vec![("FAILPOINTS".to_owned(), points.to_owned())];
    WorkerOptions { environment, ..WorkerOptions::default() }
}

/// Lets some jobs end in every way while Postgres is frozen. Answers their outcomes as they lie in the stream.
async fn settle_without_postgres(scene: &mut Scene) -> anyhow::Result<Entries> {
    scene.postgres.pause().await?;
    let retried = Errand { tries: vec![vec![Step::Fail(ErrorClass::Network)], vec![Step::Effect]] };
    let kinds = [errand([Step::Effect]), errand([Step::Bury]), flota_producer::NewJob::new(retried)];
    for kind in &kinds {
        scene.enqueue_many(KEPT / kinds.len(), kind).await;
    }
    let done = scene.wait_until("they end without Postgres", PATIENCE, |now| {
        now.ready + now.delayed + now.running == 0 && 0 < now.unrecorded
    });
    done.await?;
    let mut read = redis::cmd("XRANGE");
    let kept = scene.link.query(read.arg(scene.keys().outcomes()).arg("-").arg("+")).await?;
    scene.postgres.resume().await?;
    Ok(kept)
}

/// A worker whose recorder kills it when it has passed some place a few times.
async fn doomed_worker(scene: &mut Scene) -> anyhow::Result<usize> {
    let point = POINTS.choose(&mut scene.rng).unwrap_or(&POINTS[0]);
    let passes = scene.rng.random_range(0..6);
    let place = scene.start_worker(with_failpoints(&format!("{point}={passes}*off->1*return(kill)"))).await?;
    // It also runs jobs, which its death may repeat.
    scene.fault_began("doomed", &scene.workers[place].name);
    Ok(place)
}

async fn wait_for_a_death(scene: &mut Scene, doomed: &mut VecDeque<usize>) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let place = doomed.pop_front().context("no worker is doomed")?;
        if scene.wait_for_death(place, Duration::from_millis(20)).await.is_ok() {
            scene.fault_ended("doomed", &scene.workers[place].name);
            return Ok(());
        }
        doomed.push_back(place);
        ensure!(began.elapsed() < PATIENCE, "no recorder was killed within {PATIENCE:?}");
    }
}

/// Puts what was recorded into the stream again, twice, and once more as pairs in one entry.
async fn deliver_again(scene: &mut Scene, kept: &Entries) -> anyhow::Result<usize> {
    let outcomes = scene.keys().outcomes();
    let mut pipeline = redis::pipe();
    for round in 0..3 {
        for (_, fields) in kept {
            let add = pipeline.cmd("XADD").arg(&outcomes).arg("*");
            for pair in fields.chunks(2) {
                let records = pair[0] == b"o" && round == 2;
                let twice = [pair[1].as_slice(), pair[1].as_slice()].join(&b'\n');
                add.arg(&pair[0]).arg(if records { &twice } else { &pair[1] });
            }
            add.ignore();
        }
    }
    scene.link.pipeline::<()>(&pipeline).await?;
    Ok(kept.len() * 3)
}

/// How many rows each table has, and what is in them.
async fn rows(scene: &Scene) -> anyhow::Result<Vec<(i64, String)>> {
    let pool = scene.pool()?;
    let mut tables = Vec::new();
    for table in ["outcomes", "attempts", "dead_letters"] {
        let sql = format!(
            "SELECT count(*), coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {table} AS t"
        );
        tables.push(sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_one(&pool).await?);
    }
    Ok(tables)
}
