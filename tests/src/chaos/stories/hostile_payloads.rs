//! R23: 10,000 envelopes that somebody put into Redis by hand, broken in every way that we could think of, beside clean
//! jobs. Each has the fate that is written beside it, with a reason; no worker panics or restarts; and clean jobs do not
//! pile up behind them. What producers can be talked into goes the same way. Envelopes that are larger than any producer
//! may write come last: moving hundreds of megabytes takes its time, whatever is in them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use flota_engine::{inspect, store::Cancelled};
use flota_producer::{JobId, MAX_BYTES, NewJob, keys::Priority};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::sleep;

use crate::{
    chaos::{
        checker::Terms,
        errand::{Step, errand},
        evidence::Evidence,
        history::{self, Carried, What},
        monotonic::now_ns,
        scene::{QUEUE, Scene, Stage, Told},
        story::Story,
    },
    hostile::{Fate, Hostile, payloads},
    telling,
};

pub(super) const STORY: Story = Story {
    name: "hostile-payloads",
    promise: "R23",
    what: "10,000 broken, lying, huge and future envelopes are put among clean jobs, past every check",
    seeds: 3,
    smoke: false,
    tell: telling!(tell),
};

const HOSTILE: usize = 10_000;
/// Envelopes that are put into Redis at once, and the pause behind them.
const BATCH: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);
/// How long the clean jobs alone are measured.
const ALONE: Duration = Duration::from_secs(6);
/// Share of the clean jobs that may be accepted and not be done.
const LOSS: f64 = 0.05;
/// How long the fleet may take until every hostile envelope has met its fate.
const MET_WITHIN: Duration = Duration::from_secs(60);

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let mut scene = Scene::open(seed, Stage { concurrency: 32, ..Stage::default() }).await?;
    scene.workers(2).await?;
    let load = scene.load(20, PAUSE, errand([Step::Sleep(5)]))?;
    // Made beforehand: this process must not be what is slow.
    let (large, hostile): (Vec<Hostile>, Vec<Hostile>) =
        payloads(seed, HOSTILE).partition(|hostile| MAX_BYTES < hostile.bytes.len());
    let began = now_ns();
    sleep(ALONE).await;
    let (threw, mut fates) = (now_ns(), HashMap::new());
    throw(&scene, &hostile, &mut fates).await?;
    let done = now_ns();
    let odd = scene.enqueue(talked_into(seed)).await;
    load.stop().await?;
    throw(&scene, &large, &mut fates).await?;
    clean_jobs_keep_up(&mut scene, &fates, [began, threw, done])?;
    let parked: HashSet<JobId> =
        fates.iter().filter(|(_, fate)| **fate == Fate::Parked).map(|(id, _)| *id).collect();
    everything_met_its_fate(&scene).await?;
    unpark(&scene, &parked, &odd).await?;
    nobody_panicked(&scene)?;
    ended_as_foretold(&scene, &fates).await?;
    for (fate, count) in counted(&fates) {
        scene.figure(format!("{fate:?}").to_lowercase(), count);
    }
    scene.close(&Terms { no_repeats: true, ..Terms::default() }).await
}

fn counted(fates: &HashMap<JobId, Fate>) -> BTreeMap<Fate, usize> {
    let mut counts = BTreeMap::new();
    for fate in fates.values() {
        *counts.entry(*fate).or_default() += 1;
    }
    counts
}

/// Of the clean jobs that were accepted while hostile ones came, as many are done as of those before.
fn clean_jobs_keep_up(
    scene: &mut Scene,
    fates: &HashMap<JobId, Fate>,
    [began, threw, done]: [u64; 3],
) -> anyhow::Result<()> {
    let history = history::read_all(scene.directory())?;
    for (when, from, until) in [("alone", began, threw), ("beside hostile ones", threw, done)] {
        let (mut accepted, mut ended) = (0_u32, 0_u32);
        for entry in history.iter().filter(|entry| (from..until).contains(&entry.ns)) {
            match entry.what {
                What::Accepted { job } if !fates.contains_key(&job) => accepted += 1,
                What::Settled { job, verdict: Carried::Ended, .. } if !fates.contains_key(&job) => ended += 1,
                _ => {}
            }
        }
        let seconds = Duration::from_nanos(until - from).as_secs_f64();
        let share = f64::from(ended) / f64::from(accepted.max(1));
        scene.figure(format!("clean jobs {when}"), format!("{:.0}/s", f64::from(ended) / seconds));
        anyhow::ensure!(
            1.0 - LOSS <= share,
            "{ended} of {accepted} clean jobs were done in {seconds:.0} s {when}: they pile up"
        );
    }
    Ok(())
}

