//! What people do to a running fleet: look, purge, release, cancel, and deploy while jobs wait.

use std::time::Duration;

use flota_engine::{
    Failure, IfRepeated, Job, Processor, Receipt, Record, Status, Verdict,
    browse::{self, LiveState},
    inspect::{self, Place},
    purge::{self, Purged},
    store::{self, Cancelled, RunId, Settlement, Step, Suspect},
    unpark,
};
use flota_producer::{Invalid, JobId, NewJob, Payload, Priority};
use flota_tests::{
    PATIENCE,
    fleet::{TestQueue, drain},
    toys::{self, Act, Ledger, toy},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A job kind that only the newer of two releases has.
#[derive(Serialize, Deserialize)]
struct Novelty {}

impl Payload for Novelty {
    const KIND: &'static str = "novelty";
    const QUEUE: &'static str = "toys";

    fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }
}

impl Processor<Ledger> for Novelty {
    const IF_REPEATED: IfRepeated = IfRepeated {
        at_worst: "The ledger has one line more.",
        key: "The job's id.",
        receiver: "Count them.",
    };

    type Error = Failure;

    async fn run(self, _: &Job, _: &Ledger) -> Result<Receipt, Failure> {
        Ok(Receipt::default())
    }
}

fn untyped(kind: &str) -> NewJob {
    NewJob::untyped(kind, "toys", RawValue::from_string("{}".into()).expect("JSON"))
}

/// How many jobs of the queue are alive, wherever they are.
async fn alive(queue: &TestQueue) -> usize {
    queue.link.query(redis::cmd("HLEN").arg(queue.keys.jobs())).await.expect("Redis answers")
}

async fn park(queue: &TestQueue, count: usize) -> Vec<JobId> {
    let ids = queue.enqueue_many(count, &untyped("from_the_future")).await;
    let old = queue.start();
    for id in &ids {
        queue.witness.wait_for(*id, Verdict::Shelve).await;
    }
    drain(old, PATIENCE).await;
    ids
}

#[tokio::test]
async fn live_jobs_are_listed_where_they_are_a_page_at_a_time() {
    let mut queue = TestQueue::new().await;
    // What hangs does so until the end.
    queue.policy.timeout = PATIENCE * 5;
    let parked = park(&queue, 1).await;
    let fleet = queue.start();
    let running = queue.enqueue(toy([Act::Hang])).await;
    queue.witness.wait_until("it runs", |seen| seen.started.contains_key(&running)).await;
    queue.pause().await;
    let low = queue.enqueue(toy([Act::Succeed]).priority(Priority::Low)).await;
    let ready = queue.enqueue_many(3, &toy([Act::Succeed])).await;
    let high = queue.enqueue(toy([Act::Succeed]).priority(Priority::High).tenant("acme")).await;
    let later = queue.enqueue(toy([Act::Succeed]).after(PATIENCE * 20).priority(Priority::High)).await;
    let sooner = queue.enqueue(toy([Act::Succeed]).after(PATIENCE * 10)).await;

    let page = async |state, skip, limit| {
        let jobs = browse::page(&queue.link, &queue.keys, state, skip, limit).await.unwrap();
        jobs.into_iter().map(|job| job.id.unwrap()).collect::<Vec<_>>()
    };

    assert_eq!(page(LiveState::Ready, 0, 10).await, [high, ready[0], ready[1], ready[2], low]);
    assert_eq!(page(LiveState::Ready, 2, 2).await, [ready[1], ready[2]]);
    assert_eq!(page(LiveState::Delayed, 0, 10).await, [sooner, later]);
    assert_eq!(page(LiveState::Delayed, 1, 10).await, [later]);
    assert_eq!(page(LiveState::Running, 0, 10).await, [running]);
    assert_eq!(page(LiveState::Parked, 0, 10).await, parked);
    let first = &browse::page(&queue.link, &queue.keys, LiveState::Parked, 0, 1).await.unwrap()[0];
    assert!(matches!(&first.place, Place::Parked(reason) if reason.contains("from_the_future")));
    drain(fleet, Duration::ZERO).await;
}

