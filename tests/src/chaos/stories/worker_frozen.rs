//! R2: a worker stops in the middle of its work for three leases and then goes on, as after a long pause of its machine.
//! Others have taken its jobs over, so nothing it says of them may be heard, and nothing but what it had under way may
//! have its effect twice. It is frozen from outside, or freezes itself exactly between the effect and the settle.

use std::{collections::HashSet, time::Duration};

use anyhow::{Context, ensure};
use tokio::time::{Instant, sleep};

use crate::{
    chaos::{
        checker::Terms,
        errand::effect_between,
        history::What,
        monotonic::now_ns,
        scene::{Scene, Stage, Told, WorkerOptions},
        story::Story,
        timeline::{self, Run},
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "worker-frozen",
    promise: "R2",
    what: "a worker under load is frozen for three leases; its jobs run elsewhere, and then it goes on",
    seeds: 20,
    smoke: true,
    tell: telling!(from_outside),
};

pub(super) const AFTER_AN_EFFECT: Story = Story {
    name: "frozen-after-effect",
    promise: "R2",
    what: "a worker is frozen for three leases exactly between an effect and its settle",
    seeds: 3,
    smoke: false,
    tell: telling!(after_an_effect),
};

/// How long the worker may take until it knows what it has lost.
const HEARD_WITHIN: Duration = Duration::from_secs(10);

async fn from_outside(seed: u64) -> anyhow::Result<Told> {
    tell(seed, WorkerOptions::default()).await
}

async fn after_an_effect(seed: u64) -> anyhow::Result<Told> {
    let action = format!("run-returned={}*off->1*return(stop)", 20 + seed % 50);
    tell(seed, WorkerOptions { environment: vec![("FAILPOINTS".into(), action)], ..WorkerOptions::default() })
        .await
}

async fn tell(seed: u64, options: WorkerOptions) -> anyhow::Result<Told> {
    let stage = Stage::default();
    let lease = stage.lease;
    let mut scene = Scene::open(seed, stage).await?;
    let by_itself = !options.environment.is_empty();
    scene.workers(2).await?;
    let victim = scene.worker_with(options).await?;
    let quick = scene.load(5, Duration::from_millis(100), effect_between(20, 20))?;
    let slow = scene.load(1, Duration::from_millis(250), effect_between(800, 800))?;
    if by_itself {
        scene.wait_until_frozen(victim, Duration::from_secs(30)).await?;
    } else {
        scene.pause_between(1_500, 3_000).await;
        wait_until_busy(&scene, victim).await?;
        scene.freeze(victim).await?;
    }
    let frozen_at = now_ns();
    sleep(lease * 3).await;
    scene.thaw(victim).await?;
    let accepted = quick.stop().await?.len() + slow.stop().await?.len();
    scene.wait_for_outcomes(accepted as i64, Duration::from_secs(30)).await?;

    let taken_over = nothing_it_says_is_heard(&scene, victim, frozen_at).await?;
    scene.figure("taken over and refused", taken_over);
    let told = scene.close(&Terms::default()).await?;
    let repeated = told.repeated;
    ensure!(repeated <= taken_over, "{repeated} effects were repeated and {taken_over} runs were under way");
    Ok(told)
}

/// Waits until the worker has a slow run under way, which it will still have when the signal arrives.
async fn wait_until_busy(scene: &Scene, victim: usize) -> anyhow::Result<()> {
    let (began, name) = (Instant::now(), &scene.workers[victim].name);
    let long_ago = Duration::from_millis(100).as_nanos() as u64;
    loop {
        let history = scene.so_far().context("the histories can be read")?;
        let since = now_ns() - long_ago;
        let slow = timeline::under_way(&history, name, since);
        let now = timeline::under_way(&history, name, now_ns());
        if slow.intersection(&now).next().is_some() {
            return Ok(());
        }
        ensure!(began.elapsed() < HEARD_WITHIN, "{name} never has anything to do");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the worker knows of each run that others took over. Answers how many those are.
async fn nothing_it_says_is_heard(scene: &Scene, victim: usize, frozen_at: u64) -> anyhow::Result<usize> {
    let (began, name) = (Instant::now(), &scene.workers[victim].name);
    loop {
        let history = scene.so_far().context("the histories can be read")?;
        let mut taken_over = timeline::under_way(&history, name, frozen_at);
        ensure!(!taken_over.is_empty(), "{name} had nothing under way when it was frozen");
        taken_over.retain(|run| timeline::was_taken_over(&history, *run));
        let heard = history.iter().filter(|entry| entry.process == *name && frozen_at < entry.ns);
        let heard: HashSet<Run> = heard
            .filter_map(|entry| match entry.what {
                What::Settled { job, run, .. } => Some((job, run)),
                _ => None,
            })
            .collect();
        let wrongly = taken_over.intersection(&heard).count();
        ensure!(wrongly == 0, "{name} was heard on {wrongly} runs that others had taken over");
        if taken_over.is_subset(&timeline::lost_by(&history, name)) {
            return Ok(taken_over.len());
        }
        ensure!(began.elapsed() < HEARD_WITHIN, "{name} does not learn what it lost: {taken_over:?}");
        sleep(Duration::from_millis(100)).await;
    }
}
