//! R21: ten times more slow jobs than the fleet can run wait in one queue, and jobs of another are picked up as soon as
//! before. A worker never holds more leases of a queue than it runs at once: what it cannot start is left to others.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use flota_engine::inspect;
use flota_producer::{JobId, keys::Prefix};
use tokio::time::{Instant, sleep};

use crate::{
    chaos::{
        checker::Terms,
        errand::{Step, effect_between, errand},
        history::{self, What},
        monotonic::now_ns,
        percentile::percentile,
        scene::{Scene, Stage, Told},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "slow-beside-fast",
    promise: "R21",
    what: "a queue has ten times more jobs of 30 s than the fleet can run, and the queue beside it goes on as before",
    seeds: 3,
    smoke: false,
    tell: telling!(tell),
};

const SLOW: &str = "slow";
const CONCURRENCY: usize = 16;
const WORKERS: usize = 2;
/// How long each half is measured.
const MEASURED: Duration = Duration::from_secs(6);
/// Differences below this are the machine's: threads that wait for a processor.
const NOISE: Duration = Duration::from_millis(25);

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let stage = Stage { concurrency: CONCURRENCY, tables: format!("[queues.{SLOW}]"), ..Stage::default() };
    let mut scene = Scene::open(seed, stage).await?;
    scene.workers(WORKERS).await?;
    let load = scene.load(5, Duration::from_millis(50), errand([Step::Sleep(2)]))?;
    let before = picked_up_while(&scene, None).await?;

    let slow = effect_between(30_000, 0).queue(SLOW);
    let slow = scene.enqueue_many(10 * CONCURRENCY * WORKERS, &slow).await;
    let beside = picked_up_while(&scene, Some(&slow)).await?;

    cancel(&scene, &slow).await?;
    let after = picked_up_while(&scene, None).await?;
    load.stop().await?;
    let [before, beside, after] =
        [before, beside, after].map(|all| percentile(&all, 0.99).unwrap_or_default());
    for (when, p99) in [("before", before), ("beside", beside), ("after", after)] {
        scene.figure(format!("picked up p99 {when}"), format!("{} ms", p99.as_millis()));
    }
    let most = before.max(after) * 2 + NOISE;
    anyhow::ensure!(
        beside <= most,
        "99 % of the fast jobs were picked up within {beside:.1?} beside slow ones, and {before:.1?} without"
    );
    held_at_once(&scene, &slow)?;
    scene.close(&Terms { no_repeats: true, ..Terms::default() }).await
}

/// How long each fast job of a stretch of time waited for its start. Leases of the slow queue are counted meanwhile.
async fn picked_up_while(scene: &Scene, slow: Option<&[JobId]>) -> anyhow::Result<Vec<Duration>> {
    let keys = Prefix::default().queue(SLOW);
    let (from, began) = (now_ns(), Instant::now());
    while began.elapsed() < MEASURED {
        if slow.is_some() {
            let leases = inspect::counts(&scene.link, &keys).await?.running;
            let most = (CONCURRENCY * WORKERS) as u64;
            anyhow::ensure!(
                leases <= most,
                "{WORKERS} workers hold {leases} leases, and may run {most} jobs"
            );
        }
        sleep(Duration::from_millis(50)).await;
    }
    let slow: HashSet<&JobId> = slow.into_iter().flatten().collect();
    let mut waiting = HashMap::new();
    let mut found = Vec::new();
    for entry in history::read_all(scene.directory())?.into_iter().filter(|entry| from <= entry.ns) {
        match entry.what {
            What::Accepted { job } if !slow.contains(&job) => drop(waiting.insert(job, entry.ns)),
            // One that started before its producer heard of it did not wait.
            What::Started { job, .. } => {
                found.extend(waiting.remove(&job).map(|since| Duration::from_nanos(entry.ns - since)));
            }
            _ => {}
        }
    }
    Ok(found)
}

async fn cancel(scene: &Scene, slow: &[JobId]) -> anyhow::Result<()> {
    let keys = Prefix::default().queue(SLOW);
    for job in slow {
        inspect::cancel(&scene.link, &keys, *job, "story").await?;
    }
    Ok(())
}

/// No worker may have run more slow jobs at once than it is allowed, and all of them together ran as many as they may.
fn held_at_once(scene: &Scene, slow: &[JobId]) -> anyhow::Result<()> {
    let slow: HashSet<&JobId> = slow.iter().collect();
    let mut running: HashMap<String, HashSet<JobId>> = HashMap::new();
    let mut most = 0;
    for entry in history::read_all(scene.directory())? {
        match entry.what {
            What::Started { job, .. } if slow.contains(&job) => {
                let its = running.entry(entry.process).or_default();
                its.insert(job);
                most = most.max(its.len());
            }
            What::Settled { job, .. } => {
                running.get_mut(&entry.process).map(|its| its.remove(&job));
            }
            _ => {}
        }
    }
    anyhow::ensure!(
        most == CONCURRENCY,
        "a worker ran {most} slow jobs at once, and should run {CONCURRENCY}"
    );
    Ok(())
}
