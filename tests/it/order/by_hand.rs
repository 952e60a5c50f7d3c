//! Lines as people meet them: on the command line, and after somebody's hand was in Redis.

use std::time::Instant;

use flota_engine::{
    Verdict,
    inspect::Place,
    repair::{Treatment, nowhere},
};
use flota_producer::{JobId, Priority};
use flota_tests::{
    PATIENCE,
    fleet::{TestQueue, drain},
    program::Installation,
    toys::{Act, toy},
};
use serde_json::json;

use super::{in_line, place};

#[tokio::test]
async fn the_command_line_shows_whom_a_job_waits_for_and_takes_lines_away() {
    let flota = Installation::new().await;
    let mail = json!({ "to": ["ana@example.com"], "body": { "subject": "Hi", "text": "Hello" } });
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(flota.enqueue("send_email", &mail, &["--in-order", "ana"]).await);
    }

    let third = flota.job(&ids[2]).await;
    let listed = flota.flota(&["job", "list", "--state", "in_line"]).await.expect(0).json();
    let queue = flota.flota(&["queue", "get", "email"]).await.expect(0).json();
    let retry = flota.flota(&["job", "retry", &ids[1]]).await.expect(1);
    let dated = ["enqueue", "send_email", "--data", "{}", "--in-order", "ana", "--delay", "1h"];
    let refused = flota.flota(&dated).await.expect(2);
    let purge = ["queue", "purge", "email", "--state", "in_line", "--yes"];
    let purged = flota.flota(&purge).await.expect(0).json();

    assert_eq!(
        (&third["state"], &third["in_line"]),
        (&json!("in_line"), &json!({ "behind": ids[0], "ahead": 2 }))
    );
    assert_eq!(third["reason"], format!("behind job {} of line ana, 2 ahead", ids[0]));
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!((&queue["ready"], &queue["in_line"]), (&json!(1), &json!(2)));
    assert!(retry.refusal().contains(&format!("waits in line behind job {}", ids[0])), "{retry:?}");
    assert!(refused.stderr.contains("--in-order <KEY>' cannot be used with"), "{refused:?}");
    assert_eq!((&purged["cancelled"], &purged["by_state"]), (&json!(2), &json!({ "in_line": 2 })));
    assert_eq!(flota.job(&ids[0]).await["state"], "ready");
}

#[tokio::test]
async fn a_line_whose_head_is_gone_is_told_mended_and_runs_in_order() {
    let queue = TestQueue::new().await;
    let ids = queue.enqueue_many(4, &in_line(Act::Succeed)).await;
    let beside = queue.enqueue_many(2, &toy([Act::Succeed]).in_order("b")).await;
    let mut pipeline = redis::pipe();
    pipeline.cmd("HDEL").arg(queue.keys.jobs()).arg(ids[0]).ignore();
    pipeline.cmd("LREM").arg(queue.keys.ready(Priority::Normal)).arg(1).arg(ids[0]).ignore();
    queue.link.pipeline::<()>(&pipeline).await.unwrap();

    let mut told = nowhere(&queue.link, &queue.keys, Treatment::Look).await.unwrap();
    let mended = nowhere(&queue.link, &queue.keys, Treatment::Repair).await.unwrap();
    let left = nowhere(&queue.link, &queue.keys, Treatment::Look).await.unwrap();

    told.sort_unstable();
    assert_eq!(told, ids[1..].iter().map(JobId::bytes).collect::<Vec<_>>());
    assert!(!mended.is_empty() && left.is_empty(), "{mended:?}, {left:?} beside {beside:?}");
    assert_eq!(place(&queue, ids[1]).await, Place::Ready);
    let fleet = queue.start();
    queue.witness.wait_for(ids[3], Verdict::Complete).await;
    drain(fleet, PATIENCE).await;
    let ended: Vec<_> = queue.records().await.into_iter().map(|(_, record)| record.id).collect();
    let of_the_line: Vec<_> = ended.into_iter().filter(|id| ids.contains(id)).collect();
    assert_eq!(of_the_line, ids[1..]);
}

#[tokio::test]
async fn jobs_whose_line_was_deleted_are_told_and_run_all_the_same() {
    let queue = TestQueue::new().await;
    let ids = queue.enqueue_many(3, &in_line(Act::Succeed)).await;
    queue.link.query::<u64>(redis::cmd("DEL").arg(queue.keys.line(None, "a"))).await.unwrap();

    let mended = nowhere(&queue.link, &queue.keys, Treatment::Repair).await.unwrap();

    assert_eq!(mended.len(), 2, "the head is ready, as it was");
    let fleet = queue.start();
    for id in ids {
        queue.witness.wait_for(id, Verdict::Complete).await;
    }
    drain(fleet, PATIENCE).await;
    assert_eq!(queue.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_line_that_stands_still_goes_on_with_the_next_job_that_joins_it() {
    let queue = TestQueue::new().await;
    let ids = queue.enqueue_many(2, &in_line(Act::Succeed)).await;
    let mut pipeline = redis::pipe();
    pipeline.cmd("HDEL").arg(queue.keys.jobs()).arg(ids[0]).ignore();
    pipeline.cmd("DEL").arg(queue.keys.ready(Priority::Normal)).ignore();
    queue.link.pipeline::<()>(&pipeline).await.unwrap();
    let fleet = queue.start();

    let last = queue.enqueue(in_line(Act::Succeed)).await;

    queue.witness.wait_for(last, Verdict::Complete).await;
    assert_eq!(queue.witness.seen().last(ids[1]), Some(Verdict::Complete));
    drain(fleet, PATIENCE).await;
}

#[tokio::test]
async fn looking_through_lines_that_move_finds_nothing() {
    let queue = TestQueue::new().await;
    let fleet = queue.start();
    for line in 0..40 {
        queue.enqueue_many(20, &toy([Act::Sleep(1)]).in_order(format!("line-{line}"))).await;
    }

    let began = Instant::now();
    while queue.witness.seen().ended < 800 {
        assert!(began.elapsed() < PATIENCE, "{:?}", queue.counts().await);
        let found = nowhere(&queue.link, &queue.keys, Treatment::Repair).await.unwrap();
        assert!(found.is_empty(), "{found:?}");
    }

    assert_eq!(queue.counts().await.repaired, 0);
    drain(fleet, PATIENCE).await;
}
