//! The end of a worker: within its time, whatever happens, and with nothing lost.

use std::time::Duration;

use flota_engine::{Verdict, inspect};
use flota_tests::{
    PATIENCE,
    cluster::{Cluster, Leases, SHORT},
    fleet::{TestQueue, drain, eventually},
    toys::{Act, toy},
    witness::Seen,
};
use flota_worker::dev::worker_process::WorkerProcess;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// What a toy worker is given to end, and what its supervisor and a busy machine may add.
const GRACE: Duration = Duration::from_secs(5);
const SLACK: Duration = Duration::from_secs(30);

#[tokio::test]
async fn released_jobs_start_elsewhere_long_before_their_leases_end() {
    let mut queue = TestQueue::new().await;
    (queue.policy.lease, queue.policy.timeout) = (PATIENCE * 5, PATIENCE * 5);
    let stopping = queue.start();
    queue.enqueue_many(8, &toy([Act::Hang])).await;
    queue.witness.wait_until("all run", |seen| seen.started.len() == 8).await;
    let taking_over = queue.start();
    let hurry = CancellationToken::new();
    hurry.cancel();

    let left = stopping.drain(PATIENCE, hurry.clone()).await;

    let started = |seen: &Seen| seen.started.values().sum::<u32>();
    queue.witness.wait_until("all run again", |seen| started(seen) == 16).await;
    assert_eq!((left, queue.counts().await.running), (0, 8));
    taking_over.drain(Duration::ZERO, hurry).await;
}

#[tokio::test]
async fn a_worker_ends_in_time_and_gives_back_what_runs() {
    let mut cluster = Cluster::start().await.unwrap();
    let worker = cluster.worker(4, SHORT).await.unwrap();
    cluster.enqueue_many(3, &toy([Act::Hang])).await.unwrap();
    cluster.wait_for_running(3, PATIENCE).await.unwrap();

    ends_within(worker, GRACE + SLACK).await;

    let counts = cluster.counts().await.unwrap();
    assert_eq!((counts.ready, counts.running), (3, 0), "{}", cluster.logs());
}

#[tokio::test]
async fn a_second_signal_gives_back_what_runs_at_once() {
    let mut cluster = Cluster::start().await.unwrap();
    // Nobody waits that long.
    cluster.grace = PATIENCE * 5;
    let worker = cluster.worker(4, SHORT).await.unwrap();
    cluster.enqueue_many(3, &toy([Act::Hang])).await.unwrap();
    cluster.wait_for_running(3, PATIENCE).await.unwrap();

    worker.signal("TERM").await.unwrap();
    // Two signals at once would be one.
    eventually(PATIENCE, "the first signal is heard", async || cluster.logs().contains("Stopping")).await;
    ends_within(worker, PATIENCE).await;

    let counts = cluster.counts().await.unwrap();
    assert_eq!((counts.ready, counts.running), (3, 0), "{}", cluster.logs());
}

#[tokio::test]
async fn a_worker_ends_in_time_while_redis_is_away_and_its_jobs_run_again() {
    // No lease ends while Redis is on its way out.
    let leases = Leases { lease: Duration::from_secs(10), heartbeat: Duration::from_secs(1) };
    for hangs in [false, true] {
        let mut cluster = Cluster::start().await.unwrap();
        let worker = cluster.worker(4, leases).await.unwrap();
        let job = cluster.producer.enqueue(toy([Act::Until(cluster.gate())])).await.unwrap().id;
        cluster.wait_for_running(1, PATIENCE).await.unwrap();

        if hangs {
            cluster.redis.pause().await.unwrap();
        } else {
            cluster.redis.kill().await.unwrap();
        }
        // It has its effect, and Redis is not there to hear of it.
        cluster.open_gate().unwrap();
        eventually(PATIENCE, "it has its effect", async || cluster.ledger.effects(job).len() == 1).await;
        ends_within(worker, GRACE + SLACK).await;
        if hangs {
            cluster.redis.resume().await.unwrap();
        } else {
            cluster.redis.start_again().await.unwrap();
        }

        let next = cluster.worker(4, leases).await.unwrap();
        cluster.wait_for_rows(1, PATIENCE).await.unwrap();
        assert_eq!(cluster.ledger.effects(job).len(), 2, "{}", cluster.logs());
        next.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_worker_that_stops_does_not_charge_what_it_gives_back() {
    let queue = TestQueue::new().await;
    let (folder, hurry) = (tempfile::tempdir().unwrap(), CancellationToken::new());
    hurry.cancel();
    let gate = folder.path().join("gate");
    let id = queue.enqueue(toy([Act::Until(gate.clone())])).await;

    for run in 1..=5 {
        let fleet = queue.start();
        queue.witness.wait_until("it runs", |seen| seen.started.get(&id) == Some(&run)).await;
        assert_eq!(fleet.drain(PATIENCE, hurry.clone()).await, 0);
    }

    let found = inspect::find(&queue.link, &queue.keys, id).await.unwrap().expect("it is alive");
    assert_eq!((found.marks.run, found.marks.attempt, found.marks.deliveries), (5, 0, 0));
    std::fs::write(gate, "").unwrap();
    let last = queue.start();
    queue.witness.wait_for(id, Verdict::Complete).await;
    eventually(PATIENCE, "nothing is left", async || queue.counts().await.running == 0).await;
    drain(last, PATIENCE).await;
}

/// Sends SIGTERM and waits for the end.
async fn ends_within(mut worker: WorkerProcess, most: Duration) {
    worker.signal("TERM").await.expect("the process is there");
    let began = Instant::now();
    assert!(timeout(most, worker.gone()).await.is_ok(), "not within {most:?}");
    assert!(worker.stop().await.expect("the process is there"), "it ends well, after {:?}", began.elapsed());
}
