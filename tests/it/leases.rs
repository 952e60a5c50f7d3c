//! Leases when Redis hangs, and when its clock goes back.

use std::time::Duration;

use flota_engine::Verdict;
use flota_tests::{
    fleet::{TestQueue, drain, eventually},
    toys::{Act, toy},
};
use flota_worker::dev::{RedisOptions, RedisServer};
use tokio::time::sleep;

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_redis_that_hangs_for_less_than_a_lease_makes_nothing_run_again() {
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let queue = TestQueue::on(&redis.url());
    let fleet = queue.start();
    let jobs = queue.enqueue_many(8, &toy([Act::Sleep(3_500)])).await;
    queue.witness.wait_until("all run", |seen| seen.started.len() == 8).await;

    // Three quarters of the lease of 3 s, and then some until the last heartbeat before it.
    redis.pause().await.unwrap();
    sleep(Duration::from_millis(2_250)).await;
    redis.resume().await.unwrap();

    for job in &jobs {
        queue.witness.wait_for(*job, Verdict::Complete).await;
        assert_eq!(queue.ledger.effects(*job), [1]);
    }
    drain(fleet, PATIENCE).await;
}

#[tokio::test]
async fn a_lease_from_before_the_clock_went_back_is_taken_back_within_two_leases() {
    let queue = TestQueue::new().await;
    let fleet = queue.start();
    fleet.handle().quiet();
    let id = queue.enqueue(toy([Act::Succeed])).await;

    // What a dead worker leaves behind when the clock of Redis goes back by an hour: a lease that ends in an hour.
    queue.lease_to_nobody(Duration::from_secs(3_600)).await;

    let two_leases = queue.policy.lease * 2 + Duration::from_secs(2);
    eventually(two_leases, "the job is ready again", async || queue.counts().await.ready == 1).await;
    let worker = queue.start();
    queue.witness.wait_for(id, Verdict::Complete).await;
    drain(worker, PATIENCE).await;
    drain(fleet, PATIENCE).await;
}
