//! R7: Postgres is away for a minute under steady load, half of the time frozen and half of it killed. Enqueueing and
//! processing go on; afterwards history catches up at least three times as fast as new outcomes come in.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::time::sleep;

use crate::{
    chaos::{
        checker::Terms,
        errand::effect_between,
        history::EVERYTHING,
        scene::{Scene, Stage, Told},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "postgres-away-long",
    promise: "R7",
    what: "Postgres is frozen for 30 s and then killed for 30 s, and history catches up",
    seeds: 1,
    smoke: false,
    tell: telling!(tell),
};

const HALF: Duration = Duration::from_secs(30);
/// How much faster than the inflow history must catch up.
const CATCH_UP: f64 = 3.0;
const PATIENCE: Duration = Duration::from_secs(60);

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let mut scene = Scene::open(seed, Stage { concurrency: 32, ..Stage::default() }).await?;
    scene.workers(2).await?;
    let load = scene.load(20, Duration::from_millis(100), effect_between(1, 1))?;
    scene.wait_for_outcomes(200, PATIENCE).await?;
    let before = scene.provider.effects()?.len();
    let away = Instant::now();
    scene.fault_began("Postgres frozen, then killed", EVERYTHING);
    scene.postgres.pause().await?;
    sleep(HALF).await;
    scene.postgres.kill().await?;
    sleep(HALF).await;
    let done = scene.provider.effects()?.len() - before;
    let inflow = done as f64 / away.elapsed().as_secs_f64();
    let waiting = scene.counts().await?;
    ensure!(waiting.ready < 200, "{} jobs wait although workers have nothing else to do", waiting.ready);
    scene.postgres.start_again().await?;
    scene.fault_ended("Postgres frozen, then killed", EVERYTHING);
    let (back, first) = (Instant::now(), rows(&scene).await?);
    scene.wait_until("history is up to date", PATIENCE, |now| now.unrecorded < 20).await?;
    let took = back.elapsed();
    let rate = (rows(&scene).await? - first) as f64 / took.as_secs_f64();
    load.stop().await?;
    scene.figure("done while Postgres was away", done);
    scene.figure("inflow per s", inflow.round());
    scene.figure("recorded per s afterwards", rate.round());
    scene.figure("up to date after ms", took.as_millis());
    ensure!(
        inflow * CATCH_UP <= rate,
        "history caught up at {rate:.0} rows/s with {inflow:.0} jobs/s coming in"
    );
    scene.close(&Terms { no_repeats: true, ..Terms::default() }).await
}

async fn rows(scene: &Scene) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM outcomes").fetch_one(&scene.pool()?).await?)
}
