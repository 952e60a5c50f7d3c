//! What survives when workers, Redis and Postgres go away.

use std::time::Duration;

use flota_engine::{ErrorClass, Verdict, inspect};
use flota_producer::{EnqueueError, Producer, Settings};
use flota_tests::{
    PATIENCE,
    chaos::proxy::{Fault, Proxy},
    cluster::{Cluster, Recorded, SHORT},
    fleet::{TestQueue, drain, eventually},
    stories,
    toys::{Act, toy},
};
use flota_worker::dev::{RedisOptions, RedisServer};

#[tokio::test]
async fn jobs_of_a_killed_worker_run_again_within_lease_and_two_heartbeats() {
    let killed = stories::kill_a_worker(50, SHORT).await.unwrap();

    let all = Recorded { rows: 50, jobs: 50, succeeded: 50 };
    assert_eq!(killed.recorded, all, "{killed:?}");
    // What a busy machine may add is generous; `measure` tells the figure.
    let bound = SHORT.lease + SHORT.heartbeat * 2 + Duration::from_secs(30);
    assert!(killed.last_picked_up <= bound, "{killed:?}");
    assert_eq!(killed.repeated, 0, "no job had come as far as its effect: {killed:?}");
}

#[tokio::test]
async fn redis_and_postgres_may_go_away_without_loss_or_repetition() {
    let outage = stories::take_servers_away(SHORT, Duration::from_secs(5)).await.unwrap();

    let all = Recorded { rows: outage.accepted, jobs: outage.accepted, succeeded: outage.accepted };
    assert_eq!((outage.recorded, outage.repeated), (all, 0), "{outage:?}");
}

