//! R5: the network between workers and Redis breaks in every way we know: resets, refusals, bytes that vanish in one
//! direction or in both, a line of 1 byte per second, 3 s of latency, replies cut off. No job is lost, none has two
//! outcomes, at most what the cut workers had in flight is repeated, and they work again within 2 s after healing. No
//! call of a producer on that line takes longer than its deadlines say.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::ensure;
use flota_producer::{
    Producer, Settings,
    link::{CONNECT_TIMEOUT, RESPONSE_TIMEOUT},
};
use rand::{RngExt, seq::SliceRandom};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    chaos::{
        checker::Terms,
        errand::{effect_between, errand},
        history::{Entry, History, What},
        monotonic::now_ns,
        proxy::{Direction, Fault, Proxy},
        scene::{Scene, Stage, Told, WorkerOptions},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "network-cut",
    promise: "R5",
    what: "the lines between some workers and Redis break in every way, and heal",
    seeds: 20,
    smoke: true,
    tell: telling!(tell),
};

const CUTS: usize = 3;
/// Jobs that a worker runs at once.
const CONCURRENCY: usize = 8;
/// By when a healed worker must run jobs again; a second is for a busy machine.
const RECONNECTED_WITHIN: Duration = Duration::from_secs(3);
/// Longest that one enqueue may take: a PING to see whether the connection still lives, dialling, the call itself; and
/// half a second for a busy machine.
const DEADLINE: Duration = RESPONSE_TIMEOUT
    .saturating_mul(2)
    .saturating_add(CONNECT_TIMEOUT)
    .saturating_add(Duration::from_millis(500));

/// A worker whose line to Redis can be cut.
struct Line {
    worker: String,
    proxy: Proxy,
}

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let mut scene = Scene::open(seed, Stage { concurrency: CONCURRENCY, ..Stage::default() }).await?;
    scene.worker().await?;
    let mut lines = [line(&mut scene).await?, line(&mut scene).await?];
    let client = Client::on(&lines[0].proxy, &scene.history)?;
    let quick = scene.load(5, Duration::from_millis(50), effect_between(5, 20))?;
    let slow = scene.load(1, Duration::from_millis(100), effect_between(200, 200))?;
    let (mut slowest, mut cut_workers) = (Duration::ZERO, 0);
    for _ in 0..CUTS {
        scene.pause_between(300, 900).await;
        lines.shuffle(&mut scene.rng);
        let cut = scene.rng.random_range(1..=lines.len());
        cut_workers += cut;
        slowest = slowest.max(cut_and_heal(&mut scene, &lines[..cut]).await?);
    }
    quick.stop().await?;
    slow.stop().await?;
    let (calls, longest) = client.stop().await?;
    ensure!(
        longest <= DEADLINE,
        "an enqueue on a broken line took {longest:?}, its deadlines add up to {DEADLINE:?}"
    );
    scene.figure("slowest reconnect ms", slowest.as_millis());
    scene.figure("calls on a broken line", calls);
    scene.figure("longest of them ms", longest.as_millis());
    let told = scene.close(&Terms::default()).await?;
    let in_flight = cut_workers * CONCURRENCY;
    ensure!(
        told.repeated <= in_flight,
        "{} effects were repeated, and at most {in_flight} jobs were in flight on cut workers",
        told.repeated
    );
    Ok(told)
}

async fn line(scene: &mut Scene) -> anyhow::Result<Line> {
    let proxy = Proxy::before(scene.redis.port()).await?;
    let environment = vec![("REDIS_URL".to_owned(), proxy.url_redis())];
    let place = scene.worker_with(WorkerOptions { environment, ..WorkerOptions::default() }).await?;
    Ok(Line { worker: scene.workers[place].name.clone(), proxy })
}

/// Breaks these lines in one way for a while. Answers how long after healing the last of their workers ran a job.
async fn cut_and_heal(scene: &mut Scene, lines: &[Line]) -> anyhow::Result<Duration> {
    let (name, fault) = any_fault(scene);
    for line in lines {
        scene.fault_began(name, &line.worker);
        line.proxy.set(fault.clone());
    }
    // From shorter than a lease to longer than one.
    scene.pause_between(500, 4_500).await;
    // More than the connected worker can do alone, so that the others find something.
    scene.enqueue_many(400, &effect_between(30, 30)).await;
    let (healed, began) = (now_ns(), Instant::now());
    for line in lines {
        line.proxy.heal();
    }
    for line in lines {
        while !has_started(scene.directory(), &line.worker, healed)? {
            ensure!(
                began.elapsed() <= RECONNECTED_WITHIN,
                "{} does not work {RECONNECTED_WITHIN:?} after {name} was healed:\n{}",
                line.worker,
                scene.log(&line.worker)
            );
            sleep(Duration::from_millis(10)).await;
        }
        scene.fault_ended(name, &line.worker);
    }
    Ok(began.elapsed())
}

fn any_fault(scene: &mut Scene) -> (&'static str, Fault) {
    let direction = match scene.rng.random_range(0..3) {
        0 => Direction::ToServer,
        1 => Direction::ToClient,
        _ => Direction::Both,
    };
    match scene.rng.random_range(0..8) {
        0 => ("reset", Fault::Reset),
        1 => ("refused", Fault::Refuse),
        2 | 3 => ("black hole", Fault::BlackHole { direction }),
        4 => ("stall", Fault::Stall { direction }),
        5 => ("trickle", Fault::Trickle { bytes_per_second: 1, direction }),
        6 => ("latency", Fault::Delay { by: Duration::from_secs(3), direction }),
        _ => ("replies cut off", Fault::cut_after("EVALSHA", 1_000)),
    }
}

/// Whether a worker has started a run since then. Looks at the end of its history only.
fn has_started(directory: &Path, worker: &str, since: u64) -> anyhow::Result<bool> {
    const END: u64 = 64 * 1024;
    let mut file = File::open(directory.join(format!("{worker}.jsonl")))?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let mut entries = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    Ok(entries.any(|entry: Entry| since < entry.ns && matches!(entry.what, What::Started { .. })))
}

/// A producer on a line that breaks, which looks at its watch.
struct Client {
    stop: CancellationToken,
    task: JoinHandle<(usize, Duration)>,
}

impl Client {
    fn on(proxy: &Proxy, history: &History) -> anyhow::Result<Self> {
        let producer = Producer::new(Settings::from_url(&proxy.url_redis())?)?;
        let (stop, history) = (CancellationToken::new(), history.clone());
        let told = stop.clone();
        let task = tokio::spawn(async move {
            let (mut calls, mut longest) = (0, Duration::ZERO);
            while !told.is_cancelled() {
                let began = Instant::now();
                let outcome = producer.enqueue(errand([])).await;
                // The first call also puts the queue on the list that people see.
                longest = if calls == 0 { longest } else { longest.max(began.elapsed()) };
                calls += 1;
                history.tell(What::from(&outcome));
                sleep(Duration::from_millis(20)).await;
            }
            (calls, longest)
        });
        Ok(Self { stop, task })
    }

    /// How many calls it made, and how long the longest took.
    async fn stop(self) -> anyhow::Result<(usize, Duration)> {
        self.stop.cancel();
        Ok(self.task.await?)
    }
}
