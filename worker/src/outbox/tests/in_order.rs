//! Rows in order, carried by several relays, over lost replies and full queues.

use super::*;

fn envelope(order: &str) -> String {
    format!(r#"{{"v":2,"kind":"send_email","payload":{{}},"at":1,"tenant":"acme","order":"{order}"}}"#)
}

impl Story {
    /// Ids in a line, the first first.
    async fn line(&self, order: &str) -> Vec<JobId> {
        let mut range = redis::cmd("LRANGE");
        range.arg(self.keys.line(Some("acme"), order)).arg(0).arg(-1);
        self.link.query(&range).await.unwrap()
    }

    /// As if a relay had taken the row and nobody had heard of it since.
    async fn leave_open(&self, id: JobId) {
        let taken = "UPDATE outbox SET sent_at = now() - interval '1 hour', sends = 1 WHERE id = $1";
        sqlx::query(taken).bind(id.uuid()).execute(&self.pool).await.unwrap();
    }
}

#[tokio::test]
async fn many_relays_carry_each_line_in_the_order_of_its_rows() {
    let story = Story::new().await;
    let mut lines = [Vec::new(), Vec::new(), Vec::new()];
    for n in 0..1_500 {
        lines[n % 3].push(story.write("email", &envelope(&format!("line-{}", n % 3))).await);
    }

    let relays: Vec<Relay> = (0..4).map(|_| story.unhurried()).collect();
    let sent = futures_util::future::join_all(relays.iter().map(Relay::run_once)).await;

    assert_eq!(sent.into_iter().map(Result::unwrap).sum::<usize>(), 1_500);
    for (n, ids) in lines.into_iter().enumerate() {
        assert_eq!(story.line(&format!("line-{n}")).await, ids, "line {n}");
    }
}

#[tokio::test]
async fn a_row_whose_fate_is_unknown_keeps_its_line_back_and_no_other() {
    let story = Story::new().await;
    let open = story.write("email", &envelope("a")).await;
    let behind = story.write("email", &envelope("a")).await;
    let beside = story.write("email", &envelope("b")).await;
    story.leave_open(open).await;

    let sent = story.unhurried().run_once().await.unwrap();
    assert_eq!((sent, story.line("a").await, story.line("b").await), (1, vec![], vec![beside]));

    let found_lost = story.relay().search_once().await.unwrap();
    story.unhurried().run_once().await.unwrap();
    assert_eq!(found_lost, 1);
    assert_eq!(story.line("a").await, [open, behind]);
}

#[tokio::test]
async fn a_row_whose_job_is_found_alive_lets_the_next_ones_follow() {
    let story = Story::new().await;
    let first = story.write("email", &envelope("a")).await;
    story.unhurried().run_once().await.unwrap();
    // The relay died before it could write down that Redis has it.
    sqlx::query("UPDATE outbox SET placed = false").execute(&story.pool).await.unwrap();
    story.leave_open(first).await;
    let second = story.write("email", &envelope("a")).await;

    let before = story.unhurried().run_once().await.unwrap();
    let lost = story.relay().search_once().await.unwrap();
    let after = story.unhurried().run_once().await.unwrap();

    assert_eq!((before, lost, after), (0, 0, 1));
    assert_eq!(story.line("a").await, [first, second]);
}

#[tokio::test]
async fn what_a_full_queue_has_no_room_for_stays_in_order() {
    let story = Story::new().await;
    let mut limit = redis::cmd("HSET");
    limit.arg(story.keys.config()).arg("max_len");
    story.link.query::<u64>(limit.clone().arg(2)).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(story.write("email", &envelope("a")).await);
    }

    let some = story.unhurried().run_once().await.unwrap();
    assert_eq!((some, story.line("a").await), (2, ids[..2].to_vec()));
    story.link.query::<u64>(limit.arg(0)).await.unwrap();
    let rest = story.unhurried().run_once().await.unwrap();

    assert_eq!((rest, story.line("a").await), (3, ids));
}

#[tokio::test]
async fn only_an_envelope_says_which_line_a_row_goes_in() {
    let story = Story::new().await;
    let rows = [
        (envelope("a"), Some("acme:a")),
        (PLAIN.to_owned(), None),
        (r#"{"v":1,"kind":"x","payload":{"order":7},"at":1}"#.to_owned(), None),
        (r#"{"order" is no JSON"#.to_owned(), None),
        (format!(r#"{{"order":"a","x":{}}}"#, "[".repeat(60_000)), None),
        (r#"{"order":{}}"#.to_owned(), None),
    ];

    for (envelope, line) in rows {
        let id = story.write("email", &envelope).await;

        let sql = "SELECT line FROM outbox WHERE id = $1";
        let found: Option<String> =
            sqlx::query_scalar(sql).bind(id.uuid()).fetch_one(&story.pool).await.unwrap();
        assert_eq!(found.as_deref(), line, "{}", &envelope[..envelope.len().min(80)]);
    }
}

#[tokio::test]
async fn an_order_that_older_workers_would_not_see_or_that_has_a_date_is_given_up_with_the_reason() {
    let story = Story::new().await;
    let unheard = story.write("email", &envelope("a").replace(r#""v":2"#, r#""v":1"#)).await;
    let dated = story.write_with("email", &envelope("a"), "now() + interval '1 hour'").await;
    let good = story.write("email", &envelope("a")).await;

    story.unhurried().run_once().await.unwrap();

    for (id, reason) in [(unheard, "needs version 2"), (dated, "cannot have a delay")] {
        let (_, _, refused, given_up) = story.row(id).await.unwrap();
        assert!(given_up && refused.as_deref().is_some_and(|told| told.contains(reason)), "{refused:?}");
    }
    assert_eq!(story.line("a").await, [good]);
}

#[tokio::test]
async fn a_row_that_postgres_cannot_read_keeps_its_place_in_line() {
    let story = Story::new().await;
    let with = |payload: &str| envelope("a").replace(r#""payload":{}"#, &format!(r#""payload":{payload}"#));
    let nul = story.write("email", &with(r#"{"text":"\u0000"}"#)).await;
    let half = story.write("email", &with(r#"{"text":"\ud83d"}"#)).await;
    let plain = story.write("email", &envelope("a")).await;

    let sent = story.unhurried().run_once().await.unwrap();

    assert_eq!((sent, story.line("a").await), (3, vec![nul, half, plain]));
}

#[tokio::test]
async fn a_row_whose_envelope_is_mended_has_the_line_of_the_new_one() {
    let story = Story::new().await;
    let (first, second) = (story.write("email", &envelope("a")).await, story.write("email", PLAIN).await);
    let mend = async |id: JobId, envelope: &str| {
        let sql = "UPDATE outbox SET envelope = $1 WHERE id = $2 RETURNING line";
        let line = sqlx::query_scalar::<_, Option<String>>(sql).bind(envelope.as_bytes()).bind(id.uuid());
        line.fetch_one(&story.pool).await.unwrap()
    };

    assert_eq!(mend(first, PLAIN).await, None);
    assert_eq!(mend(second, &envelope("b")).await.as_deref(), Some("acme:b"));
}