#[tokio::test]
async fn a_poison_pill_is_buried_and_its_neighbours_are_not_charged() {
    let mut cluster = Cluster::start().await.unwrap();
    let poison = cluster.producer.enqueue(toy([Act::Abort])).await.unwrap().id;
    let neighbours = cluster.enqueue_many(30, &toy([Act::Sleep(300)])).await.unwrap();
    let pool = cluster.pool().unwrap();

    // A supervisor starts a worker again whenever one has been taken down.
    let mut worker = cluster.worker(16, SHORT).await.unwrap();
    let mut starts = 1;
    while cluster.recorded(&pool).await.unwrap().jobs < 31 {
        assert!(starts < 8, "the pill takes down one worker after the other\n{}", cluster.logs());
        tokio::select! {
            () = worker.gone() => {
                starts += 1;
                worker = cluster.worker(16, SHORT).await.unwrap();
            }
            rows = cluster.wait_for_rows(31, PATIENCE) => { rows.unwrap(); }
        }
    }

    let sql = "SELECT job_id::text, error_class FROM outcomes WHERE status <> 'succeeded'";
    let dead: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(&pool).await.unwrap();
    assert_eq!(dead, [(poison.to_string(), "poison".to_owned())]);
    assert_eq!(starts, 5, "max_deliveries = 4 crashes, then it is buried");
    assert_eq!(cluster.ledger.all().len(), neighbours.len());
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn a_draining_worker_finishes_what_it_can_and_releases_the_rest_uncharged() {
    let mut queue = TestQueue::new().await;
    queue.policy.timeout = PATIENCE;
    let fleet = queue.start();
    let quick = queue.enqueue(toy([Act::Sleep(300)])).await;
    let slow = queue.enqueue(toy([Act::Hang])).await;
    queue.witness.wait_until("both run", |seen| seen.started.len() == 2).await;

    let left = drain(fleet, Duration::from_secs(10)).await;

    let seen = queue.witness.seen();
    assert_eq!(
        (seen.last(quick), seen.last(slow), left),
        (Some(Verdict::Complete), Some(Verdict::Release), 0)
    );
    let found = inspect::find(&queue.link, &queue.keys, slow).await.unwrap().unwrap();
    assert_eq!((found.place, found.marks.attempt, found.marks.deliveries), (inspect::Place::Ready, 0, 0));
}

#[tokio::test]
async fn busy_processors_do_not_stop_heartbeats() {
    let mut cluster = Cluster::start().await.unwrap();
    let busy = cluster.worker(4, SHORT).await.unwrap();
    // Longer than lease and two heartbeats, on every thread of the busy worker's runtime.
    cluster.enqueue_many(4, &toy([Act::Block(4_500)])).await.unwrap();
    cluster.wait_for_running(4, PATIENCE).await.unwrap();

    // It has free slots and would take whatever lost its lease.
    let watching = cluster.worker(4, SHORT).await.unwrap();

    cluster.wait_for_rows(4, PATIENCE).await.unwrap();
    let runs: Vec<Vec<u32>> = cluster.ledger.all().into_values().collect();
    assert_eq!(runs, vec![vec![1]; 4], "{}", cluster.logs());
    assert!(busy.stop().await.unwrap() && watching.stop().await.unwrap());
}

#[tokio::test]
async fn a_worker_whose_threads_are_stuck_loses_its_jobs_to_others_and_still_ends() {
    let mut cluster = Cluster::start().await.unwrap();
    cluster.threads = Some(2);
    let stuck = cluster.worker(4, SHORT).await.unwrap();
    // Both threads are stuck for longer than anything takes.
    let block = toy([Act::Block(600_000)]).timeout(Duration::from_secs(1)).max_attempts(1);
    let blocked = cluster.enqueue_many(2, &block).await.unwrap();
    cluster.wait_for_running(2, PATIENCE).await.unwrap();
    let waiting = cluster.enqueue_many(2, &toy([Act::Succeed])).await.unwrap();

    // What blocks may come to it as well, so it has threads to spare.
    cluster.threads = Some(12);
    let helper = cluster.worker(4, SHORT).await.unwrap();

    let done = async || waiting.iter().all(|id| cluster.ledger.effects(*id).len() == 1);
    eventually(PATIENCE, "the others have run", done).await;
    assert!(blocked.iter().all(|id| cluster.ledger.effects(*id).is_empty()));
    helper.kill().await.unwrap();
    stuck.kill().await.unwrap();
}

#[tokio::test]
async fn a_lost_reply_is_unknown_without_a_key_and_retried_with_one() {
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let proxy = Proxy::before(redis.port()).await.unwrap();
    let producer = Producer::new(Settings::from_url(&proxy.url_redis()).unwrap()).unwrap();
    // Redis has the script from here on, so that the call that is cut off is one that was carried out.
    producer.enqueue(toy([Act::Succeed])).await.unwrap();

    proxy.set(Fault::cut_after("EVALSHA", 1));
    let keyless = producer.enqueue(toy([Act::Succeed])).await;
    proxy.set(Fault::cut_after("EVALSHA", 2));
    let keyed = producer.enqueue(toy([Act::Succeed]).key("k")).await.unwrap();

    let Err(EnqueueError::Unknown { id, .. }) = keyless else { panic!("{keyless:?}") };
    let link = flota_producer::link::Link::new(redis.url()).unwrap();
    let keys = flota_producer::keys::Prefix::default().queue("toys");
    assert!(inspect::find(&link, &keys, id).await.unwrap().is_some(), "it can be looked up by its id");
    assert!(!keyed.deduplicated && proxy.cuts_left() == 0);
    assert_eq!(inspect::counts(&link, &keys).await.unwrap().ready, 3);
}

#[tokio::test]
async fn a_flushed_script_cache_is_filled_again() {
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let queue = TestQueue::on(&redis.url());
    let fleet = queue.start();
    let before = queue.enqueue(toy([Act::Succeed])).await;
    queue.witness.wait_for(before, Verdict::Complete).await;

    queue.link.query::<()>(redis::cmd("SCRIPT").arg("FLUSH")).await.unwrap();

    let after = queue.enqueue(toy([Act::Fail(ErrorClass::Network), Act::Succeed])).await;
    queue.witness.wait_for(after, Verdict::Complete).await;
    drain(fleet, PATIENCE).await;
}
