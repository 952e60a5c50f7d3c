//! The path of a job through a worker: run, retry, park, bury, cancel, expire.

use std::time::Duration;

use flota_engine::{ErrorClass, Status, Verdict, inspect, store::Cancelled};
use flota_producer::{NewJob, Priority};
use flota_tests::{
    PATIENCE,
    fleet::{TestQueue, drain},
    toys::{Act, toy},
};
use serde_json::value::RawValue;

#[tokio::test]
async fn a_job_runs_once_and_leaves_only_its_record() {
    let queue = TestQueue::new().await;
    let fleet = queue.start();

    let id = queue.enqueue(toy([Act::Succeed]).tenant("acme")).await;

    queue.witness.wait_for(id, Verdict::Complete).await;
    let records = queue.records().await;
    assert_eq!(records.len(), 1);
    let record = &records[0].1;
    assert_eq!((record.id, record.status, record.run, record.attempt), (id, Status::Succeeded, 1, 1));
    assert_eq!((record.tenant.as_deref(), record.provider.as_deref()), (Some("acme"), Some("toy")));
    assert_eq!(queue.ledger.effects(id), [1]);
    assert_eq!(drain(fleet, PATIENCE).await, 0);
    assert_eq!(queue.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_failed_run_is_repeated_and_each_run_is_recorded() {
    let queue = TestQueue::new().await;
    let fleet = queue.start();
    let acts = [Act::Fail(ErrorClass::Network), Act::Panic, Act::Fail(ErrorClass::ServerError), Act::Succeed];

    let id = queue.enqueue(toy(acts)).await;

    queue.witness.wait_for(id, Verdict::Complete).await;
    let story: Vec<_> =
        queue.records().await.iter().map(|(_, r)| (r.run, r.attempt, r.status, r.class)).collect();
    let retried = Status::Retried;
    assert_eq!(
        story,
        [
            (1, 1, retried, Some(ErrorClass::Network)),
            (2, 2, retried, Some(ErrorClass::Panic)),
            (3, 3, retried, Some(ErrorClass::ServerError)),
            (4, 4, Status::Succeeded, None),
        ]
    );
    drain(fleet, PATIENCE).await;
    assert_eq!(queue.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_job_out_of_tries_is_buried_with_its_envelope() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let queue = TestQueue::new().await;
    let id = queue.enqueue(toy([Act::Fail(ErrorClass::ServerError)])).await;
    let bytes = inspect::find(&queue.link, &queue.keys, id).await.unwrap().unwrap().bytes;

    let fleet = queue.start();

    let seen = queue.witness.wait_for(id, Verdict::Bury).await;
    assert_eq!(seen.verdicts[&id].len(), 3, "server errors get three tries");
    let (_, last) = queue.records().await.pop().unwrap();
    assert_eq!((last.status, last.attempt), (Status::Dead, 3));
    assert_eq!(STANDARD.decode(last.envelope.unwrap()).unwrap(), bytes);
    drain(fleet, PATIENCE).await;
}

#[tokio::test]
async fn a_job_that_hangs_is_stopped_at_its_own_time_limit() {
    let queue = TestQueue::new().await;
    let fleet = queue.start();

    let id = queue.enqueue(toy([Act::Hang]).timeout(Duration::from_millis(80)).max_attempts(1)).await;

    let seen = queue.witness.wait_for(id, Verdict::Bury).await;
    assert_eq!(seen.verdicts[&id], [(Verdict::Bury, Some(ErrorClass::Timeout))]);
    drain(fleet, PATIENCE).await;
}

#[tokio::test]
async fn waiting_is_not_charged() {
    let mut queue = TestQueue::new().await;
    queue.policy.max_attempts = 1;
    let fleet = queue.start();

    let id = queue.enqueue(toy([Act::Park(10)])).await;
    queue
        .witness
        .wait_until("it was parked five times", |seen| {
            seen.verdicts.get(&id).is_some_and(|verdicts| 5 <= verdicts.len())
        })
        .await;

    let found = inspect::find(&queue.link, &queue.keys, id).await.unwrap().unwrap();
    assert_eq!((found.marks.attempt, found.marks.deliveries), (0, 0));
    assert!(5 <= found.marks.run);
    assert!(queue.records().await.is_empty());
    drain(fleet, PATIENCE).await;
}

#[tokio::test]
async fn garbage_is_buried_and_the_worker_goes_on() {
    let queue = TestQueue::new().await;
    let garbage: [&[u8]; 5] = [
        b"",
        b"not json",
        b"\xff\xfe\x00",
        b"{\"v\":1}",
        br#"{"v":1,"kind":"toy","at":1,"payload":{"acts":7}}"#,
    ];
    for bytes in garbage {
        let id = flota_producer::JobId::mint();
        let mut pipeline = redis::pipe();
        pipeline.cmd("HSET").arg(queue.keys.jobs()).arg(id).arg(bytes).ignore();
        pipeline.cmd("RPUSH").arg(queue.keys.ready(Priority::Normal)).arg(id).ignore();
        queue.link.pipeline::<()>(&pipeline).await.unwrap();
    }
    let good = queue.enqueue(toy([Act::Succeed])).await;

    let fleet = queue.start();

    queue.witness.wait_for(good, Verdict::Complete).await;
    queue.witness.wait_for_ended(garbage.len() + 1).await;
    let records = queue.records().await;
    let buried = records.iter().filter(|(_, record)| record.class == Some(ErrorClass::Undecodable)).count();
    assert_eq!(buried, garbage.len());
    drain(fleet, PATIENCE).await;
    assert_eq!(queue.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn unknown_kinds_and_versions_are_parked_until_a_worker_knows_them() {
    let queue = TestQueue::new().await;
    let payload = RawValue::from_string(r#"{"acts":["succeed"]}"#.into()).unwrap();
    let unknown = queue.enqueue(NewJob::untyped("from_the_future", "toys", payload)).await;
    let known = queue.enqueue(toy([Act::Succeed])).await;
    let nothing = flota_engine::Registry::<()>::new().bind(());

    let old = queue.start_with(nothing);
    queue.witness.wait_for(known, Verdict::Shelve).await;
    queue.witness.wait_for(unknown, Verdict::Shelve).await;
    assert_eq!(queue.counts().await.parked, 2);
    drain(old, PATIENCE).await;
    let new = queue.start();

    queue.witness.wait_for(known, Verdict::Complete).await;
    let found = inspect::find(&queue.link, &queue.keys, unknown).await.unwrap().unwrap();
    assert!(matches!(found.place, inspect::Place::Parked(reason) if reason.contains("from_the_future")));
    assert_eq!(found.marks.attempt, 0);
    drain(new, PATIENCE).await;
}

#[tokio::test]
async fn an_id_that_is_none_is_set_aside_and_not_lost() {
    let queue = TestQueue::new().await;
    let mut pipeline = redis::pipe();
    pipeline.cmd("HSET").arg(queue.keys.jobs()).arg("hand-made").arg("{}").ignore();
    pipeline.cmd("RPUSH").arg(queue.keys.ready(Priority::Normal)).arg("hand-made").ignore();
    queue.link.pipeline::<()>(&pipeline).await.unwrap();
    let good = queue.enqueue(toy([Act::Succeed])).await;

    let fleet = queue.start();

    queue.witness.wait_for(good, Verdict::Complete).await;
    drain(fleet, PATIENCE).await;
    let parked: Vec<String> = queue.link.query(redis::cmd("HKEYS").arg(queue.keys.parked())).await.unwrap();
    assert_eq!(parked, ["hand-made"]);
    assert_eq!(queue.counts().await.running, 0);
}

#[tokio::test]
async fn a_job_past_its_deadline_expires_instead_of_starting() {
    let queue = TestQueue::new().await;
    let fleet = queue.start();

    let id = queue.enqueue(toy([Act::Succeed]).deadline(1)).await;

    queue.witness.wait_for(id, Verdict::Expire).await;
    assert!(queue.ledger.effects(id).is_empty());
    drain(fleet, PATIENCE).await;
}

#[tokio::test]
async fn waiting_and_delayed_jobs_are_cancelled_at_once() {
    let queue = TestQueue::new().await;
    let waiting = queue.enqueue(toy([Act::Succeed]).unique("u")).await;
    let delayed = queue.enqueue(toy([Act::Succeed]).after(PATIENCE).priority(Priority::Low)).await;

    for id in [waiting, delayed] {
        let answer = inspect::cancel(&queue.link, &queue.keys, id, "test").await.unwrap();
        assert_eq!(answer, Cancelled::Now);
        assert_eq!(inspect::cancel(&queue.link, &queue.keys, id, "test").await.unwrap(), Cancelled::Unknown);
    }
    let other = queue.enqueue(toy([Act::Succeed]).unique("u")).await;
    let fleet = queue.start();

    queue.witness.wait_for(other, Verdict::Complete).await;
    assert_eq!(queue.ledger.total(), 1);
    let cancelled = queue.records().await.iter().filter(|(_, r)| r.status == Status::Cancelled).count();
    assert_eq!(cancelled, 2);
    drain(fleet, PATIENCE).await;
    assert_eq!((queue.counts().await.running, queue.leftovers().await), (0, Vec::<String>::new()));
}

#[tokio::test]
async fn a_running_job_is_cancelled_with_the_next_heartbeat() {
    let queue = TestQueue::new().await;
    let fleet = queue.start();
    let id = queue.enqueue(toy([Act::Hang])).await;
    queue.witness.wait_until("it runs", |seen| seen.started.contains_key(&id)).await;

    let answer = inspect::cancel(&queue.link, &queue.keys, id, "test").await.unwrap();

    assert_eq!(answer, Cancelled::Requested);
    queue.witness.wait_for(id, Verdict::Cancel).await;
    drain(fleet, PATIENCE).await;
    assert_eq!(queue.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_cancel_that_meets_a_failing_run_ends_the_job_before_its_next() {
    let mut queue = TestQueue::new().await;
    // No heartbeat falls into the run, so only the next fetch can hear of the cancel.
    (queue.policy.lease, queue.policy.heartbeat) = (Duration::from_secs(60), Duration::from_secs(20));
    let fleet = queue.start();
    let hang = queue.enqueue(toy([Act::Hang, Act::Succeed]).timeout(Duration::from_secs(10))).await;
    queue.witness.wait_until("it runs", |seen| seen.started.contains_key(&hang)).await;

    let answer = inspect::cancel(&queue.link, &queue.keys, hang, "test").await.unwrap();

    assert_eq!(answer, Cancelled::Requested);
    let seen = queue.witness.wait_for(hang, Verdict::Cancel).await;
    assert_eq!(seen.started[&hang], 1);
    drain(fleet, PATIENCE).await;
    assert_eq!(queue.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_paused_queue_is_not_fetched_until_it_is_resumed() {
    let queue = TestQueue::new().await;
    queue.pause().await;
    let fleet = queue.start();
    let id = queue.enqueue(toy([Act::Succeed])).await;
    // One may have been under way when the job came; the second was not.
    let before = queue.witness.seen().fetched;
    queue.witness.wait_until("it was fetched twice", |seen| before + 2 <= seen.fetched).await;
    assert!(queue.counts().await.paused && queue.ledger.total() == 0);

    assert!(queue.resume().await);

    queue.witness.wait_for(id, Verdict::Complete).await;
    drain(fleet, PATIENCE).await;
}

#[tokio::test]
async fn an_idle_worker_takes_a_job_without_a_polling_delay() {
    let queue = TestQueue::new().await;
    let fleet = queue.start();
    let warm = queue.enqueue(toy([Act::Succeed])).await;
    queue.witness.wait_for(warm, Verdict::Complete).await;

    let mut waits = Vec::new();
    for _ in 0..20 {
        let sent = std::time::Instant::now();
        let id = queue.enqueue(toy([Act::Succeed])).await;
        queue.witness.wait_for(id, Verdict::Complete).await;
        waits.push(sent.elapsed());
    }

    waits.sort_unstable();
    // A worker that polled would find it after seconds.
    assert!(waits[10] < Duration::from_secs(1), "median {:?}", waits[10]);
    drain(fleet, PATIENCE).await;
}

#[tokio::test]
async fn high_priority_goes_first_and_low_is_not_starved() {
    let mut queue = TestQueue::new().await;
    queue.policy.concurrency = 1;
    let low = queue.enqueue(toy([Act::Succeed]).priority(Priority::Low)).await;
    queue.enqueue_many(20, &toy([Act::Succeed]).priority(Priority::High)).await;

    let fleet = queue.start();

    queue.witness.wait_for_ended(21).await;
    let order: Vec<_> = queue.records().await.into_iter().map(|(_, record)| record.id).collect();
    let place = order.iter().position(|id| *id == low).unwrap();
    assert!(place <= 8, "the low one came as number {place}");
    drain(fleet, PATIENCE).await;
}

#[tokio::test]
async fn a_delayed_job_runs_when_it_is_due_and_not_before() {
    let queue = TestQueue::new().await;
    let fleet = queue.start();
    let sent = std::time::Instant::now();

    let id = queue.enqueue(toy([Act::Succeed]).after(Duration::from_millis(700))).await;

    queue.witness.wait_for(id, Verdict::Complete).await;
    // Times are whole milliseconds in Redis.
    assert!(Duration::from_millis(699) <= sent.elapsed(), "{:?}", sent.elapsed());
    drain(fleet, PATIENCE).await;
}