#[tokio::test]
async fn a_purge_cancels_what_waits_and_leaves_what_runs() {
    let mut queue = TestQueue::new().await;
    queue.policy.timeout = PATIENCE * 5;
    park(&queue, 3).await;
    let fleet = queue.start();
    let running = queue.enqueue(toy([Act::Hang])).await;
    queue.witness.wait_until("it runs", |seen| seen.started.contains_key(&running)).await;
    queue.pause().await;
    queue.enqueue_many(1_203, &toy([Act::Succeed])).await;
    queue.enqueue_many(7, &toy([Act::Succeed]).priority(Priority::High)).await;
    let gone = queue.enqueue(toy([Act::Succeed]).priority(Priority::Low)).await;
    inspect::cancel(&queue.link, &queue.keys, gone, "somebody").await.unwrap();
    queue.enqueue(toy([Act::Succeed]).unique("u")).await;
    queue.enqueue_many(5, &toy([Act::Succeed]).after(PATIENCE * 10).priority(Priority::Low)).await;

    let mut purged = Vec::new();
    for state in [LiveState::Ready, LiveState::Delayed, LiveState::Parked, LiveState::Running] {
        purged.push(purge::purge(&queue.link, &queue.keys, state, "ana").await.unwrap());
    }

    let cancelled = |cancelled| Purged { cancelled, left: 0 };
    assert_eq!(purged, [cancelled(1_211), cancelled(5), cancelled(3), cancelled(0)]);
    let counts = queue.counts().await;
    assert_eq!((counts.ready, counts.delayed, counts.parked, counts.running), (0, 0, 0, 1));
    let records = queue.records().await;
    let ended = records.iter().filter(|(_, record)| record.status == Status::Cancelled).count();
    assert_eq!(ended, 1_211 + 5 + 3 + 1);
    queue.resume().await;
    let again = queue.enqueue(toy([Act::Succeed]).unique("u")).await;
    queue.witness.wait_for(again, Verdict::Complete).await;
    drain(fleet, Duration::ZERO).await;
}

#[tokio::test]
async fn a_purge_beside_busy_workers_gives_each_job_one_outcome() {
    let queue = TestQueue::new().await;
    let ids = queue.enqueue_many(2_000, &toy([Act::Succeed])).await;
    let fleet = queue.start();

    let purged = purge::purge(&queue.link, &queue.keys, LiveState::Ready, "ana").await.unwrap();

    let ran = ids.len() - purged.cancelled as usize;
    queue.witness.wait_for_ended(ran).await;
    drain(fleet, PATIENCE).await;
    let mut ended: Vec<JobId> = queue.records().await.iter().map(|(_, record)| record.id).collect();
    let all = ended.len();
    ended.sort_unstable();
    ended.dedup();
    assert_eq!((ended.len(), all), (ids.len(), ids.len()));
    assert_eq!(alive(&queue).await, 0);
}

#[tokio::test]
async fn a_purge_beside_workers_that_fetch_leaves_nothing_of_what_waited() {
    let queue = TestQueue::new().await;
    queue.enqueue_many(5_000, &toy([Act::Sleep(1)])).await;
    let fleet = queue.start();
    queue.witness.wait_until("some run", |seen| 100 < seen.started.len()).await;

    purge::purge(&queue.link, &queue.keys, LiveState::Ready, "ana").await.unwrap();

    assert_eq!(queue.counts().await.ready, 0);
    drain(fleet, PATIENCE).await;
}

