//! Worker processes as people see and direct them.

use std::time::{Duration, Instant};

use flota_engine::roster::{self, Order, Present, WorkerState};
use flota_producer::keys::Prefix;
use flota_tests::{
    PATIENCE,
    cluster::{Cluster, SHORT},
    toys::{Act, toy},
};
use tokio::time::sleep;

/// Waits until the list of workers is as it should be.
async fn workers(cluster: &Cluster, what: &str, fits: impl Fn(&[Present]) -> bool) -> Vec<Present> {
    let began = Instant::now();
    loop {
        let present = roster::list(&cluster.link, &Prefix::default()).await.expect("Redis answers");
        if fits(&present) {
            return present;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}: {present:?}\n{}", cluster.logs());
        sleep(Duration::from_millis(50)).await;
    }
}

fn named(present: &[Present]) -> Vec<String> {
    present.iter().map(|worker| worker.info.name.clone()).collect()
}

#[tokio::test]
async fn a_killed_worker_is_off_the_list_by_itself_and_a_stopped_one_at_once() {
    let mut cluster = Cluster::start().await.unwrap();
    let victim = cluster.worker(4, SHORT).await.unwrap();
    let mut other = cluster.worker(4, SHORT).await.unwrap();
    cluster.enqueue_many(1, &toy([Act::Sleep(60_000)])).await.unwrap();
    let both = workers(&cluster, "both are there and one is busy", |present| {
        present.len() == 2 && present.iter().any(|worker| worker.info.queues[0].busy == 1)
    })
    .await;
    assert!(both.iter().all(|worker| worker.info.queues[0].slots == 4));
    assert!(both.iter().all(|worker| worker.info.state == WorkerState::Working));

    let pid = format!(":{}:", victim.pid());
    victim.kill().await.unwrap();

    let left = workers(&cluster, "one is left", |present| present.len() == 1).await;
    assert!(!left[0].info.name.contains(&pid));

    let told = roster::order(&cluster.link, &Prefix::default(), Order::Stop, &named(&left)).await.unwrap();
    assert_eq!(told, named(&left));
    tokio::time::timeout(PATIENCE, other.gone()).await.expect("it drains and exits");
    let none = roster::list(&cluster.link, &Prefix::default()).await.unwrap();
    assert_eq!(none, []);
}

#[tokio::test]
async fn a_quiet_worker_finishes_what_runs_fetches_nothing_and_stays() {
    let mut cluster = Cluster::start().await.unwrap();
    let worker = cluster.worker(4, SHORT).await.unwrap();
    cluster.enqueue_many(1, &toy([Act::Until(cluster.gate())])).await.unwrap();
    cluster.wait_for_running(1, PATIENCE).await.unwrap();
    let names = named(&workers(&cluster, "it is there", |present| present.len() == 1).await);

    roster::order(&cluster.link, &Prefix::default(), Order::Quiet, &names).await.unwrap();

    workers(&cluster, "it is quiet", |present| {
        present.first().is_some_and(|worker| worker.info.state == WorkerState::Quiet)
    })
    .await;
    cluster.enqueue_many(1, &toy([Act::Succeed])).await.unwrap();
    cluster.open_gate().unwrap();
    cluster.wait_for_rows(1, PATIENCE).await.unwrap();
    let still = workers(&cluster, "nothing runs", |present| {
        present.first().is_some_and(|worker| worker.info.queues[0].busy == 0)
    })
    .await;
    assert_eq!(named(&still), names);
    let counts = cluster.counts().await.unwrap();
    assert_eq!((counts.ready, counts.running), (1, 0), "the second job waits for another worker");
    assert!(worker.stop().await.unwrap());
}

#[tokio::test]
async fn a_worker_that_is_not_there_is_told_nothing() {
    let cluster = Cluster::start().await.unwrap();

    let names = ["nobody:1:0".to_owned()];
    let told = roster::order(&cluster.link, &Prefix::default(), Order::Stop, &names).await.unwrap();

    assert_eq!(told, Vec::<String>::new());
    let left: usize =
        cluster.link.query(redis::cmd("EXISTS").arg(Prefix::default().workers())).await.unwrap();
    assert_eq!(left, 0);
}
