//! What arrives in Postgres, and that it arrives once.

use chrono::DateTime;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    dead,
    outcomes::{Progress, dead_count, find},
};

#[tokio::test]
async fn every_field_of_a_record_arrives() {
    let story = Story::new().await;
    let record = Record {
        tenant: Some("acme".into()),
        run: 3,
        attempt: 2,
        provider_ref: Some("msg-1".into()),
        result: Some(json!({"size": 7, "ñ": [null, 1.5]})),
        replay_of: Some(JobId::mint()),
        ..failed(Status::Succeeded)
    };
    story.settled(NOW_MS, std::slice::from_ref(&record)).await;

    let progress = story.recorder().run_once().await.unwrap();

    assert_eq!(progress, Progress { entries: 1, recorded: 1, ..Progress::default() });
    let row = find(&story.pool, record.id).await.unwrap().unwrap().outcome.unwrap();
    let at = |us: u64| DateTime::from_timestamp_micros(us as i64).unwrap();
    assert_eq!(
        serde_json::to_value(&row).unwrap(),
        json!({
            "id": record.id, "queue": "email", "kind": "send_email", "tenant": "acme", "status": "succeeded",
            "run": 3, "attempt": 2, "error_class": "server_error", "code": "503", "error": "the provider is busy",
            "provider": "smtp", "provider_ref": "msg-1", "result": {"size": 7, "ñ": [null, 1.5]},
            "enqueued_at": at((NOW_MS - 5_000) * 1000), "started_at": at(NOW_MS * 1000 - 1_500),
            "finished_at": at(NOW_MS * 1000), "duration_ms": 1.5, "worker": "host:1:abc",
            "replay_of": record.replay_of,
        })
    );
}

#[tokio::test]
async fn what_a_record_does_not_say_is_null() {
    let story = Story::new().await;
    let record = Record::unreadable(JobId::mint(), Status::Cancelled);
    story.settled(NOW_MS, std::slice::from_ref(&record)).await;

    story.recorder().run_once().await.unwrap();

    let row = find(&story.pool, record.id).await.unwrap().unwrap().outcome.unwrap();
    assert_eq!((row.kind.as_str(), row.run, row.tenant, row.error_class), ("", 0, None, None));
    assert_eq!((row.enqueued_at, row.started_at, row.result, row.replay_of), (None, None, None, None));
}

#[tokio::test]
async fn a_buried_job_leaves_its_runs_its_end_and_a_letter_with_its_envelope() {
    let story = Story::new().await;
    let envelope = br#"{"v":1, "kind":"send_email", "payload":{"to":"ana@example.com"},"at":1 }"#;
    let first = failed(Status::Retried);
    let end = Record { id: first.id, run: 2, attempt: 2, ..failed(Status::Dead) }.with_envelope(envelope);
    story.settled(NOW_MS - 9_000, std::slice::from_ref(&first)).await;
    story.settled(NOW_MS, &[end]).await;

    story.recorder().run_once().await.unwrap();

    let history = find(&story.pool, first.id).await.unwrap().unwrap();
    let runs: Vec<(u32, String)> = history.attempts().into_iter().map(|run| (run.run, run.status)).collect();
    assert_eq!(runs, [(1, "retried".to_owned()), (2, "dead".to_owned())]);
    let kept = "SELECT envelope FROM dead_letters WHERE payload @> '{\"to\": \"ana@example.com\"}'";
    let kept: Vec<u8> = sqlx::query_scalar(kept).fetch_one(&story.pool).await.unwrap();
    assert_eq!(kept, envelope);
    let listed = dead::page(&story.pool, &dead::Filter::default(), None, 10).await.unwrap();
    assert_eq!((listed[0].id, listed[0].attempts, listed[0].state.as_str()), (first.id, 2, "dead"));
    assert_eq!(dead_count(&story.pool).await.unwrap().get("email"), Some(&1));
}

#[tokio::test]
async fn a_stream_that_is_replayed_changes_nothing() {
    let story = Story::new().await;
    let batches: Vec<Vec<Record>> = (0..20)
        .map(|n| {
            let dead = failed(Status::Dead).with_envelope(b"{\"payload\":1}");
            [succeeded(100 + n), vec![failed(Status::Retried), dead]].concat()
        })
        .collect();
    let count: usize = batches.iter().map(Vec::len).sum();
    for (n, batch) in batches.iter().enumerate() {
        story.settled(NOW_MS + n as u64, batch).await;
    }
    story.recorder().run_once().await.unwrap();
    let before = (story.rows("outcomes").await, story.rows("attempts").await, story.hash().await);
    for (n, batch) in batches.iter().enumerate() {
        story.settled(NOW_MS + n as u64, batch).await;
    }

    let progress = story.recorder().run_once().await.unwrap();

    assert_eq!((progress.recorded, progress.repeated), (0, count as u64));
    assert_eq!((story.rows("outcomes").await, story.rows("attempts").await, story.hash().await), before);
    assert_eq!(before.0 + before.1, count as i64);
    assert_eq!(story.waiting().await, 0);
}

