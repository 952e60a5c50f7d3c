//! Jobs that take their worker down, and those that only happened to be there.

use std::time::Duration;

use flota_engine::{Verdict, inspect};
use flota_producer::{JobId, clock};
use flota_tests::{
    PATIENCE,
    cluster::{Cluster, SHORT},
    fleet::{TestQueue, drain, eventually},
    toys::{Act, toy},
};
use tokio::time::{Instant, sleep};

/// Starts a worker again whenever one was taken down, until so many jobs have an outcome. Answers how often one was
/// started, and calls `after_start` each time.
async fn supervise(
    cluster: &mut Cluster,
    slots: usize,
    jobs: usize,
    mut after_start: impl AsyncFnMut(&Cluster, usize),
) -> usize {
    let pool = cluster.pool().expect("the cluster answers");
    let began = Instant::now();
    let mut worker = cluster.worker(slots, SHORT).await.expect("the cluster answers");
    let mut starts = 1;
    after_start(cluster, starts).await;
    while cluster.recorded(&pool).await.expect("the cluster answers").jobs < jobs {
        assert!(began.elapsed() < PATIENCE, "{:?}\n{}", cluster.counts().await, cluster.logs());
        tokio::select! {
            () = worker.gone() => {
                starts += 1;
                worker = cluster.worker(slots, SHORT).await.expect("the cluster answers");
                after_start(cluster, starts).await;
            }
            () = sleep(Duration::from_millis(100)) => {}
        }
    }
    worker.stop().await.expect("the cluster answers");
    starts
}

/// Every job that did not succeed at its first attempt, with its class.
async fn charged(cluster: &Cluster) -> Vec<(String, Option<String>)> {
    let sql = "SELECT job_id::text, error_class FROM outcomes WHERE status <> 'succeeded' OR attempt <> 1 \
               ORDER BY job_id";
    sqlx::query_as(sql)
        .fetch_all(&cluster.pool().expect("the cluster answers"))
        .await
        .expect("the cluster answers")
}

fn poison(id: JobId) -> (String, Option<String>) {
    (id.to_string(), Some("poison".to_owned()))
}

#[tokio::test]
async fn one_pill_among_sixty_four_slots_is_all_that_is_buried() {
    let mut cluster = Cluster::start().await.unwrap();
    let pill = cluster.producer.enqueue(toy([Act::Abort])).await.unwrap().id;
    let neighbours = cluster.enqueue_many(63, &toy([Act::Sleep(200)])).await.unwrap();

    let starts = supervise(&mut cluster, 64, 64, async |_, _| {}).await;

    assert_eq!(charged(&cluster).await, [poison(pill)]);
    assert_eq!(starts, 5, "max_deliveries = 4 workers, the last of them with nothing beside the pill");
    assert!(neighbours.iter().all(|id| cluster.ledger.effects(*id).len() == 1));
}

#[tokio::test]
async fn a_pill_at_the_head_of_a_line_is_buried_and_its_line_goes_on() {
    let mut cluster = Cluster::start().await.unwrap();
    let pill = cluster.producer.enqueue(toy([Act::Abort]).in_order("a")).await.unwrap().id;
    let behind = cluster.enqueue_many(3, &toy([Act::Succeed]).in_order("a")).await.unwrap();

    supervise(&mut cluster, 4, 4, async |_, _| {}).await;

    assert_eq!(charged(&cluster).await, [poison(pill)]);
    assert!(behind.iter().all(|id| cluster.ledger.effects(*id) == [1]), "none started beside the pill");
    assert_eq!(cluster.counts().await.unwrap().in_line, 0);
}

#[tokio::test]
async fn several_pills_one_after_the_other_do_not_bury_the_long_job_beside_them() {
    let mut cluster = Cluster::start().await.unwrap();
    let long = cluster.producer.enqueue(toy([Act::Sleep(6_000)])).await.unwrap().id;
    let mut pills = Vec::new();

    supervise(&mut cluster, 16, 4, async |cluster, starts| {
        // A fresh pill for the first, the third and the fifth worker, while the long job runs there.
        if [1, 3, 5].contains(&starts) && pills.len() < 3 {
            pills.push(cluster.producer.enqueue(toy([Act::Abort])).await.unwrap().id);
        }
    })
    .await;

    pills.sort_unstable();
    assert_eq!(charged(&cluster).await, pills.into_iter().map(poison).collect::<Vec<_>>());
    assert_eq!(cluster.ledger.effects(long).len(), 1);
}

#[tokio::test]
async fn leases_whose_reply_was_lost_do_not_make_a_job_a_suspect() {
    let queue = TestQueue::new().await;
    let watching = queue.start();
    watching.handle().quiet();
    watching.handle().stopped_fetching().await;
    let id = queue.enqueue(toy([Act::Succeed])).await;

    for _ in 0..5 {
        queue.lease_to_nobody(Duration::from_millis(1)).await;
        eventually(PATIENCE, "the lease is taken back", async || queue.counts().await.ready == 1).await;
    }

    let found = inspect::find(&queue.link, &queue.keys, id).await.unwrap().unwrap();
    assert_eq!((found.marks.run, found.marks.deliveries), (5, 1), "only the first one is not asked about");
    let worker = queue.start();
    queue.witness.wait_for(id, Verdict::Complete).await;
    drain(worker, PATIENCE).await;
    drain(watching, PATIENCE).await;
}

#[tokio::test]
async fn a_deadline_that_passes_while_a_suspect_waits_to_be_alone_is_kept() {
    let queue = TestQueue::new().await;
    let fleet = queue.start();
    let neighbour = queue.enqueue(toy([Act::Sleep(4_500)])).await;
    queue.witness.wait_until("the neighbour runs", |seen| seen.started.contains_key(&neighbour)).await;
    queue.pause().await;
    let deadline = clock::unix_now_ms() + 3_000;
    let suspect = queue.enqueue(toy([Act::Succeed]).deadline(deadline)).await;
    let mut marks = redis::cmd("HSET");
    marks.arg(queue.keys.marks()).arg(suspect).arg("run=3 deliveries=3");
    queue.link.query::<()>(&marks).await.unwrap();

    queue.resume().await;

    queue.witness.wait_for(suspect, Verdict::Expire).await;
    assert_eq!(queue.witness.seen().last(neighbour), Some(Verdict::Complete), "it waited for that");
    assert_eq!(queue.ledger.effects(suspect), Vec::<u32>::new());
    drain(fleet, PATIENCE).await;
}
