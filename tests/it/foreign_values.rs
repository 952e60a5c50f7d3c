//! Values in Redis that no script of ours wrote: an older tool, a slip of somebody's hand, half a restore. Nothing stands still
//! for them, and nothing is lost beside them.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::time::Duration;

use flota_engine::{
    ErrorClass, Status, Verdict,
    browse::{self, LiveState},
    control, inspect,
    purge::{self, Purged},
};
use flota_producer::{JobId, Priority};
use flota_tests::{
    fleet::{TestQueue, drain},
    toys::{Act, toy},
};

const PATIENCE: Duration = Duration::from_secs(30);

async fn tell(queue: &TestQueue, words: &[&[u8]]) {
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(*word);
    }
    queue.link.query::<redis::Value>(&command).await.unwrap();
}

/// Puts a list where the lock of a unique key was.
async fn spoil_lock(queue: &TestQueue, key: &str) {
    let lock = queue.keys.unique(None, key);
    tell(queue, &[b"DEL", lock.as_bytes()]).await;
    tell(queue, &[b"RPUSH", lock.as_bytes(), b"x"]).await;
}

#[tokio::test]
async fn a_lock_that_is_no_string_keeps_no_job_from_ending_with_its_record() {
    let queue = TestQueue::new().await;
    let ran = queue.enqueue(toy([Act::Succeed]).unique("run")).await;
    let beside = queue.enqueue(toy([Act::Succeed])).await;
    spoil_lock(&queue, "run").await;
    let fleet = queue.start();
    queue.witness.wait_for(ran, Verdict::Complete).await;
    queue.witness.wait_for(beside, Verdict::Complete).await;
    drain(fleet, PATIENCE).await;

    let cancelled = queue.enqueue(toy([Act::Succeed]).unique("cancel")).await;
    let purged = queue.enqueue(toy([Act::Succeed]).unique("purge")).await;
    spoil_lock(&queue, "cancel").await;
    spoil_lock(&queue, "purge").await;
    inspect::cancel(&queue.link, &queue.keys, cancelled, "ana").await.unwrap();
    purge::purge(&queue.link, &queue.keys, LiveState::Ready, "ana").await.unwrap();

    let records = queue.records().await;
    let status = |id| records.iter().find(|(_, record)| record.id == id).map(|(_, record)| record.status);
    assert_eq!([ran, beside].map(status), [Some(Status::Succeeded); 2]);
    assert_eq!([cancelled, purged].map(status), [Some(Status::Cancelled); 2]);
}

#[tokio::test]
async fn counters_that_are_no_text_keep_no_job_from_being_recovered_or_shown() {
    let queue = TestQueue::new().await;
    let spoilt = queue.enqueue(toy([Act::Succeed])).await;
    let beside = queue.enqueue(toy([Act::Succeed])).await;
    for _ in 0..2 {
        queue.lease_to_nobody(Duration::from_millis(1)).await;
    }
    tell(&queue, &[b"HSET", queue.keys.marks().as_bytes(), spoilt.bytes(), b"\xff\xfe"]).await;
    for field in ["longest_lease", "repaired", "note"] {
        tell(&queue, &[b"HSET", queue.keys.config().as_bytes(), field.as_bytes(), b"\xff"]).await;
    }

    let shown = inspect::find(&queue.link, &queue.keys, spoilt).await.unwrap().unwrap();
    let page = browse::page(&queue.link, &queue.keys, LiveState::Running, 0, 10).await.unwrap();
    let published = inspect::published(&queue.link, &queue.keys).await.unwrap();
    let set = control::read(&queue.link, &queue.keys).await.unwrap();
    let fleet = queue.start();

    queue.witness.wait_for(spoilt, Verdict::Complete).await;
    queue.witness.wait_for(beside, Verdict::Complete).await;
    drain(fleet, PATIENCE).await;
    assert_eq!((shown.marks.run, page.len(), queue.counts().await.repaired), (0, 2, 0));
    assert_eq!((published["note"].as_str(), set), ("\u{FFFD}", control::Controls::default()));
}

#[tokio::test]
async fn settings_that_cannot_be_read_stop_no_queue() {
    let queue = TestQueue::new().await;
    let config = queue.keys.config();
    let set = async |field: &str, value: &str| {
        tell(&queue, &[b"HSET", config.as_bytes(), field.as_bytes(), value.as_bytes()]).await;
    };
    set("rate", "0/1000 10/0 fast").await;
    let fleet = queue.start();

    let first = queue.enqueue(toy([Act::Succeed])).await;
    queue.witness.wait_for(first, Verdict::Complete).await;
    drain(fleet, PATIENCE).await;

    // A pause without an end that can be read lasts until somebody ends it, for people and for scripts.
    set("paused", "1").await;
    set("paused_until", "soon").await;
    let second = queue.enqueue(toy([Act::Succeed])).await;
    queue.lease_to_nobody(PATIENCE).await;
    let counts = queue.counts().await;
    assert_eq!((counts.paused, counts.ready, counts.running), (true, 1, 0));
    assert!(queue.resume().await);
    let fleet = queue.start();
    queue.witness.wait_for(second, Verdict::Complete).await;
    drain(fleet, PATIENCE).await;
}

