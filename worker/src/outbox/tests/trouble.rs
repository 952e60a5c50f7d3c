//! Records, rows and keys that are not as they should be, and a search that has to wait.

use super::*;

#[tokio::test]
async fn a_record_that_cannot_be_read_takes_its_row_along() {
    let story = Story::new().await;
    let (ended, goes_on) = (story.write("email", PLAIN).await, story.write("email", PLAIN).await);
    story.unhurried().run_once().await.unwrap();
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    let lines = [
        format!(r#"{{"id":"{ended}","kind":"x","status":"succeeded","result":{deep}}}"#),
        format!(r#"{{"id":"{goes_on}","kind":"x","status":"retried","result":{deep}}}"#),
        "nonsense".to_owned(),
    ];
    let mut end = redis::pipe();
    end.cmd("HDEL").arg(story.keys.jobs()).arg(ended).ignore();
    end.cmd("XADD")
        .arg(story.keys.outcomes())
        .arg("*")
        .arg("w")
        .arg("w")
        .arg("o")
        .arg(lines.join("\n"))
        .ignore();
    story.link.pipeline::<()>(&end).await.unwrap();

    let progress = story.recorder().run_once().await.unwrap();
    let sent_again = story.relay().search_once().await.unwrap();

    assert_eq!((progress.refused, progress.recorded, sent_again), (3, 0, 0));
    assert_eq!((story.row(ended).await, story.row(goes_on).await), (None, Some((true, 1, None, false))));
}

#[tokio::test]
async fn a_key_that_is_to_be_remembered_for_too_short_or_too_long_is_refused_with_its_row() {
    let story = Story::new().await;
    let keyed = r#"{"v":1,"kind":"send_email","payload":{},"at":1,"key":"k"}"#;
    let short = story.write("email", keyed).await;
    let set = async |window: i64| {
        let update = sqlx::query("UPDATE outbox SET key_window_ms = $1 WHERE id = $2");
        update.bind(window).bind(short.uuid()).execute(&story.pool).await
    };

    let too_long = set(i64::MAX).await;
    set(59_999).await.unwrap();
    story.unhurried().run_once().await.unwrap();

    assert!(too_long.unwrap_err().to_string().contains("outbox_key_window_ms_longest"));
    let (_, _, refused, given_up) = story.row(short).await.unwrap();
    assert!(given_up && refused.as_deref().is_some_and(|told| told.contains("`key_window`")), "{refused:?}");
}

#[tokio::test]
async fn a_queue_that_redis_refuses_to_touch_holds_no_other_queue_up() {
    let story = Story::new().await;
    let spoilt = story.prefix.queue("alarm").jobs();
    story.link.query::<()>(redis::cmd("SET").arg(&spoilt).arg("no hash")).await.unwrap();
    story.write("alarm", PLAIN).await;
    let behind = story.write("email", PLAIN).await;

    let told = story.unhurried().run_once().await.unwrap_err();

    assert!(std::error::Error::source(&told).is_some() && story.is_alive(behind).await, "{told:?}");
}

#[tokio::test]
async fn a_search_that_waits_for_recorders_keeps_its_lock() {
    let story = Story::new().await;
    let id = story.write("email", PLAIN).await;
    story.unhurried().run_once().await.unwrap();
    story.cancel(id).await;
    let impatient = story.pool.connect_options().as_ref().clone();
    let impatient = impatient.options([("idle_in_transaction_session_timeout", "500ms")]);
    let pool = PgPool::connect_with(impatient).await.unwrap();
    let pace = Pace { lost_after: Duration::ZERO, ..Pace::default() };
    let relay = Relay::new(story.link.again(), story.prefix.clone(), pool, pace);

    let (first, beside) = tokio::join!(relay.search_once(), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let lock = "SELECT pg_try_advisory_lock(hashtextextended('flota outbox search', 0))";
        sqlx::query_scalar::<_, bool>(lock).fetch_one(&story.pool).await.unwrap()
    });

    assert_eq!((first.unwrap(), beside), (0, false));
    assert_eq!(relay.search_once().await.unwrap(), 0, "and it is free again afterwards");
}
