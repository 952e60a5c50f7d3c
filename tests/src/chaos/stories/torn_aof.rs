//! R3: a crash leaves the append-only file cut anywhere in its last 64 KiB. Every script is in it whole or not at all: no
//! job is nowhere or in two places, and none has an outcome while it is alive. What was cut off is lost, and no more.
//!
//! Redis 7.0 itself cuts such a file only behind the last whole command. If that lies inside a MULTI, the first start is
//! right, but what is appended later joins the rest of the transaction, and the *next* start carries out half a script.
//! So the file is rewritten after a tear, as docs/operations.md tells people to do.

use std::{collections::HashSet, time::Duration};

use flota_engine::{Record, Status};
use flota_producer::{JobId, NewJob};
use rand::RngExt;

use crate::{
    chaos::{
        checker::Terms,
        conservation,
        errand::{Errand, Step},
        history::EVERYTHING,
        scene::{QUEUE, Scene, Stage, Told},
        shims::PowerLoss,
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "torn-aof",
    promise: "R3",
    what: "the append-only file is cut at a random byte of its last 64 KiB",
    seeds: 3,
    smoke: false,
    tell: telling!(tell),
};

/// The least that one enqueue takes in the file: an id twice, an envelope, and the commands around them.
const BYTES_OF_A_JOB: u64 = 110;

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let mut scene = Scene::open(seed, Stage::default()).await?;
    let mut bytes_lost = 0;
    for _ in 0..4 {
        scene.workers(2).await?;
        let load = scene.load(8, Duration::from_millis(20), retried())?;
        let slow = scene.load(2, Duration::from_millis(50), retried().after(Duration::from_millis(400)))?;
        scene.pause_between(500, 1_500).await;
        // All runs of this fleet are at risk, since the file is cut wherever it happens to be.
        scene.fault_began("file torn", EVERYTHING);
        scene.redis.kill().await?;
        load.stop().await?;
        slow.stop().await?;
        for place in scene.living() {
            scene.kill(place).await?;
        }
        let random = scene.rng.random();
        bytes_lost += PowerLoss::Torn { random }.strike(&mut scene.redis).await?.lost_bytes;
        scene.rewrite_aof().await?;
        check_whole(&scene).await?;
        scene.fault_ended("file torn", EVERYTHING);
    }
    scene.workers(2).await?;
    scene.figure("bytes lost", bytes_lost);
    // What had ended within the lost part runs again, whenever that was.
    let may_lose = Some((bytes_lost / BYTES_OF_A_JOB) as usize);
    scene.close(&Terms { may_lose, unannounced_faults: true, ..Terms::default() }).await
}

/// Fails first, so that it passes through every place a job can be in.
fn retried() -> NewJob {
    let (first, then) = (vec![Step::Fail(flota_engine::ErrorClass::ServerError)], vec![Step::Effect]);
    NewJob::new(Errand { tries: vec![first, then] })
}

/// With nobody at work: each live job is in one place, and none of them has ended.
async fn check_whole(scene: &Scene) -> anyhow::Result<()> {
    let findings = conservation::look(&scene.link, QUEUE).await?;
    anyhow::ensure!(findings.is_empty(), "after the tear: {}", findings.join(", "));
    let keys = scene.keys();
    let alive: HashSet<JobId> = scene.link.query(redis::cmd("HKEYS").arg(keys.jobs())).await?;
    // Each entry: its id, then names and values of its fields.
    let entries: Vec<(String, Vec<String>)> =
        scene.link.query(redis::cmd("XRANGE").arg(keys.outcomes()).arg("-").arg("+")).await?;
    for (_, fields) in entries {
        let records = fields.iter().skip_while(|field| *field != "o").nth(1);
        for line in records.map(String::as_str).unwrap_or_default().lines() {
            let record: Record = serde_json::from_str(line)?;
            let both = record.status != Status::Retried && alive.contains(&record.id);
            anyhow::ensure!(!both, "job {} is alive, and a record says that it ended", record.id);
        }
    }
    Ok(())
}