/// Puts every hostile envelope where a job's body belongs, and its id in line.
async fn throw(scene: &Scene, hostile: &[Hostile], fates: &mut HashMap<JobId, Fate>) -> anyhow::Result<()> {
    for batch in hostile.chunks(BATCH) {
        let mut pipeline = redis::pipe();
        // Body and place at once, as a producer's script does: a look in between would find a job that is nowhere.
        pipeline.atomic();
        for hostile in batch {
            let id = JobId::mint();
            pipeline.cmd("HSET").arg(scene.keys().jobs()).arg(id).arg(&hostile.bytes).ignore();
            pipeline.cmd("RPUSH").arg(scene.keys().ready(Priority::Normal)).arg(id).ignore();
            scene.history.tell(What::Accepted { job: id });
            fates.insert(id, hostile.fate);
        }
        scene.link.pipeline::<()>(&pipeline).await?;
        sleep(PAUSE).await;
    }
    Ok(())
}

/// What a producer accepts of the same trouble: any kind it may name, with any payload.
fn talked_into(seed: u64) -> Vec<NewJob> {
    #[derive(Deserialize)]
    struct Parts {
        kind: String,
        payload: Box<RawValue>,
    }
    let parts =
        payloads(seed + 1, 1_000).filter_map(|hostile| serde_json::from_slice::<Parts>(&hostile.bytes).ok());
    parts.map(|Parts { kind, payload }| NewJob::untyped(kind, QUEUE, payload)).collect()
}

/// Waits until nothing is in line, runs, or waits for Postgres: what is left is parked.
async fn everything_met_its_fate(scene: &Scene) -> anyhow::Result<()> {
    scene
        .wait_until("every hostile envelope has met its fate", MET_WITHIN, |counts| {
            counts.ready == 0 && counts.running == 0 && counts.delayed == 0 && counts.unrecorded == 0
        })
        .await?;
    Ok(())
}

/// What waits for a newer worker does so with a reason, and can be cancelled.
async fn unpark(scene: &Scene, parked: &HashSet<JobId>, odd: &[JobId]) -> anyhow::Result<()> {
    let query = redis::cmd("HGETALL").arg(scene.keys().parked()).to_owned();
    let reasons: HashMap<JobId, Vec<u8>> = scene.link.query(&query).await?;
    anyhow::ensure!(reasons.values().all(|reason| !reason.is_empty()), "a parked job has no reason");
    let missing = parked.iter().filter(|id| !reasons.contains_key(*id)).count();
    anyhow::ensure!(missing == 0, "{missing} envelopes should wait for a newer worker and do not");
    for id in reasons.into_keys() {
        anyhow::ensure!(
            parked.contains(&id) || odd.contains(&id),
            "{id} waits for a newer worker and should not"
        );
        let done = inspect::cancel(&scene.link, &scene.keys(), id, "story").await?;
        anyhow::ensure!(done == Cancelled::Now, "the parked job {id} could not be cancelled: {done:?}");
    }
    Ok(())
}

fn nobody_panicked(scene: &Scene) -> anyhow::Result<()> {
    for (place, worker) in scene.workers.iter().enumerate() {
        anyhow::ensure!(scene.living().contains(&place), "{} has ended", worker.name);
        let log = scene.log(&worker.name);
        let panic = log.lines().find(|line| line.contains("panicked"));
        anyhow::ensure!(panic.is_none(), "{} panicked: {}", worker.name, panic.unwrap_or_default());
    }
    Ok(())
}

/// Every outcome is the one that was foretold, and every dead letter has its reason.
async fn ended_as_foretold(scene: &Scene, fates: &HashMap<JobId, Fate>) -> anyhow::Result<()> {
    let patience = Duration::from_secs(20);
    scene.wait_until("everything is recorded", patience, |counts| counts.unrecorded == 0).await?;
    let mut evidence = Evidence::default();
    evidence.read_postgres(&scene.pool()?).await?;
    let mut wrong = BTreeMap::new();
    for row in evidence.outcomes {
        let (Some(fate), class) = (fates.get(&row.job), row.class.unwrap_or_default()) else { continue };
        let (status, its_class) = match fate {
            Fate::Dead => ("dead", "undecodable"),
            Fate::Parked => ("cancelled", ""),
            Fate::Expired => ("expired", ""),
            Fate::Succeeded => ("succeeded", ""),
        };
        if row.status != status || (*fate == Fate::Dead && class != its_class) {
            *wrong.entry(format!("{fate:?} became {} {class}", row.status)).or_insert(0) += 1;
        }
    }
    anyhow::ensure!(wrong.is_empty(), "fates were not as foretold: {wrong:?}");
    Ok(())
}
