//! Leases when Redis hangs, and when its clock goes back.

use std::time::{Duration, Instant};

use flota_engine::{Fleet, Verdict};
use flota_tests::{
    PATIENCE,
    fleet::{TestQueue, drain, eventually},
    toys::{Act, toy},
};
use flota_worker::dev::{RedisOptions, RedisServer};
use tokio::time::sleep;

/// Makes a worker look after leases and nothing else.
async fn quiet(fleet: &Fleet) {
    fleet.handle().quiet();
    fleet.handle().stopped_fetching().await;
}

/// Whether a lease has ended by the clock of Redis.
async fn has_ended(queue: &TestQueue) -> bool {
    let time: (u64, u64) = queue.link.query(&redis::cmd("TIME")).await.expect("Redis answers");
    let mut count = redis::cmd("ZCOUNT");
    count.arg(queue.keys.running()).arg(0).arg(time.0 * 1_000);
    queue.link.query::<u64>(&count).await.expect("Redis answers") == 1
}

#[tokio::test]
async fn a_redis_that_hangs_for_less_than_a_lease_makes_nothing_run_again() {
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let mut queue = TestQueue::on(&redis.url());
    let (lease, heartbeat) = (Duration::from_secs(12), Duration::from_secs(1));
    (queue.policy.lease, queue.policy.heartbeat, queue.policy.timeout) = (lease, heartbeat, PATIENCE);
    let fleet = queue.start();
    let jobs = queue.enqueue_many(8, &toy([Act::Sleep(8_000)])).await;
    queue.witness.wait_until("all run", |seen| seen.started.len() == 8).await;

    // Several heartbeats are missed, and of no lease less than five seconds are left.
    redis.pause().await.unwrap();
    sleep(lease / 2).await;
    redis.resume().await.unwrap();

    for job in &jobs {
        queue.witness.wait_for(*job, Verdict::Complete).await;
        assert_eq!(queue.ledger.effects(*job), [1]);
    }
    drain(fleet, PATIENCE).await;
}

#[tokio::test]
async fn a_lease_from_before_the_clock_went_back_is_taken_back_long_before_it_ends() {
    let queue = TestQueue::new().await;
    let fleet = queue.start();
    quiet(&fleet).await;
    let id = queue.enqueue(toy([Act::Succeed])).await;

    // What a dead worker leaves behind when the clock of Redis goes back by an hour: a lease that ends in an hour.
    queue.lease_to_nobody(Duration::from_secs(3_600)).await;

    eventually(PATIENCE, "the job is ready again", async || queue.counts().await.ready == 1).await;
    let worker = queue.start();
    queue.witness.wait_for(id, Verdict::Complete).await;
    drain(worker, PATIENCE).await;
    drain(fleet, PATIENCE).await;
}

#[tokio::test]
async fn a_redis_that_refused_writes_gives_live_workers_two_heartbeats_before_anything_is_taken_back() {
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let queue = TestQueue::on(&redis.url());
    let fleet = queue.start();
    quiet(&fleet).await;
    queue.enqueue(toy([Act::Succeed])).await;
    let lease = Duration::from_secs(5);
    queue.lease_to_nobody(lease).await;

    // Refused as on a full disk: what can be read is read, and no lease can be lengthened.
    let refuse = async |replicas: u32| {
        let mut command = redis::cmd("CONFIG");
        command.arg("SET").arg("min-replicas-to-write").arg(replicas);
        queue.link.query::<()>(&command).await.unwrap();
    };
    refuse(1).await;
    // Over, and looked at in vain for some heartbeats, before writes are taken again.
    eventually(PATIENCE, "the lease has ended", async || has_ended(&queue).await).await;
    let before = queue.witness.seen().looks_refused;
    queue.witness.wait_until("looks are refused", |seen| before + 12 <= seen.looks_refused).await;
    let began = Instant::now();
    refuse(0).await;

    eventually(PATIENCE, "the job is ready again", async || queue.counts().await.ready == 1).await;
    assert!(queue.policy.heartbeat * 2 <= began.elapsed(), "taken back after {:?}", began.elapsed());
    drain(fleet, PATIENCE).await;
}