#[tokio::test]
async fn rows_that_are_new_among_repeated_ones_are_recorded() {
    let story = Story::new().await;
    let (known, new) = (succeeded(50), succeeded(7));
    story.settled(NOW_MS, &known).await;
    story.recorder().run_once().await.unwrap();
    story.settled(NOW_MS, &known).await;
    story.settled(NOW_MS, &new).await;

    let progress = story.recorder().run_once().await.unwrap();

    assert_eq!((progress.recorded, progress.repeated), (7, 50));
    assert_eq!(story.rows("outcomes").await, 57);
}

#[tokio::test]
async fn a_letter_that_was_replayed_meanwhile_keeps_its_state() {
    let story = Story::new().await;
    let record = failed(Status::Dead).with_envelope(b"{}");
    story.settled(NOW_MS, std::slice::from_ref(&record)).await;
    story.recorder().run_once().await.unwrap();
    sqlx::query("UPDATE dead_letters SET state = 'replayed'").execute(&story.pool).await.unwrap();
    story.settled(NOW_MS, &[record]).await;

    story.recorder().run_once().await.unwrap();

    let state: String =
        sqlx::query_scalar("SELECT state FROM dead_letters").fetch_one(&story.pool).await.unwrap();
    assert_eq!(state, "replayed");
}

#[tokio::test]
async fn two_recorders_at_once_record_everything_once() {
    let story = Story::new().await;
    let stop = CancellationToken::new();
    let recorders = [(); 2].map(|()| tokio::spawn(story.recorder().run(stop.clone())));

    for n in 0..60 {
        story.settled(NOW_MS + n, &succeeded(100)).await;
    }
    eventually("an empty stream", async || story.waiting().await == 0).await;
    stop.cancel();
    for recorder in recorders {
        recorder.await.unwrap();
    }

    assert_eq!(story.rows("outcomes").await, 6_000);
    assert_eq!(story.refused().await.len(), 0);
}

#[tokio::test]
async fn nothing_is_written_while_another_recorder_writes_the_queue() {
    let story = Story::new().await;
    story.settled(NOW_MS, &succeeded(3)).await;
    let mut other = story.pool.begin().await.unwrap();
    let lock =
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))").bind(story.keys.outcomes());
    lock.execute(&mut *other).await.unwrap();

    let meanwhile = story.recorder().run_once().await.unwrap();
    other.rollback().await.unwrap();
    let afterwards = story.recorder().run_once().await.unwrap();

    assert!(meanwhile.held_elsewhere);
    assert_eq!((meanwhile.entries, afterwards.recorded), (0, 3));
}

#[tokio::test]
async fn an_idle_recorder_waits_in_redis_and_leaves_postgres_alone() {
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let story = Story::with(&redis.url(), servers().database().await);
    let stop = CancellationToken::new();
    let recorder = tokio::spawn(story.recorder().run(stop.clone()));

    eventually("a blocked read", async || {
        let info: String = story.link.query(redis::cmd("INFO").arg("clients")).await.unwrap();
        info.contains("blocked_clients:1")
    })
    .await;

    assert_eq!(story.pool.size(), 0, "not even a connection");
    stop.cancel();
    recorder.await.unwrap();
}

#[tokio::test]
async fn what_was_settled_last_is_recorded_before_a_recorder_stops() {
    let story = Story::new().await;
    let stop = CancellationToken::new();
    story.settled(NOW_MS, &succeeded(3)).await;
    stop.cancel();

    story.recorder().run(stop).await;

    assert_eq!(story.rows("outcomes").await, 3);
}

#[tokio::test]
async fn a_job_that_ends_at_midnight_finds_its_partition() {
    let story = Story::new().await;
    let midnight = NOW_MS - NOW_MS % 86_400_000;
    story.settled(midnight - 1, &succeeded(2)).await;
    story.settled(midnight, &succeeded(2)).await;

    story.recorder().run_once().await.unwrap();

    let days = "SELECT count(DISTINCT tableoid) FROM outcomes";
    let days: i64 = sqlx::query_scalar(days).fetch_one(&story.pool).await.unwrap();
    assert_eq!(days, 2);
    let ahead = "SELECT to_regclass('outcomes_20261128') IS NOT NULL AND to_regclass('attempts_20261128') IS NOT NULL";
    let ahead: bool = sqlx::query_scalar(ahead).fetch_one(&story.pool).await.unwrap();
    assert!(ahead, "a week ahead of 2026-11-21");
}
