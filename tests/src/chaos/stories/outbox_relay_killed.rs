//! Jobs of the outbox are sent once, whatever happens on their way from Postgres into Redis. Relays are killed, cut off
//! and frozen after taking rows, after sending them and after noting the answer; a frozen one goes on when its rows were
//! long sent by another; replies from Redis are cut off. Every committed job has one outcome and one effect.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use flota_producer::Outbox;
use rand::{RngExt, seq::IndexedRandom};
use tokio::time::sleep;

use crate::{
    chaos::{
        checker::Terms,
        errand::effect_between,
        history::What,
        proxy::{Fault, Proxy},
        scene::{Scene, Stage, Told, WorkerOptions},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "outbox-relay-killed",
    promise: "R24",
    what: "relays of the outbox are killed, frozen and cut off at every step",
    seeds: 3,
    smoke: false,
    tell: telling!(tell),
};

const ROUNDS: usize = 4;
/// Jobs of one round.
const JOBS: usize = 400;
/// After how long a job that was sent and is nowhere counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let lost_after = ("CHAOS_LOST_AFTER_MS".to_owned(), LOST_AFTER.as_millis().to_string());
    let stage = Stage { environment: vec![lost_after], ..Stage::default() };
    let mut scene = Scene::open(seed, stage).await?;
    let mut woken = 0;
    for _ in 0..ROUNDS {
        commit(&scene).await?;
        woken += usize::from(relay_badly(&mut scene).await?);
    }
    // One that is whole runs the jobs, and its line is cut now and then.
    let proxy = Proxy::before(scene.redis.port()).await?;
    let environment = vec![("REDIS_URL".to_owned(), proxy.url_redis())];
    let name = {
        let place = scene.worker_with(WorkerOptions { environment, ..WorkerOptions::default() }).await?;
        scene.workers[place].name.clone()
    };
    scene.worker().await?;
    scene.fault_began("replies cut off", &name);
    for _ in 0..ROUNDS {
        proxy.set(Fault::cut_after("EVALSHA", scene.rng.random_range(1..4)));
        commit(&scene).await?;
        scene.pause_between(100, 700).await;
    }
    proxy.heal();
    scene.fault_ended("replies cut off", &name);
    scene.wait_for_outcomes((2 * ROUNDS * JOBS) as i64, PATIENCE).await?;
    let effects = scene.provider.effects()?.len();
    scene.figure("committed jobs", 2 * ROUNDS * JOBS);
    scene.figure("their effects", effects);
    scene.figure("relays that slept and went on", woken);
    scene.figure("replies cut", proxy.counters().cuts);
    scene.close(&Terms::default()).await
}

/// Commits jobs to Postgres; from then on they are accepted.
async fn commit(scene: &Scene) -> anyhow::Result<()> {
    let pool = scene.pool()?;
    let mut transaction = pool.begin().await?;
    let jobs = vec![effect_between(1, 1); JOBS];
    let receipts = Outbox::default().enqueue_all_in(&mut transaction, jobs).await?;
    transaction.commit().await?;
    for receipt in receipts {
        scene.history.tell(What::Accepted { job: receipt.id });
    }
    Ok(())
}

/// A relay that comes to a bad end, or falls asleep until its rows were thought lost and sent by another. It works on
/// another queue, so that it runs none of the jobs. Answers whether it went on after a sleep.
async fn relay_badly(scene: &mut Scene) -> anyhow::Result<bool> {
    let point =
        *["relay-taken", "relay-sent", "relay-noted"].choose(&mut scene.rng).unwrap_or(&"relay-taken");
    let end = *["kill", "stop", "error"].choose(&mut scene.rng).unwrap_or(&"kill");
    let environment = vec![("FAILPOINTS".to_owned(), format!("{point}=1*return({end})"))];
    let arguments = vec!["--queue".to_owned(), "webhook".to_owned()];
    let place =
        scene.start_worker(WorkerOptions { environment, arguments, ..WorkerOptions::default() }).await?;
    let name = scene.workers[place].name.clone();
    scene.fault_began(end, &name);
    match end {
        "kill" => scene.wait_for_death(place, PATIENCE).await?,
        "stop" => {
            wait_for_rest(place, scene).await?;
            let other = scene.worker_with(relay_only()).await?;
            sleep(LOST_AFTER * 2).await;
            scene.signal(place, "CONT").await?;
            sleep(Duration::from_secs(1)).await;
            ensure!(scene.terminate(other).await?, "the other relay did not end well");
        }
        _ => sleep(LOST_AFTER).await,
    }
    // The next one shall be alone.
    if scene.workers[place].is_alive() {
        ensure!(scene.terminate(place).await?, "{name} did not end well");
    }
    scene.fault_ended(end, &name);
    Ok(end == "stop")
}

/// Waits until a process has stopped itself.
async fn wait_for_rest(place: usize, scene: &Scene) -> anyhow::Result<()> {
    let pid = scene.workers[place].pid().context("it has ended")?;
    let began = Instant::now();
    // The state follows the name in brackets: proc(5).
    while !std::fs::read_to_string(format!("/proc/{pid}/stat"))?.contains(") T ") {
        ensure!(began.elapsed() < PATIENCE, "{} does not stop", scene.workers[place].name);
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn relay_only() -> WorkerOptions {
    let arguments = vec!["--queue".to_owned(), "webhook".to_owned()];
    WorkerOptions { arguments, ..WorkerOptions::default() }
}
