//! R6: producers whose replies get lost may simply ask again. With an idempotency key however many repeats make one job;
//! without one the answer is "unknown", and the job is there once or not at all.
//!
//! Replies are cut off behind the enqueue script while eight clients enqueue batches, each batch with keys another one
//! to five times, as a client does that was restarted and does not know what it had achieved. Every third seed does so
//! with 50,000 jobs.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use anyhow::ensure;
use flota_engine::inspect::Counts;
use flota_producer::{EnqueueError, JobId, NewJob, Producer, Receipt};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{task::JoinSet, time::sleep};
use uuid::Uuid;

use crate::{
    chaos::{
        checker::Terms,
        errand::errand,
        history::{History, What},
        proxy::Fault,
        scene::{Proxied, Scene, Stage, Told, WorkerOptions},
        story::Story,
    },
    telling,
};

pub(super) const STORY: Story = Story {
    name: "lost-enqueue-replies",
    promise: "R6",
    what: "replies to enqueueing clients are cut off after Redis did as asked, and the clients ask again",
    seeds: 3,
    smoke: false,
    tell: telling!(tell),
};

const CLIENTS: usize = 8;
/// Batches of each client.
const BATCHES: usize = 30;
/// Jobs of a telling, and of every third one.
const JOBS: [usize; 2] = [6_000, 50_000];
/// Of a hundred batches so many have no keys.
const WITHOUT_KEYS: u32 = 20;

/// What clients were told.
#[derive(Default)]
struct Heard {
    keyed: HashMap<String, Ids>,
    unkeyed: usize,
    repeats: usize,
    unknown: usize,
}

/// Ids that were told for one key.
#[derive(Default)]
struct Ids {
    accepted: HashSet<JobId>,
    unknown: HashSet<JobId>,
}

async fn tell(seed: u64) -> anyhow::Result<Told> {
    let proxied = Proxied { redis: true, ..Proxied::default() };
    let mut scene = Scene::open(seed, Stage { proxied, concurrency: 64, ..Stage::default() }).await?;
    let past_the_proxy = ("REDIS_URL".to_owned(), scene.redis.url());
    scene
        .worker_with(WorkerOptions { environment: vec![past_the_proxy], ..WorkerOptions::default() })
        .await?;
    let jobs = JOBS[usize::from(seed.is_multiple_of(3))];
    scene.fault_began("replies cut off", "producers");
    let heard = enqueue_under_cuts(&mut scene, jobs).await?;
    scene.fault_ended("replies cut off", "producers");
    let cuts = scene.redis_proxy.as_ref().map_or(0, |proxy| proxy.counters().cuts);
    ensure!(20 <= cuts, "only {cuts} replies were cut off: the story tells nothing");
    let all_done = |now: &Counts| now.ready + now.running + now.unrecorded == 0;
    scene.wait_until("every job has ended", Duration::from_secs(120), all_done).await?;
    check_keys(&scene, &heard).await?;
    scene.figure("jobs with a key", heard.keyed.len());
    scene.figure("calls repeated with the key", heard.repeats);
    scene.figure("jobs without", heard.unkeyed);
    scene.figure("unknown results", heard.unknown);
    scene.figure("replies cut", cuts);
    scene.figure("duplicates", 0);
    scene.close(&Terms { no_repeats: true, ..Terms::default() }).await
}

/// Every key has one job, and whoever was told of a job was told of that one.
async fn check_keys(scene: &Scene, heard: &Heard) -> anyhow::Result<()> {
    let ended: Vec<Uuid> =
        sqlx::query_scalar("SELECT job_id FROM outcomes").fetch_all(&scene.pool()?).await?;
    let ended: HashSet<JobId> = ended.into_iter().map(JobId::from).collect();
    for (key, Ids { accepted, unknown }) in &heard.keyed {
        ensure!(accepted.len() == 1, "{key} was answered with {} different jobs", accepted.len());
        let jobs = accepted.union(unknown).filter(|id| ended.contains(id)).count();
        ensure!(jobs == 1, "{key} became {jobs} jobs");
    }
    Ok(())
}

/// All clients at once, until each has what it wanted; then the line is left in peace.
async fn enqueue_under_cuts(scene: &mut Scene, jobs: usize) -> anyhow::Result<Heard> {
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let producer = Producer::new(scene.producer_settings()?)?;
        let (history, rng) = (scene.history.clone(), StdRng::seed_from_u64(scene.rng.random()));
        clients.spawn(be_a_client(client, jobs / CLIENTS / BATCHES, producer, history, rng));
    }
    let mut heard = Heard::default();
    loop {
        let times = scene.rng.random_range(1..=6);
        if let Some(proxy) = &scene.redis_proxy {
            proxy.set(Fault::cut_after("EVALSHA", times));
        }
        let pause = Duration::from_millis(scene.rng.random_range(20..120));
        tokio::select! {
            () = sleep(pause) => {}
            client = clients.join_next() => match client {
                Some(client) => heard.add(client?),
                None => break,
            },
        }
    }
    if let Some(proxy) = &scene.redis_proxy {
        proxy.heal();
    }
    Ok(heard)
}

async fn be_a_client(
    client: usize,
    at_once: usize,
    producer: Producer,
    history: History,
    mut rng: StdRng,
) -> Heard {
    let mut heard = Heard::default();
    for batch in 0..BATCHES {
        if rng.random_range(0..100) < WITHOUT_KEYS {
            let outcomes = producer.enqueue_all(vec![errand([]); at_once]).await;
            heard.unkeyed += outcomes.len();
            for outcome in &outcomes {
                heard.unknown += usize::from(matches!(outcome, Err(EnqueueError::Unknown { .. })));
                history.tell(What::from(outcome));
            }
            continue;
        }
        let key = |number| format!("client {client} batch {batch} job {number}");
        let jobs: Vec<NewJob> = (0..at_once).map(|number| errand([]).key(key(number))).collect();
        let (mut left, mut accepted) = (1 + rng.random_range(1..=5_u32), false);
        // A client gives up only when it knows.
        while 0 < left || !accepted {
            left = left.saturating_sub(1);
            heard.repeats += 1;
            let outcomes = producer.enqueue_all(jobs.clone()).await;
            accepted |= outcomes.iter().all(Result::is_ok);
            for (number, outcome) in outcomes.iter().enumerate() {
                if heard.is_new(key(number), outcome) {
                    history.tell(What::from(outcome));
                }
            }
        }
    }
    heard
}

impl Heard {
    /// Takes an answer in. Says whether it tells more than the answers before it.
    fn is_new(&mut self, key: String, outcome: &Result<Receipt, EnqueueError>) -> bool {
        let ids = self.keyed.entry(key).or_default();
        match outcome {
            Ok(receipt) => ids.accepted.insert(receipt.id),
            Err(EnqueueError::Unknown { id, .. }) => {
                self.unknown += 1;
                ids.unknown.insert(*id)
            }
            Err(_) => true,
        }
    }

    fn add(&mut self, other: Self) {
        self.keyed.extend(other.keyed);
        self.unkeyed += other.unkeyed;
        self.repeats += other.repeats;
        self.unknown += other.unknown;
    }
}
