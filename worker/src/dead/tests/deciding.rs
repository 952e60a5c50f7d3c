//! Replaying and discarding: each letter once, whoever asks, however often.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;

async fn carried_out(pool: &PgPool, operation: &Operation) -> Operation {
    carry_out(pool, operation.id, "test", &CancellationToken::new(), |_| {}).await.unwrap().unwrap()
}

/// Rows in the outbox, different letters they repeat, and letters that are replaying.
async fn enqueued(pool: &PgPool) -> (i64, i64, i64) {
    let sql = "SELECT count(*), count(DISTINCT l.job_id), count(*) FILTER (WHERE l.state = 'replaying') \
               FROM outbox o LEFT JOIN dead_letters l ON l.replayed_as = o.id";
    sqlx::query_as(sql).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn a_replay_enqueues_the_frozen_selection_byte_for_byte() {
    let pool = letters(500).await;

    let operation = create(&pool, &new(Kind::Replay, of_email())).await.unwrap().unwrap();
    sqlx::query("UPDATE dead_letters SET queue = 'email' WHERE job_id = $1")
        .bind(id(1).uuid())
        .execute(&pool)
        .await
        .unwrap();
    let done = carried_out(&pool, &operation).await;

    assert_eq!((done.state, done.matched, done.queued), (State::Done, 250, 250));
    assert_eq!(enqueued(&pool).await, (250, 250, 250));
    let differing = "SELECT count(*) FROM outbox o JOIN dead_letters l ON l.replayed_as = o.id \
                     WHERE o.envelope <> l.envelope OR o.queue <> 'email' OR o.operation IS NULL OR o.id = l.job_id";
    assert_eq!(number(&pool, differing).await, 0);
    let versions = "SELECT count(*) FROM outbox WHERE substr(id::text, 15, 1) <> '7'";
    assert_eq!(number(&pool, versions).await, 0, "ids are UUIDs of version 7");
    let audited =
        "SELECT count(*) FROM audit_log WHERE action IN ('dead.replay', 'bulk.done') AND actor = 'test'";
    assert_eq!(number(&pool, audited).await, 2);
}

#[tokio::test]
async fn the_same_decision_twice_changes_nothing_the_second_time() {
    let pool = letters(20).await;
    let first = create(&pool, &new(Kind::Replay, of_email())).await.unwrap().unwrap();
    carried_out(&pool, &first).await;

    let again = create(&pool, &new(Kind::Replay, of_email())).await.unwrap();
    let once_more = carried_out(&pool, &first).await;

    assert_eq!(again, None);
    assert_eq!((once_more.state, once_more.queued), (State::Done, 10));
    assert_eq!(enqueued(&pool).await, (10, 10, 10));
}

#[tokio::test]
async fn two_admins_at_once_share_the_letters() {
    let pool = letters(3_000).await;
    let one = create(&pool, &new(Kind::Replay, of_email())).await.unwrap().unwrap();
    let other = create(&pool, &new(Kind::Replay, Filter { state: None, ids: vec![], ..of_email() })).await;
    let discard = create(&pool, &new(Kind::Discard, of_email())).await.unwrap().unwrap();
    let other = other.unwrap().unwrap();

    let (one, other, same, discard) = tokio::join!(
        carried_out(&pool, &one),
        carried_out(&pool, &other),
        carried_out(&pool, &one),
        carried_out(&pool, &discard)
    );

    assert_eq!((one.state, other.state, discard.state), (State::Done, State::Done, State::Done));
    let queued = same.queued.max(one.queued) + other.queued;
    assert_eq!(queued + discard.queued, 1_500);
    assert_eq!(enqueued(&pool).await, (queued, queued, queued));
    assert_eq!(other.skipped + other.queued, 1_500);
}

#[tokio::test]
async fn a_stopped_operation_goes_on_where_it_was_and_an_aborted_one_does_not() {
    let pool = letters(1_000).await;
    let operation = create(&pool, &new(Kind::Replay, of_email())).await.unwrap().unwrap();
    let stop = CancellationToken::new();

    let paused = carry_out(&pool, operation.id, "test", &stop, |_| stop.cancel()).await.unwrap().unwrap();
    assert_eq!((paused.state, paused.queued), (State::Paused, 200));
    assert_eq!(carried_out(&pool, &operation).await.queued, 200, "it stays paused until it is resumed");
    assert!(reopen(&pool, operation.id, "test").await.unwrap());
    let stop = CancellationToken::new();
    carry_out(&pool, operation.id, "test", &stop, |_| stop.cancel()).await.unwrap();
    assert!(abort(&pool, operation.id, "test").await.unwrap());

    assert!(!reopen(&pool, operation.id, "test").await.unwrap());
    let aborted = carried_out(&pool, &operation).await;
    assert_eq!((aborted.state, aborted.queued, aborted.left()), (State::Aborted, 400, 100));
    assert_eq!(enqueued(&pool).await, (400, 400, 400));
}

#[tokio::test]
async fn an_operation_keeps_its_rate() {
    let pool = letters(40).await;
    let operation = NewOperation { rate: Some(20.0), ..new(Kind::Replay, of_email()) };
    let operation = create(&pool, &operation).await.unwrap().unwrap();
    let began = std::time::Instant::now();

    let done = carried_out(&pool, &operation).await;

    let took = began.elapsed();
    assert_eq!(done.queued, 20);
    assert!((Duration::from_millis(750)..Duration::from_secs(5)).contains(&took), "{took:?}");
}

/// Plays the worker: every replay in the outbox ends like this.
async fn end_replays(pool: &PgPool, status: &str) {
    sqlx::query("SELECT flota_ensure_partitions('2026-11-21', 1)").execute(pool).await.unwrap();
    let sql = "WITH gone AS (DELETE FROM outbox RETURNING id, queue) \
               INSERT INTO outcomes (job_id, run, attempt, queue, kind, status, finished_at, duration_ms, worker) \
               SELECT id, 1, 1, queue, 'send_email', $1, '2026-11-21 19:00Z', 1, 'w' FROM gone";
    sqlx::query(sql).bind(status).execute(pool).await.unwrap();
}

#[tokio::test]
async fn stages_wait_for_their_replays_and_stop_when_too_many_died() {
    let pool = letters(80).await;
    let staged =
        NewOperation { stage_size: Some(10), max_failures: Some(2), ..new(Kind::Replay, of_email()) };
    let operation = create(&pool, &staged).await.unwrap().unwrap();
    let ends = ["succeeded", "succeeded", "dead"];
    let mut largest = 0;

    let worker = async {
        for end in ends {
            while enqueued(&pool).await.0 < 10 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            largest = enqueued(&pool).await.0.max(largest);
            end_replays(&pool, end).await;
        }
    };
    let (stopped, ()) = tokio::join!(carried_out(&pool, &operation), worker);

    assert_eq!((stopped.state, stopped.queued, stopped.deaths), (State::Failed, 30, 10));
    assert_eq!(stopped.note.as_deref(), Some("10 replays died, 2 may"));
    assert_eq!((largest, enqueued(&pool).await.0), (10, 0));
    assert!(reopen(&pool, operation.id, "test").await.unwrap());
    let worker = async {
        while enqueued(&pool).await.0 < 10 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        end_replays(&pool, "succeeded").await;
    };
    let (done, ()) = tokio::join!(carried_out(&pool, &operation), worker);
    assert_eq!((done.state, done.queued, done.deaths), (State::Done, 40, 0));
}

#[tokio::test]
async fn a_letter_without_an_envelope_fails_and_the_rest_is_replayed() {
    let pool = letters(4).await;
    sqlx::query("UPDATE dead_letters SET envelope = '' WHERE job_id = $1")
        .bind(id(2).uuid())
        .execute(&pool)
        .await
        .unwrap();
    let operation = create(&pool, &new(Kind::Replay, of_email())).await.unwrap().unwrap();

    let done = carried_out(&pool, &operation).await;

    assert_eq!((done.state, done.queued, done.failed), (State::Done, 1, 1));
    let letter = get(&pool, id(2)).await.unwrap().unwrap();
    assert_eq!(letter.row.state, "dead");
    assert_eq!(letter.operations[0].note.as_deref(), Some("its envelope was never recorded"));
}

#[tokio::test]
async fn an_edited_letter_is_sent_as_edited_and_kept_as_it_was() {
    let pool = letters(2).await;
    let filter = Filter { ids: vec![id(2)], ..Filter::default() };
    let edited = NewOperation { edited: Some(b"edited".to_vec()), ..new(Kind::Replay, filter) };

    let operation = create(&pool, &edited).await.unwrap().unwrap();
    carried_out(&pool, &operation).await;

    let sent: Vec<u8> = sqlx::query_scalar("SELECT envelope FROM outbox").fetch_one(&pool).await.unwrap();
    let letter = get(&pool, id(2)).await.unwrap().unwrap();
    assert_eq!(sent, b"edited");
    assert!(letter.envelope.starts_with(b"{ \"v\":1"));
    assert_eq!(letter.lineage.len(), 2);
    assert_eq!(letter.replayed_as, Some(letter.lineage[1].id));
}

#[tokio::test]
async fn a_discarded_letter_keeps_its_reason() {
    let pool = letters(4).await;

    let operation = create(&pool, &new(Kind::Discard, of_email())).await.unwrap().unwrap();
    let done = carried_out(&pool, &operation).await;

    assert_eq!((done.state, done.queued), (State::Done, 2));
    let letter = get(&pool, id(4)).await.unwrap().unwrap();
    assert_eq!(
        (letter.row.state.as_str(), letter.operations[0].reason.as_deref()),
        ("discarded", Some("test"))
    );
    assert_eq!(create(&pool, &new(Kind::Replay, of_email())).await.unwrap(), None);
}
