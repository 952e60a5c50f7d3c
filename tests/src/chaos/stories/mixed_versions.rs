//! R12: old and new workers side by side, as in the middle of a deploy. An old one that meets a kind or an envelope
//! version that it does not know puts the job aside for a newer one: it never fails it and never charges it. The golden
//! envelopes of every release are in producer-lib/tests/wire.

use std::time::Duration;

use anyhow::ensure;
use flota_producer::{JobId, Priority};

use crate::{
    chaos::{
        checker::Terms,
        errand::{Step, effect_between, errand},
        history::What,
        scene::{Scene, Stage, Told, WorkerOptions},
        story::Story,
        timeline,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "mixed-versions",
    promise: "R12",
    what: "old workers meet kinds and envelope versions that only newer ones know, and both work side by side",
    seeds: 5,
    smoke: false,
    tell: telling!(tell),
};

/// Jobs that nobody here can read.
const FROM_THE_FUTURE: usize = 5;
/// Jobs that meet old workers only, at first.
const TOO_NEW: u64 = 40;
/// By when a new worker has run what old ones put aside before it came; some jobs go to and fro for a while, about once
/// a second.
const TAKEN_WITHIN: Duration = Duration::from_secs(45);

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let mut scene = Scene::open(seed, Stage::default()).await?;
    let old = WorkerOptions {
        environment: vec![("CHAOS_OLD_RELEASE".into(), "1".into())],
        arguments: vec!["--queue".into(), "toys".into()],
        ..WorkerOptions::default()
    };
    for _ in 0..2 {
        scene.worker_with(old.clone()).await?;
    }
    let future = from_the_future(&scene).await?;
    scene.enqueue_many(TOO_NEW as usize, &errand([Step::Effect])).await;
    let all_parked = TOO_NEW + FROM_THE_FUTURE as u64;
    scene.wait_until("all are parked", TAKEN_WITHIN, |counts| counts.parked == all_parked).await?;

    scene.worker().await?;
    let took = scene.wait_for_outcomes(TOO_NEW as i64, TAKEN_WITHIN).await?;
    scene.figure("parked jobs ran after", format!("{:.1} s", took.as_secs_f64()));
    side_by_side(&mut scene).await?;
    scene
        .wait_until("only the unreadable are parked", Duration::from_secs(60), |counts| {
            counts.parked == future.len() as u64 && counts.ready == 0 && counts.running == 0
        })
        .await?;
    let to_and_fro = most_runs(&scene).await?;
    scene.figure("most runs of a job", to_and_fro);
    for job in future {
        scene.cancel(job).await?;
    }
    let charged = timeline::recovered(&scene.so_far()?);
    ensure!(charged == 0, "{charged} leases were charged to their jobs");
    scene.close(&Terms { no_repeats: true, max_attempts: Some(1), ..Terms::default() }).await
}

/// Old and new workers share a load, and the old ones leave one by one.
async fn side_by_side(scene: &mut Scene) -> anyhow::Result<()> {
    let load = scene.load(5, Duration::from_millis(100), effect_between(10, 10))?;
    scene.worker().await?;
    for old in [0, 1] {
        scene.pause_between(1_000, 4_000).await;
        let ended_well = scene.terminate(old).await?;
        ensure!(ended_well, "an old worker did not end well");
    }
    scene.pause_between(500, 1_000).await;
    load.stop().await?;
    Ok(())
}

/// Puts jobs of a release that does not exist yet into the queue, as its producer would.
async fn from_the_future(scene: &Scene) -> anyhow::Result<Vec<JobId>> {
    let mut jobs = Vec::new();
    for number in 0..FROM_THE_FUTURE {
        let job = JobId::from(uuid::Uuid::now_v7());
        let keys = scene.keys();
        let body = format!(r#"{{"v":3,"kind":"errand","body":{{"number":{number}}}}}"#);
        let mut pipeline = redis::pipe();
        pipeline.atomic().cmd("HSET").arg(keys.jobs()).arg(job).arg(body).ignore();
        pipeline.cmd("RPUSH").arg(keys.ready(Priority::Normal)).arg(job).ignore();
        scene.link.pipeline::<()>(&pipeline).await?;
        scene.history.tell(What::Accepted { job });
        jobs.push(job);
    }
    Ok(jobs)
}

/// How often the job that went to and fro most was fetched.
async fn most_runs(scene: &Scene) -> anyhow::Result<i32> {
    let most = sqlx::query_scalar::<_, Option<i32>>("SELECT max(run) FROM outcomes");
    Ok(most.fetch_one(&scene.pool()?).await?.unwrap_or_default())
}