#[tokio::test]
async fn what_is_no_job_is_shown_where_it_was_parked_and_a_purge_takes_it_away() {
    let queue = TestQueue::new().await;
    let ready = queue.keys.ready(Priority::Normal);
    tell(&queue, &[b"RPUSH", ready.as_bytes(), b"no\xffid"]).await;
    tell(&queue, &[b"HSET", queue.keys.jobs().as_bytes(), b"no\xffid", b"whatever"]).await;
    let job = queue.enqueue(toy([Act::Succeed])).await;
    let fleet = queue.start();
    queue.witness.wait_for(job, Verdict::Complete).await;
    flota_tests::fleet::eventually(PATIENCE, "it is parked", async || queue.counts().await.parked == 1).await;
    drain(fleet, PATIENCE).await;

    let page = browse::page(&queue.link, &queue.keys, LiveState::Parked, 0, 10).await.unwrap();
    let purged = purge::purge(&queue.link, &queue.keys, LiveState::Parked, "ana").await.unwrap();

    assert_eq!(
        page.iter().map(|job| (job.id, job.member.as_slice())).collect::<Vec<_>>(),
        [(None, b"no\xffid".as_slice())]
    );
    assert_eq!((purged, queue.counts().await.parked), (Purged::default(), 0));
    assert_eq!(queue.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_nearly_an_id_or_a_run_stops_nothing_and_is_out_of_the_way_soon() {
    let queue = TestQueue::new().await;
    let (ready, delayed, running) =
        (queue.keys.ready(Priority::Normal), queue.keys.delayed(), queue.keys.running());
    let (jobs, text, id) = (queue.keys.jobs(), JobId::mint().to_string(), JobId::mint());
    let nearly: [Vec<u8>; 7] = [
        [id.bytes(), &b":1"[..]].concat(),
        [id.bytes(), &b":02"[..]].concat(),
        [id.bytes(), &b":4294967296"[..]].concat(),
        [id.bytes(), &b"\n"[..]].concat(),
        id.bytes()[1..].to_vec(),
        text.clone().into_bytes(),
        Vec::new(),
    ];
    for entry in &nearly {
        tell(&queue, &[b"RPUSH", ready.as_bytes(), entry]).await;
        tell(&queue, &[b"ZADD", running.as_bytes(), b"1", entry]).await;
        tell(&queue, &[b"ZADD", delayed.as_bytes(), b"1", &[b"h:", &entry[..]].concat()]).await;
    }
    tell(&queue, &[b"HSET", jobs.as_bytes(), text.as_bytes(), b"{}"]).await;
    // Nobody's, and yet of the form that ours have.
    tell(&queue, &[b"RPUSH", ready.as_bytes(), JobId::mint().bytes()]).await;
    tell(&queue, &[b"ZADD", running.as_bytes(), b"1", b":2:2:2:2:2:2:2:2"]).await;
    tell(&queue, &[b"ZADD", delayed.as_bytes(), b"1", b"h:h:h:h:h:h:h:h:"]).await;
    let fleet = queue.start();

    let job = queue.enqueue(toy([Act::Succeed])).await;
    let retried =
        queue.enqueue(toy([Act::Fail(ErrorClass::Network), Act::Succeed]).priority(Priority::High)).await;

    queue.witness.wait_for(job, Verdict::Complete).await;
    queue.witness.wait_for(retried, Verdict::Complete).await;
    let rest = async || {
        let counts = queue.counts().await;
        (counts.ready, counts.delayed, counts.running) == (0, 0, 0)
    };
    flota_tests::fleet::eventually(PATIENCE, "nothing is in the way", rest).await;
    drain(fleet, PATIENCE).await;
    let parked: Vec<Vec<u8>> = queue.link.query(redis::cmd("HKEYS").arg(queue.keys.parked())).await.unwrap();
    assert!(parked.contains(&text.into_bytes()) && parked.contains(&nearly[4]), "{parked:?}");
    assert_eq!(queue.records().await.len(), 3, "two jobs, one of them twice");
}

#[tokio::test]
async fn an_idempotency_key_or_a_lock_that_says_something_else_refuses_no_job() {
    let queue = TestQueue::new().await;
    let said: [&[u8]; 5] =
        [b"", b"yes", b"0199a7c2-9c1e-7cc3-98c4-dc0c0c07398f hash", b"\xff\xfe", b"sixteen letters!"];
    for (n, said) in said.iter().enumerate() {
        let (key, lock) = (queue.keys.dedup(None, &n.to_string()), queue.keys.unique(None, &n.to_string()));
        tell(&queue, &[b"SET", key.as_bytes(), said]).await;
        tell(&queue, &[b"SET", lock.as_bytes(), said]).await;

        let first = queue
            .producer
            .enqueue(toy([Act::Succeed]).key(n.to_string()).unique(n.to_string()))
            .await
            .unwrap();
        let again = queue.producer.enqueue(toy([Act::Succeed]).key(n.to_string())).await.unwrap();

        assert_eq!((first.deduplicated, again.id, again.deduplicated), (false, first.id, true), "{said:?}");
    }
}
