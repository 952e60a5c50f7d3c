//! R24: Redis loses everything under load (FLUSHALL), or single keys. Every job that came through the outbox
//! reaches an outcome, because its row is kept until then. Jobs that were in Redis alone are lost, and the fleet says so.

use std::{collections::HashSet, time::Duration};

use flota_producer::{JobId, Outbox};
use rand::{RngExt, seq::IndexedRandom};
use sqlx::Row;
use uuid::Uuid;

use crate::{
    chaos::{
        checker::Terms,
        errand::effect_between,
        history::{self, EVERYTHING, What},
        scene::{Scene, Stage, Told},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "redis-wiped",
    promise: "R24",
    what: "FLUSHALL, or the deletion of a key, while jobs of the outbox and others run",
    seeds: 3,
    smoke: false,
    tell: telling!(tell),
};

/// Jobs of the outbox in each round.
const COMMITTED: usize = 300;
/// When a job of the outbox is looked for, in milliseconds.
const LOST_AFTER_MS: u64 = 3_000;

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let environment = vec![("CHAOS_LOST_AFTER_MS".to_owned(), LOST_AFTER_MS.to_string())];
    let mut scene = Scene::open(seed, Stage { environment, ..Stage::default() }).await?;
    scene.workers(3).await?;
    let (mut committed, mut direct) = (HashSet::new(), HashSet::new());
    for round in 0..4 {
        committed.extend(commit(&scene, COMMITTED).await?);
        let load = scene.load(5, Duration::from_millis(20), effect_between(50, 50))?;
        scene.pause_between(300, 1_500).await;
        wipe(&mut scene, round == 0).await?;
        direct.extend(load.stop().await?);
    }
    scene.come_to_rest().await?;
    let ended = ended(&scene).await?;
    let missing = committed.difference(&ended).count();
    anyhow::ensure!(missing == 0, "{missing} of {} jobs of the outbox have no outcome", committed.len());
    let lost = direct.difference(&ended).count();
    scene.figure("from the outbox", committed.len());
    scene.figure("others lost", lost);
    check_reported(&scene)?;
    // What is lost is lost for certain only beside what the outbox kept: none of that may be missing.
    let terms = Terms { may_lose: Some(lost), unannounced_faults: true, ..Terms::default() };
    scene.close(&terms).await
}

/// Commits jobs to the outbox.
async fn commit(scene: &Scene, jobs: usize) -> anyhow::Result<Vec<JobId>> {
    let pool = scene.pool()?;
    let mut transaction = pool.begin().await?;
    let jobs = vec![effect_between(20, 20); jobs];
    let receipts = Outbox::default().enqueue_all_in(&mut transaction, jobs).await?;
    transaction.commit().await?;
    for receipt in &receipts {
        scene.history.tell(What::Accepted { job: receipt.id });
    }
    Ok(receipts.into_iter().map(|receipt| receipt.id).collect())
}

/// Takes everything, or one key of the queue. What is in line or under lease is not taken from a live `jobs`: that is for
/// the repair pass to put back, and not for the outbox.
async fn wipe(scene: &mut Scene, everything: bool) -> anyhow::Result<()> {
    scene.fault_began("wiped", EVERYTHING);
    if everything || scene.rng.random() {
        scene.link.query::<()>(&redis::cmd("FLUSHALL")).await?;
    } else {
        let keys = scene.keys();
        let keys = [keys.jobs(), keys.marks(), keys.outcomes(), keys.bell(), keys.config()];
        let key = keys.choose(&mut scene.rng).cloned();
        scene.link.query::<()>(redis::cmd("DEL").arg(key)).await?;
    }
    scene.fault_ended("wiped", EVERYTHING);
    Ok(())
}

async fn ended(scene: &Scene) -> anyhow::Result<HashSet<JobId>> {
    let rows = sqlx::query("SELECT DISTINCT job_id FROM outcomes").fetch_all(&scene.pool()?).await?;
    Ok(rows.iter().map(|row| row.get::<Uuid, _>(0).into()).collect())
}

/// Somebody must have said that the queue was found empty.
fn check_reported(scene: &Scene) -> anyhow::Result<()> {
    let history = history::read_all(scene.directory())?;
    let reported = history.iter().filter(|entry| matches!(entry.what, What::Wiped)).count();
    anyhow::ensure!(0 < reported, "Redis was wiped, and no worker says so");
    Ok(())
}