#[tokio::test]
async fn a_job_that_was_asked_to_stop_ends_at_once_although_its_run_wanted_to_wait_for_another_try() {
    let queue = TestQueue::new().await;
    let id = queue.enqueue(toy([Act::Succeed]).in_order("a")).await;
    let behind = queue.enqueue(toy([Act::Succeed]).in_order("a")).await;
    queue.lease_to_nobody(PATIENCE).await;
    let asked = inspect::cancel(&queue.link, &queue.keys, id, "ana").await.unwrap();

    let failed = Settlement {
        run: RunId { id, run: 1 },
        step: Step::Delay(PATIENCE * 8_640),
        marks: "run=1 attempt=1".to_owned(),
        record: Record { run: 1, attempt: 1, ..Record::unreadable(id, Status::Retried) }.encode(),
        unique: String::new(),
        line: queue.keys.line(None, "a"),
        priority: Priority::Normal,
    };
    let lost = store::settle(&queue.link, &queue.keys, "worker", &[&failed]).await.unwrap();

    let fleet = queue.start();
    queue.witness.wait_for(id, Verdict::Cancel).await;
    queue.witness.wait_for(behind, Verdict::Complete).await;
    drain(fleet, PATIENCE).await;
    assert_eq!((asked, lost), (Cancelled::Requested, Vec::new()));
    assert_eq!(queue.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_given_back_or_recovered_at_once_keeps_its_order() {
    let queue = TestQueue::new().await;
    let ids = queue.enqueue_many(4, &toy([Act::Succeed])).await;
    let ready = async || {
        let mut range = redis::cmd("LRANGE");
        range.arg(queue.keys.ready(Priority::Normal)).arg(0).arg(-1);
        queue.link.query::<Vec<JobId>>(&range).await.unwrap()
    };
    let before = ready().await;
    for _ in 0..3 {
        queue.lease_to_nobody(PATIENCE).await;
    }

    let released: Vec<Settlement> = ids[..3].iter().map(|id| released(*id)).collect();
    store::settle(&queue.link, &queue.keys, "worker", &released.iter().collect::<Vec<_>>()).await.unwrap();
    let after_release = ready().await;
    for _ in 0..3 {
        queue.lease_to_nobody(Duration::ZERO).await;
    }
    let mut suspects = Vec::new();
    for id in &ids[..3] {
        suspects.push(suspect(&queue, RunId { id: *id, run: 2 }).await);
    }
    store::recover(&queue.link, &queue.keys, "worker", &suspects).await.unwrap();

    assert_eq!(after_release, before);
    assert_eq!(ready().await, before);
}

fn released(id: JobId) -> Settlement {
    Settlement {
        run: RunId { id, run: 1 },
        step: Step::Release,
        marks: "run=1".to_owned(),
        record: String::new(),
        unique: String::new(),
        line: String::new(),
        priority: Priority::Normal,
    }
}

async fn suspect(queue: &TestQueue, run: RunId) -> Suspect {
    let mut score = redis::cmd("ZSCORE");
    let end: f64 = queue.link.query(score.arg(queue.keys.running()).arg(run)).await.expect("a lease");
    Suspect {
        run,
        end_ms: end as u64,
        marks: "run=2 deliveries=1".to_owned(),
        record: String::new(),
        unique: String::new(),
        line: String::new(),
        priority: Priority::Normal,
    }
}

#[tokio::test]
async fn a_parked_job_is_cancelled_at_once() {
    let queue = TestQueue::new().await;
    let parked = park(&queue, 1).await[0];

    let answer = inspect::cancel(&queue.link, &queue.keys, parked, "ana").await.unwrap();

    assert_eq!(answer, Cancelled::Now);
    assert_eq!(queue.counts().await.parked, 0);
    let (_, last) = queue.records().await.pop().unwrap();
    assert_eq!((last.id, last.status), (parked, Status::Cancelled));
    assert_eq!(queue.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_released_job_is_in_line_again_and_is_charged_nothing_when_it_is_parked_again() {
    let queue = TestQueue::new().await;
    let parked = park(&queue, 3).await;

    let one = unpark::release(&queue.link, &queue.keys, &parked[..1]).await.unwrap();
    assert_eq!((one, queue.counts().await.ready), (1, 1));
    let rest = unpark::release(&queue.link, &queue.keys, &[]).await.unwrap();
    assert_eq!((rest, queue.counts().await.parked), (2, 0));

    let old = queue.start();
    queue
        .witness
        .wait_until("all are parked again", |seen| parked.iter().all(|id| seen.verdicts[id].len() == 2))
        .await;
    drain(old, PATIENCE).await;
    let found = inspect::find(&queue.link, &queue.keys, parked[0]).await.unwrap().unwrap();
    assert_eq!((found.marks.run, found.marks.attempt, found.marks.deliveries), (2, 0, 0));
}

#[tokio::test]
async fn during_a_rolling_deploy_old_workers_park_what_new_ones_take_back() {
    let queue = TestQueue::new().await;
    let old = queue.start();
    let novelties = queue.enqueue_many(20, &untyped(Novelty::KIND)).await;
    for id in &novelties {
        queue.witness.wait_for(*id, Verdict::Shelve).await;
    }

    // Both releases work on the queue for a while, as they do in a deploy.
    let new = queue.start_with(toys::registry().with::<Novelty>().bind(queue.ledger.clone()));
    let toys = queue.enqueue_many(20, &toy([Act::Succeed])).await;

    queue.witness.wait_for_ended(40).await;
    let seen = queue.witness.seen();
    assert!(novelties.iter().chain(&toys).all(|id| seen.last(*id) == Some(Verdict::Complete)));
    let records = queue.records().await;
    assert_eq!(records.len(), 40, "nothing was charged: no run is on record but the last");
    assert!(records.iter().all(|(_, record)| record.attempt == 1));
    drain(old, PATIENCE).await;
    drain(new, PATIENCE).await;
    assert_eq!(alive(&queue).await, 0);
}

#[tokio::test]
async fn an_envelope_of_a_newer_version_waits_untouched_and_one_an_older_release_parked_is_taken_back() {
    let queue = TestQueue::new().await;
    let (newer, older) = (JobId::mint(), JobId::mint());
    let from_tomorrow = r#"{"v":3,"kind":"toy","body":{"acts":["succeed"]}}"#;
    let known_today = r#"{"v":1,"kind":"toy","at":1,"payload":{"acts":["succeed"]}}"#;
    let mut pipeline = redis::pipe();
    pipeline.cmd("HSET").arg(queue.keys.jobs()).arg(newer).arg(from_tomorrow).ignore();
    pipeline.cmd("RPUSH").arg(queue.keys.ready(Priority::Normal)).arg(newer).ignore();
    // What a release that reads only version 0 leaves behind: parked after one run, nothing charged.
    pipeline.cmd("HSET").arg(queue.keys.jobs()).arg(older).arg(known_today).ignore();
    pipeline.cmd("HSET").arg(queue.keys.marks()).arg(older).arg("run=1").ignore();
    pipeline.cmd("HSET").arg(queue.keys.parked()).arg(older).arg("envelope version 1 is not known").ignore();
    queue.link.pipeline::<()>(&pipeline).await.unwrap();

    let today = queue.start();

    queue.witness.wait_for(older, Verdict::Complete).await;
    queue.witness.wait_for(newer, Verdict::Shelve).await;
    drain(today, PATIENCE).await;
    let records = queue.records().await;
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].1.id, records[0].1.run, records[0].1.attempt), (older, 2, 1));
    let found = inspect::find(&queue.link, &queue.keys, newer).await.unwrap().unwrap();
    assert_eq!(found.bytes, from_tomorrow.as_bytes());
    assert_eq!((found.marks.attempt, found.marks.deliveries), (0, 0));
    assert!(matches!(found.place, Place::Parked(reason) if reason.contains("version 3")));
}
