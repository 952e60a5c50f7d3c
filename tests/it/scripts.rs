//! Every script against a real Redis, beside a model of the queue in plain Rust.
//!
//! Random sequences of everything that producers, workers and people do to one queue: several workers, priorities,
//! idempotency, unique and ordering keys, delays, lost leases, results that come too late, and a Redis that is full for a while.
//! After each step all structures are compared in full, and what `docs/life-of-a-job.md` promises is checked on what
//! Redis really holds.
//!
//! The clock of Redis cannot be told the time, so times are long ago or far ahead, and the model stays exact. Deadlines
//! that matter in between are for the stories with real workers. Left out: an id that is enqueued again after its job
//! has ended, since ids are minted once and the relay asks before it sends one again.
//!
//! `FLOTA_SCRIPT_CASES=20000 cargo test -p flota-tests --test it scripts` looks longer than the ordinary run does.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod contents;
mod model;
mod operation;
mod real;
mod step;

use std::{cell::Cell, env, time::Duration};

use flota_engine::{
    Record, Status, inspect,
    store::{self, Cancelled, RunId, Settlement, Step, Suspect},
};
use flota_producer::{
    JobId, Priority,
    handover::{Handed, Handover, Terms, hand_over},
    keys::Prefix,
    link::{Link, LinkError},
};
use flota_tests::{
    fleet::TestQueue,
    servers::{self, unique_name},
    toys,
};
use flota_worker::dev::{RedisOptions, RedisServer};
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestRunner};

use self::{operation::Lease, real::Real};

/// Sequences of an ordinary run: some ten seconds.
const CASES: u32 = 256;

#[test]
fn every_script_does_what_the_model_does() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // A server of its own: `maxmemory` is a setting of the whole server.
    let server = runtime.block_on(RedisServer::start(RedisOptions::default())).unwrap();
    // A machine that is busy with other tests is no failure of a script.
    let link = Link::new(server.url().as_str()).unwrap().with_response_timeout(Duration::from_mins(1));
    let case = Cell::new(0);
    let cases = env::var("FLOTA_SCRIPT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let persistence = FileFailurePersistence::Direct("it/scripts/regressions.txt");
    let config = Config { cases, failure_persistence: Some(Box::new(persistence)), ..Config::default() };

    let outcome = TestRunner::new(config).run(&operation::sequences(), |operations| {
        runtime.block_on(async {
            case.set(case.get() + 1);
            let real = Real::new(&link, case.get()).await;
            step::all(&real, &operations).await.map_err(TestCaseError::fail)
        })
    });

    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// Found by the test above: a cancelled id in line was leased as run 1 again, and the worker that had lost the real run 1
/// was believed, so that the job ended twice.
#[tokio::test]
async fn a_cancelled_id_in_line_gets_no_lease_that_an_old_worker_could_use() {
    let url = servers::redis_url().await;
    let real = Real {
        link: &Link::new(url.as_str()).unwrap(),
        keys: Prefix::new(&unique_name()).unwrap().queue("toys"),
    };
    let keys = &real.keys;
    let id = JobId::mint();
    let terms = Terms { due_ms: None, key_window: None, keyed: true };
    let job = br#"{"v":1,"kind":"toy","payload":{},"at":1}"#.to_vec();
    hand_over(real.link, keys, &[Handover::new(id, job, &terms, keys).unwrap()], u64::MAX >> 1)
        .await
        .unwrap();
    let order = [Priority::High, Priority::Normal, Priority::Low];
    real.fetch(1, order, Lease::Ended, 1_000).await.unwrap();
    let run = RunId { id, run: 1 };
    let plain = (String::new(), String::new(), String::new(), Priority::Normal);
    let (record, unique, line, priority) = plain.clone();
    let mut score = redis::cmd("ZSCORE");
    let end: f64 = real.link.query(score.arg(keys.running()).arg(run)).await.unwrap();
    let marks = "run=1 deliveries=1".to_owned();
    let suspect = Suspect { run, end_ms: end as u64, marks, record, unique, line, priority };
    store::recover(real.link, keys, "other", &[suspect]).await.unwrap();
    assert_eq!(inspect::cancel(real.link, keys, id, "person").await.unwrap(), Cancelled::Now);

    let fetched = real.fetch(1, order, Lease::Kept, 1_000).await.unwrap();
    let (marks, unique, line, priority) = plain;
    let record = Record::unreadable(id, Status::Succeeded).encode();
    let late = Settlement { run, step: Step::End, marks, record, unique, line, priority };
    let lost = store::settle(real.link, keys, "paused for long", &[&late]).await.unwrap();

    assert_eq!((fetched.ids, lost), (Vec::new(), vec![0]));
    assert_eq!(inspect::counts(real.link, keys).await.unwrap().unrecorded, 1, "the cancellation alone");
}

/// Found by the test above too: a job alone was looked up by the command that writes it, which Redis refuses then.
#[tokio::test]
async fn a_job_that_is_here_is_known_again_when_redis_has_no_room() {
    let server = RedisServer::start(RedisOptions::default()).await.unwrap();
    let link = Link::new(server.url().as_str()).unwrap();
    let real = Real::new(&link, 1).await;
    let terms = Terms { due_ms: None, key_window: None, keyed: false };
    let hand_over = async |id: JobId| {
        let job = br#"{"v":1,"kind":"toy","payload":{},"at":1}"#.to_vec();
        let handover = Handover::new(id, job, &terms, &real.keys).unwrap();
        hand_over(&link, &real.keys, &[handover], u64::MAX >> 1).await
    };
    let id = JobId::mint();
    hand_over(id).await.unwrap();
    real.set_full(true).await;

    let (again, another) = (hand_over(id).await, hand_over(JobId::mint()).await);

    assert_eq!(again.unwrap(), [Handed::Taken]);
    assert!(another.as_ref().is_err_and(LinkError::is_full), "{another:?}");
}

#[tokio::test]
async fn history_that_waits_is_weighed_and_not_only_counted() {
    let url = servers::redis_url().await;
    let queue = TestQueue::on(url.as_str());
    let keys = &queue.keys;
    queue.enqueue(toys::noop(10)).await;
    let mut add = redis::pipe();
    for _ in 0..1_001 {
        add.cmd("XADD").arg(keys.outcomes()).arg("*").arg("o").arg("x".repeat(1_000)).ignore();
    }
    queue.link.pipeline::<()>(&add).await.unwrap();
    let real = Real { link: &queue.link, keys: keys.clone() };
    let order = [Priority::High, Priority::Normal, Priority::Low];
    let fetch =
        async |bytes: usize| real.fetch_below(1, order, Lease::Kept, (20_000, bytes)).await.unwrap().ids;

    let (over, under) = (fetch(900_000).await, fetch(9_000_000).await);

    assert_eq!((over.len(), under.len()), (0, 1));
}
