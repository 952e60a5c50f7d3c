//! R15: jobs are cancelled at any age. One that waits never starts, one that runs is told within a heartbeat and half a
//! second, and one that ends at the same moment has one outcome. A paused queue starts nothing after a second.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use flota_engine::store::Cancelled;
use flota_producer::{JobId, NewJob};
use futures_util::future::try_join_all;
use rand::{RngExt, seq::SliceRandom};
use tokio::time::sleep;

use crate::{
    chaos::{
        checker::Terms,
        errand::{Step, effect_between, errand},
        history::{self, Carried, What},
        percentile::percentile,
        scene::{Scene, Stage, Told},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "cancel-and-pause",
    promise: "R15",
    what: "3,000 jobs of every age are cancelled, and their queue is paused and goes on",
    seeds: 3,
    smoke: false,
    tell: telling!(tell),
};

/// How long a worker may take to hear of it beyond a heartbeat.
const HEARD_WITHIN: Duration = Duration::from_millis(500);
/// Cancellations on their way at the same time.
const AT_ONCE: usize = 16;
/// Jobs that run for so long that only a cancellation ends them.
const LONG: usize = 48;

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let stage = Stage { concurrency: 32, ..Stage::default() };
    let heard_within = stage.heartbeat + HEARD_WITHIN;
    let mut scene = Scene::open(seed, stage).await?;
    scene.workers(2).await?;
    let mut answers = BTreeMap::new();

    let long = scene.enqueue_many(LONG, &effect_between(120_000, 0)).await;
    scene.wait_for_running(LONG as u64, Duration::from_secs(20)).await?;
    let jobs = of_every_age(&mut scene.rng);
    let mut jobs = scene.enqueue(jobs).await;
    jobs.extend(&long[..LONG / 2]);
    jobs.shuffle(&mut scene.rng);
    cancel_all(&mut scene, &jobs, &mut answers).await?;

    scene.enqueue_many(200, &errand([Step::Sleep(5), Step::Effect])).await;
    scene.pause_queue().await?;
    scene.pause_between(1_500, 2_500).await;
    cancel_all(&mut scene, &long[LONG / 2..], &mut answers).await?;
    sleep(heard_within).await;
    let running = scene.counts().await?.running;
    anyhow::ensure!(
        running == 0,
        "{running} jobs run in a queue that is paused and whose jobs are cancelled"
    );
    scene.resume_queue().await?;

    let asked = answers.values().filter(|answer| **answer == Cancelled::Requested).count();
    scene.figure("cancelled at once", answers.values().filter(|a| **a == Cancelled::Now).count());
    scene.figure("asked to stop", asked);
    let heard = told_to_stop(&scene)?;
    let slowest = percentile(&heard, 1.0).unwrap_or_default();
    scene.figure("told after at most", format!("{} ms", slowest.as_millis()));
    anyhow::ensure!(LONG <= heard.len(), "only {} running jobs were told to stop", heard.len());
    anyhow::ensure!(slowest <= heard_within, "a running job was told to stop after {slowest:.1?}");
    scene.close(&Terms { no_repeats: true, ..Terms::default() }).await
}

/// Jobs that run at once, soon, or after a while.
fn of_every_age(rng: &mut impl RngExt) -> Vec<NewJob> {
    (0..3_000)
        .map(|_| {
            let runs_for = rng.random_range(0..40);
            match rng.random_range(0..3) {
                0 => effect_between(runs_for, 5),
                _ => effect_between(runs_for, 5).after(Duration::from_millis(rng.random_range(1..15_000))),
            }
        })
        .collect()
}

/// Cancels jobs, several at a time, with a random pause now and then.
async fn cancel_all(
    scene: &mut Scene,
    jobs: &[JobId],
    answers: &mut BTreeMap<JobId, Cancelled>,
) -> anyhow::Result<()> {
    for some in jobs.chunks(AT_ONCE) {
        let done = try_join_all(some.iter().map(|job| scene.cancel(*job))).await?;
        answers.extend(some.iter().copied().zip(done));
        if scene.rng.random_bool(0.2) {
            scene.pause_between(1, 50).await;
        }
    }
    Ok(())
}

/// How long each run that was asked to stop went on.
fn told_to_stop(scene: &Scene) -> anyhow::Result<Vec<Duration>> {
    let (mut asked, mut ended) = (Vec::new(), HashMap::new());
    for entry in history::read_all(scene.directory())? {
        match entry.what {
            What::Cancelled { job, at_once: false } => asked.push((job, entry.ns)),
            What::Settled { job, verdict: Carried::Ended, .. } => drop(ended.insert(job, entry.ns)),
            _ => {}
        }
    }
    let heard = |(job, asked): &(JobId, u64)| {
        let ended: u64 = *ended.get(job)?;
        // One that ended by itself may have done so before the answer was written down.
        Some(Duration::from_nanos(ended.saturating_sub(*asked)))
    };
    let found: Vec<Duration> = asked.iter().filter_map(heard).collect();
    let deaf = asked.len() - found.len();
    anyhow::ensure!(deaf == 0, "{deaf} running jobs were asked to stop and have not");
    Ok(found)
}
