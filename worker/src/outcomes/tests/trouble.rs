//! What happens when Postgres, Redis or a record is not as it should be.

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::outcomes::{RecordError, find};

#[tokio::test]
async fn one_row_that_postgres_refuses_is_kept_aside_and_the_others_are_recorded() {
    let story = Story::new().await;
    let rule = "ALTER TABLE outcomes ADD CONSTRAINT no_fax CHECK (kind <> 'send_fax')";
    sqlx::query(rule).execute(&story.pool).await.unwrap();
    let mut records = succeeded(1_000);
    records[617].kind = "send_fax".into();
    for half in records.chunks(500) {
        story.settled(NOW_MS, half).await;
    }

    let progress = story.recorder().run_once().await.unwrap();

    assert_eq!((progress.recorded, progress.refused), (999, 1));
    assert_eq!((story.rows("outcomes").await, story.waiting().await), (999, 0));
    let refused = story.refused().await;
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["record"], records[617].encode());
    assert!(refused[0]["reason"].as_str().unwrap().contains("no_fax"), "{}", refused[0]);
}

#[tokio::test]
async fn a_line_that_is_no_record_is_kept_aside_and_its_neighbours_are_recorded() {
    let story = Story::new().await;
    let line = plain(Status::Succeeded).encode();
    story.append(NOW_MS, &format!("{line}\n{{\"half\": \n{}", plain(Status::Succeeded).encode())).await;

    let progress = story.recorder().run_once().await.unwrap();

    assert_eq!((progress.recorded, progress.refused, story.waiting().await), (2, 1, 0));
    assert_eq!(story.refused().await[0]["record"], "{\"half\": ");
}

#[tokio::test]
async fn refused_records_leave_the_stream_of_a_full_redis() {
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let story = Story::with(&redis.url(), servers().database().await);
    story.append(NOW_MS, "nonsense").await;
    let full = redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1").to_owned();
    story.link.query::<()>(&full).await.unwrap();

    let progress = story.recorder().run_once().await.unwrap();

    assert_eq!((progress.refused, story.waiting().await, story.refused().await.len()), (1, 0, 1));
}

#[tokio::test]
async fn characters_that_postgres_does_not_know_are_replaced() {
    let story = Story::new().await;
    let envelope = br#"{"v":1,"payload":{"to":"\u0000"}}"#;
    let record = Record {
        error: Some("nul \0 here".into()),
        result: Some(json!({"\0": "\0"})),
        tenant: Some("\0".into()),
        ..failed(Status::Dead)
    };
    story.settled(NOW_MS, &[record.clone().with_envelope(envelope)]).await;

    let progress = story.recorder().run_once().await.unwrap();

    assert_eq!((progress.recorded, progress.refused), (1, 0));
    let outcome = find(&story.pool, record.id).await.unwrap().unwrap().outcome.unwrap();
    assert_eq!(outcome.error.as_deref(), Some("nul \u{FFFD} here"));
    let letter = "SELECT payload IS NULL AND envelope = $1 FROM dead_letters";
    let kept: bool = sqlx::query_scalar(letter).bind(&envelope[..]).fetch_one(&story.pool).await.unwrap();
    assert!(kept, "the envelope as it was, without a copy for search");
}

#[tokio::test]
async fn values_beyond_every_limit_are_clamped_and_recorded() {
    let story = Story::new().await;
    let record = Record {
        kind: "k".repeat(10_000),
        tenant: Some("ñ".repeat(10_000)),
        error: Some("e".repeat(100_000)),
        run: u32::MAX,
        at: u64::MAX,
        ran_us: u64::MAX,
        ..plain(Status::Succeeded)
    };
    story.settled(u64::MAX, &[record]).await;
    story.settled(0, &[plain(Status::Retried)]).await;

    let progress = story.recorder().run_once().await.unwrap();

    assert_eq!((progress.recorded, progress.refused), (2, 0));
}

#[tokio::test]
async fn a_partition_that_somebody_dropped_is_made_again() {
    let story = Story::new().await;
    let mut recorder = story.recorder();
    story.settled(NOW_MS, &succeeded(2)).await;
    recorder.run_once().await.unwrap();
    sqlx::query("DROP TABLE outcomes_20261121").execute(&story.pool).await.unwrap();
    story.settled(NOW_MS, &succeeded(3)).await;

    let progress = recorder.run_once().await.unwrap();

    assert_eq!((progress.recorded, progress.refused), (3, 0));
}

#[tokio::test]
async fn a_database_without_tables_is_an_error_that_names_the_command() {
    let story = Story::with(&servers().redis.url(), servers().empty_database().await);
    story.settled(NOW_MS, &succeeded(2)).await;
    let mut recorder = story.recorder();

    let error = recorder.run_once().await.unwrap_err();
    database::migrate(&story.pool).await.unwrap();
    let progress = recorder.run_once().await.unwrap();

    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("flota db migrate"), "{cause}");
    assert_eq!(progress.recorded, 2);
}

#[tokio::test]
async fn a_postgres_that_stops_and_starts_again_loses_nothing() {
    let mut postgres = PostgresServer::start(PostgresOptions::default()).await.unwrap();
    let pool = database::connect(&postgres.url("postgres").into(), 3).unwrap();
    database::migrate(&pool).await.unwrap();
    let story = Story::with(&servers().redis.url(), pool);
    let stop = CancellationToken::new();
    let recorder = tokio::spawn(story.recorder().run(stop.clone()));
    story.settled(NOW_MS, &succeeded(10)).await;
    eventually("the first rows", async || story.waiting().await == 0).await;

    postgres.kill().await.unwrap();
    for n in 0..30 {
        story.settled(NOW_MS + n, &succeeded(10)).await;
    }
    let while_away = story.recorder().run_once().await;
    assert_eq!(story.waiting().await, 30, "nothing leaves Redis before it is committed");
    postgres.start_again().await.unwrap();
    eventually("an empty stream", async || story.waiting().await == 0).await;

    assert!(matches!(while_away, Err(RecordError::Postgres { .. })), "{while_away:?}");
    assert_eq!(story.rows("outcomes").await, 310);
    assert_eq!(story.refused().await.len(), 0);
    stop.cancel();
    recorder.await.unwrap();
}

#[tokio::test]
async fn a_redis_that_is_killed_and_starts_again_repeats_nothing() {
    let mut redis = RedisServer::start(RedisOptions {
        extra_arguments: vec!["--appendfsync".into(), "always".into()],
        ..RedisOptions::default()
    })
    .await
    .unwrap();
    let story = Story::with(&redis.url(), servers().database().await);
    let stop = CancellationToken::new();
    let recorder = tokio::spawn(story.recorder().run(stop.clone()));
    story.settled(NOW_MS, &succeeded(10)).await;
    eventually("the first rows", async || story.waiting().await == 0).await;

    redis.kill().await.unwrap();
    redis.start_again().await.unwrap();
    eventually("a connection", async || story.link.query::<()>(&redis::cmd("PING")).await.is_ok()).await;
    story.settled(NOW_MS, &succeeded(5)).await;
    eventually("an empty stream", async || story.waiting().await == 0).await;

    assert_eq!(story.rows("outcomes").await, 15);
    stop.cancel();
    recorder.await.unwrap();
}
