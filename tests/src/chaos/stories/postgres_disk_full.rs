//! R7: the disk of Postgres is full for a while. Jobs are accepted and done meanwhile, and every outcome is recorded once
//! when there is room again.

use std::time::{Duration, Instant};

use anyhow::ensure;
use flota_worker::dev::PostgresOptions;
use sqlx::{Connection, PgConnection};
use tokio::time::sleep;

use crate::{
    chaos::{
        checker::Terms,
        disk::{NoDisk, SmallDisk},
        errand::effect_between,
        history::EVERYTHING,
        scene::{Scene, Stage, Told},
        story::{CannotBeTold, Story},
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "postgres-disk-full",
    promise: "R7",
    what: "the disk of Postgres is full for some seconds, under load",
    seeds: 3,
    smoke: false,
    tell: telling!(tell),
};

/// Room for a cluster with its log, and little more.
const MEGABYTES: u32 = 160;
const PATIENCE: Duration = Duration::from_secs(30);

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let disk = match SmallDisk::mount(MEGABYTES) {
        Ok(disk) => disk,
        Err(reason @ (NoDisk::NotRoot | NoDisk::Refused { .. })) => {
            return Err(CannotBeTold(reason.to_string()).into());
        }
        Err(error) => return Err(error.into()),
    };
    let postgres = PostgresOptions { directory: Some(disk.folder()), ..PostgresOptions::default() };
    let mut scene = Scene::open(seed, Stage { postgres, ..Stage::default() }).await?;
    scene.workers(2).await?;
    let load = scene.load(10, Duration::from_millis(40), effect_between(1, 1))?;
    scene.wait_for_outcomes(100, PATIENCE).await?;
    scene.fault_began("disk of Postgres full", EVERYTHING);
    disk.fill()?;
    scene.wait_until("history is late", PATIENCE, |now| 50 < now.unrecorded).await?;
    let done = scene.provider.effects()?.len();
    scene.pause_between(1_000, 4_000).await;
    let meanwhile = scene.provider.effects()?.len() - done;
    ensure!(100 < meanwhile, "only {meanwhile} jobs were done while the disk was full");
    let unrecorded = scene.counts().await?.unrecorded;
    disk.free()?;
    start_if_it_gave_up(&mut scene).await?;
    scene.fault_ended("disk of Postgres full", EVERYTHING);
    let back = Instant::now();
    load.stop().await?;
    scene.wait_until("history is up to date", PATIENCE, |now| now.unrecorded == 0).await?;
    scene.figure("entries that waited", unrecorded);
    scene.figure("history up to date after ms", back.elapsed().as_millis());
    let told = scene.close(&Terms { no_repeats: true, ..Terms::default() }).await;
    drop(disk);
    told
}

/// Without room for its log Postgres ends itself, and whoever supervises it starts it again.
async fn start_if_it_gave_up(scene: &mut Scene) -> anyhow::Result<()> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        if PgConnection::connect(&scene.database_url()).await.is_ok() {
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    scene.figure("Postgres ended itself", "yes");
    Ok(scene.postgres.start_again().await?)
}
