//! R7: when Postgres is away for so long that history piles up in Redis, workers stop fetching at a high-water mark, so
//! that history cannot fill Redis. Enqueueing goes on. When Postgres is back everything goes on by itself.
//!
//! To get there in time the story adds the outcome of one job to the stream some twenty thousand times, which becomes
//! one row.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::time::sleep;

use crate::{
    chaos::{
        checker::Terms,
        errand::{Step, errand},
        history::EVERYTHING,
        scene::{Scene, Stage, Told},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "history-backlog",
    promise: "R7",
    what: "Postgres is away until history has piled up to the high-water mark, and comes back",
    seeds: 3,
    smoke: false,
    tell: telling!(tell),
};

/// Entries from which on workers fetch nothing (`worker/engine/src/fetch.rs`).
const HIGH_WATER: u64 = 20_000;
/// Entries that may come on top: those of runs that were fetched before.
const ON_TOP: u64 = 64;
const JOBS: usize = 2_000;
const PATIENCE: Duration = Duration::from_secs(30);

/// Adds the first entry of a stream to it, again and again, until it is so long.
const PILE_UP: &str = "
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
while redis.call('XLEN', KEYS[1]) < tonumber(ARGV[1]) do redis.call('XADD', KEYS[1], '*', unpack(first[2])) end";

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let mut scene = Scene::open(seed, Stage::default()).await?;
    scene.workers(2).await?;
    scene.fault_began("Postgres frozen", EVERYTHING);
    scene.postgres.pause().await?;
    scene.enqueue_many(1, &errand([Step::Effect])).await;
    scene.wait_until("an outcome waits", PATIENCE, |now| now.unrecorded == 1 && now.running == 0).await?;
    let pile_up = redis::Script::new(PILE_UP);
    let mut call = pile_up.key(scene.keys().outcomes());
    scene.link.invoke::<()>(call.arg(HIGH_WATER - 20)).await?;
    // One entry for each, as slow jobs make them.
    let accepted = scene.enqueue_many(JOBS, &errand([Step::Sleep(20), Step::Effect])).await;
    ensure!(accepted.len() == JOBS, "only {} of {JOBS} jobs were accepted", accepted.len());
    let stopped = |now: &flota_engine::inspect::Counts| HIGH_WATER < now.unrecorded && now.running == 0;
    scene.wait_until("workers stop fetching", PATIENCE, stopped).await?;
    let (began, full) = (Instant::now(), scene.counts().await?);
    ensure!(full.unrecorded <= HIGH_WATER + ON_TOP, "{} entries wait in the stream", full.unrecorded);
    ensure!(0 < full.ready, "all jobs ran: the story tells nothing");
    while began.elapsed() < Duration::from_secs(2) {
        let now = scene.counts().await?;
        ensure!(
            now.ready == full.ready && now.running == 0,
            "jobs are fetched above the high-water mark: {now:?}"
        );
        sleep(Duration::from_millis(100)).await;
    }
    let more = scene.enqueue_many(50, &errand([Step::Effect])).await;
    ensure!(more.len() == 50, "enqueueing stopped at the high-water mark");
    scene.postgres.resume().await?;
    scene.fault_ended("Postgres frozen", EVERYTHING);
    let back = Instant::now();
    scene.wait_for_outcomes((JOBS + 51) as i64, PATIENCE).await?;
    scene.figure("entries at most", full.unrecorded);
    scene.figure("jobs that waited", full.ready);
    scene.figure("all done and recorded after ms", back.elapsed().as_millis());
    scene.close(&Terms { no_repeats: true, ..Terms::default() }).await
}
