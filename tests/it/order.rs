//! Jobs in order: one line waits, the others do not, and every way out of the queue lets the next one go.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod by_hand;
mod deliveries;

use std::{collections::BTreeMap, time::Duration};

use flota_engine::{
    ErrorClass, Record, Status, Verdict,
    browse::{self, LiveState},
    inspect::{self, InLine, Place},
    purge::{self, Purged},
    store::{self, Cancelled, RunId, Settlement, Step},
};
use flota_producer::{EnqueueError, JobId, NewJob, Priority};
use flota_tests::{
    PATIENCE,
    fleet::{TestQueue, drain},
    toys::{Act, toy},
};
use flota_worker::dev::{RedisOptions, RedisServer};

/// Longer than any test.
const FAR: u64 = 24 * 3600 * 1000;

fn in_line(act: Act) -> NewJob {
    toy([act]).in_order("a")
}

async fn place(queue: &TestQueue, id: JobId) -> Place {
    inspect::find(&queue.link, &queue.keys, id).await.unwrap().expect("it is alive").place
}

async fn cancel(queue: &TestQueue, id: JobId) -> Cancelled {
    inspect::cancel(&queue.link, &queue.keys, id, "ana").await.unwrap()
}

#[tokio::test]
async fn two_workers_end_each_line_in_the_order_in_which_it_was_enqueued() {
    let queue = TestQueue::new().await;
    let acts = |n: u64| match n % 4 {
        0 => vec![Act::Fail(ErrorClass::Network), Act::Sleep(n % 7)],
        1 => vec![Act::Fail(ErrorClass::Network), Act::Panic, Act::Succeed],
        2 => vec![Act::Bury],
        _ => vec![Act::Sleep(n % 5)],
    };
    let priorities = [Priority::Low, Priority::High, Priority::Normal];
    let job = |n: u64| {
        toy(acts(n / 5)).in_order(format!("line-{}", n % 5)).priority(priorities[n as usize / 7 % 3])
    };
    let outcomes = queue.producer.enqueue_all((0..300).map(job).collect()).await;
    let ids: Vec<JobId> = outcomes.into_iter().map(|outcome| outcome.unwrap().id).collect();

    let (one, other) = (queue.start(), queue.start());
    queue.witness.wait_for_ended(300).await;
    drain(one, PATIENCE).await;
    drain(other, PATIENCE).await;

    let mut ended: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (_, record) in queue.records().await.iter().filter(|(_, record)| record.status != Status::Retried) {
        let n = ids.iter().position(|id| *id == record.id).unwrap();
        ended.entry(n % 5).or_default().push(n);
    }
    for (line, order) in ended {
        assert_eq!(order, (0..60).map(|n| n * 5 + line).collect::<Vec<_>>(), "line {line}");
    }
    assert_eq!(queue.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn behind_a_job_that_waits_for_its_next_try_its_line_waits_and_no_other() {
    let queue = TestQueue::new().await;
    let first = queue.enqueue(toy([Act::Park(FAR)]).in_order("a").tenant("acme")).await;
    let second = queue.enqueue(in_line(Act::Succeed).tenant("acme")).await;
    let third = queue.enqueue(in_line(Act::Succeed).tenant("acme")).await;
    let beside = [
        queue.enqueue(toy([Act::Succeed]).in_order("b").tenant("acme")).await,
        queue.enqueue(in_line(Act::Succeed).tenant("other")).await,
        queue.enqueue(toy([Act::Succeed])).await,
    ];

    let fleet = queue.start();
    for id in beside {
        queue.witness.wait_for(id, Verdict::Complete).await;
    }
    queue.witness.wait_until("the first waits", |seen| seen.last(first).is_some()).await;

    assert!(matches!(place(&queue, first).await, Place::Delayed(_)));
    let stands = |ahead| Place::InLine(InLine { behind: Some(first), ahead: Some(ahead) });
    assert_eq!((place(&queue, second).await, place(&queue, third).await), (stands(1), stands(2)));
    let counts = queue.counts().await;
    assert_eq!((counts.ready, counts.running, counts.delayed, counts.in_line), (0, 0, 1, 2));
    assert!(!store::hurry(&queue.link, &queue.keys, second).await.unwrap(), "its turn cannot be hurried");

    assert_eq!(cancel(&queue, first).await, Cancelled::Now);
    queue.witness.wait_for(third, Verdict::Complete).await;
    assert_eq!(queue.witness.seen().last(second), Some(Verdict::Complete));
    drain(fleet, PATIENCE).await;
    assert_eq!(queue.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn whoever_is_cancelled_leaves_the_line_and_the_others_keep_their_order() {
    let queue = TestQueue::new().await;
    let ids = queue.enqueue_many(5, &in_line(Act::Succeed)).await;

    let middle = cancel(&queue, ids[2]).await;
    let head = cancel(&queue, ids[0]).await;
    let last = cancel(&queue, ids[4]).await;

    assert_eq!([middle, head, last], [Cancelled::Now; 3]);
    assert_eq!(place(&queue, ids[1]).await, Place::Ready);
    let behind = InLine { behind: Some(ids[1]), ahead: Some(1) };
    assert_eq!(place(&queue, ids[3]).await, Place::InLine(behind));
    let fleet = queue.start();
    queue.witness.wait_for(ids[3], Verdict::Complete).await;
    drain(fleet, PATIENCE).await;
    assert_eq!(queue.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_running_head_that_is_cancelled_lets_the_next_one_go() {
    let queue = TestQueue::new().await;
    let head = queue.enqueue(in_line(Act::Hang)).await;
    let next = queue.enqueue(in_line(Act::Succeed)).await;
    let fleet = queue.start();
    queue.witness.wait_until("it runs", |seen| seen.started.contains_key(&head)).await;

    let answer = cancel(&queue, head).await;

    assert_eq!(answer, Cancelled::Requested);
    queue.witness.wait_for(next, Verdict::Complete).await;
    assert_eq!(queue.witness.seen().last(head), Some(Verdict::Cancel));
    drain(fleet, PATIENCE).await;
}

#[tokio::test]
async fn a_purge_of_those_in_line_leaves_the_heads_and_one_of_everything_leaves_nothing() {
    let queue = TestQueue::new().await;
    let ids = queue.enqueue_many(1_203, &in_line(Act::Succeed)).await;
    queue.enqueue_many(3, &toy([Act::Succeed]).in_order("b").priority(Priority::High)).await;
    let listed = browse::page(&queue.link, &queue.keys, LiveState::InLine, 0, 2_000).await.unwrap();

    let behind = purge::purge(&queue.link, &queue.keys, LiveState::InLine, "ana").await.unwrap();
    let counts = queue.counts().await;
    let heads = purge::purge(&queue.link, &queue.keys, LiveState::Ready, "ana").await.unwrap();

    assert_eq!((listed.len(), behind, heads), (1_204, gone(1_204), gone(2)));
    assert_eq!((counts.ready, counts.in_line), (2, 0));
    assert!(!listed.iter().any(|job| job.id == Some(ids[0])), "the head does not wait in line");
    assert_eq!(queue.records().await.len(), 1_206);
    assert_eq!(queue.leftovers().await, Vec::<String>::new());
}

fn gone(cancelled: u64) -> Purged {
    Purged { cancelled, left: 0 }
}

#[tokio::test]
async fn a_purge_of_ready_jobs_lets_the_next_of_each_line_go() {
    let queue = TestQueue::new().await;
    let ids = queue.enqueue_many(3, &in_line(Act::Succeed)).await;

    let purged = purge::purge(&queue.link, &queue.keys, LiveState::Ready, "ana").await.unwrap();

    assert_eq!((purged, place(&queue, ids[1]).await), (gone(1), Place::Ready));
    let fleet = queue.start();
    queue.witness.wait_for(ids[2], Verdict::Complete).await;
    drain(fleet, PATIENCE).await;
}

#[tokio::test]
async fn a_job_that_another_one_stands_for_does_not_enter_the_line() {
    let queue = TestQueue::new().await;
    let first = queue.enqueue(in_line(Act::Succeed).key("k").unique("u")).await;

    let same_key = queue.enqueue(in_line(Act::Succeed).key("k")).await;
    let same_lock = queue.enqueue(in_line(Act::Bury).unique("u")).await;
    let conflict = queue.producer.enqueue(in_line(Act::Bury).key("k")).await;

    assert_eq!((same_key, same_lock), (first, first));
    assert!(matches!(conflict, Err(EnqueueError::KeyConflict { .. })));
    let mut line = redis::cmd("LRANGE");
    line.arg(queue.keys.line(None, "a")).arg(0).arg(-1);
    assert_eq!(queue.link.query::<Vec<JobId>>(&line).await.unwrap(), [first]);
}

#[tokio::test]
async fn an_order_with_a_date_or_without_a_proper_key_is_refused() {
    let queue = TestQueue::new().await;
    let late = in_line(Act::Succeed).after(Duration::from_secs(1));
    let dated = in_line(Act::Succeed).at(4_102_444_800_000);
    let keys = ["", "a\nb", &"x".repeat(201)].map(|key| toy([Act::Succeed]).in_order(key));

    for job in [late, dated].into_iter().chain(keys) {
        let refused = queue.producer.enqueue(job).await.unwrap_err();

        assert!(matches!(&refused, EnqueueError::Invalid(invalid) if invalid.field == "order"), "{refused}");
    }
}

/// A queue in which nobody uses order does what it did before, call by call.
#[tokio::test]
async fn jobs_without_an_order_cost_no_command_more() {
    let server = RedisServer::start(RedisOptions::default()).await.unwrap();
    let queue = TestQueue::on(server.url().as_str());
    queue.enqueue_many(2, &toy([Act::Succeed])).await;
    queue.lease_to_nobody(PATIENCE).await;
    queue.link.query::<()>(redis::cmd("CONFIG").arg("RESETSTAT")).await.unwrap();

    let id = queue.enqueue(toy([Act::Succeed])).await;
    let (run, record) = (RunId { id, run: 1 }, Record::unreadable(id, Status::Succeeded).encode());
    queue.lease_to_nobody(PATIENCE).await;
    queue.lease_to_nobody(PATIENCE).await;
    let none = String::new;
    let (unique, line, priority) = (none(), none(), Priority::Normal);
    let end = Settlement { run, step: Step::End, marks: none(), record, unique, line, priority };
    let lost = store::settle(&queue.link, &queue.keys, "worker", &[&end]).await.unwrap();

    assert_eq!(lost, Vec::<usize>::new());
    let stats: String = queue.link.query(redis::cmd("INFO").arg("commandstats")).await.unwrap();
    let called = |line: &str| Some(line.strip_prefix("cmdstat_")?.split(':').next()?.to_owned());
    let mut commands: Vec<String> = stats.lines().filter_map(called).collect();
    commands.retain(|name| !matches!(name.as_str(), "config|resetstat" | "info" | "script|load" | "eval"));
    commands.sort_unstable();
    assert_eq!(
        commands,
        [
            "evalsha", "exists", "hdel", "hget", "hsetnx", "llen", "lmpop", "rpush", "time", "xadd", "xlen",
            "zadd", "zmscore", "zrem",
        ]
    );
}
