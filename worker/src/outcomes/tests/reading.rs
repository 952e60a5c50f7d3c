//! What can be read back.

use serde_json::json;

use super::*;
use crate::{
    dead,
    outcomes::{Filter, dead_count, find, recent},
};

async fn recorded(records: &[Vec<Record>]) -> Story {
    let story = Story::new().await;
    for (n, batch) in records.iter().enumerate() {
        story.settled(NOW_MS + n as u64, batch).await;
    }
    story.recorder().run_once().await.unwrap();
    story
}

#[tokio::test]
async fn a_history_has_the_documented_json_form() {
    let first = failed(Status::Retried);
    let end = Record { id: first.id, run: 2, attempt: 2, ..plain(Status::Succeeded) };
    let story = recorded(&[vec![first.clone()], vec![end]]).await;

    let history = find(&story.pool, first.id).await.unwrap().unwrap();

    let json = serde_json::to_value(&history).unwrap();
    assert_eq!(json["outcome"]["status"], "succeeded");
    assert_eq!(
        json["attempts"][0],
        json!({
            "run": 1, "attempt": 1, "status": "retried", "error_class": "server_error",
            "error": "the provider is busy", "started_at": "2026-11-21T16:56:42.382500Z",
            "finished_at": "2026-11-21T16:56:42.384Z", "duration_ms": 1.5, "provider": "smtp", "provider_ref": null,
        })
    );
    assert_eq!(
        (&json["attempts"][1]["run"], &json["attempts"][1]["status"]),
        (&json!(2), &json!("succeeded"))
    );
}

#[tokio::test]
async fn a_live_job_has_runs_and_no_outcome_and_an_unknown_one_has_no_history() {
    let alive = failed(Status::Retried);
    let story = recorded(&[vec![alive.clone()]]).await;

    let history = find(&story.pool, alive.id).await.unwrap().unwrap();

    assert_eq!((history.outcome.clone(), history.attempts().len()), (None, 1));
    assert_eq!(find(&story.pool, JobId::mint()).await.unwrap(), None);
}

#[tokio::test]
async fn a_job_that_ended_while_it_waited_has_no_run_for_that() {
    let first = failed(Status::Retried);
    let cancelled = Record { id: first.id, run: 1, ran_us: 0, ..plain(Status::Cancelled) };
    let expired = Record { ran_us: 12, ..plain(Status::Expired) };
    let story = recorded(&[vec![first.clone()], vec![cancelled, expired.clone()]]).await;

    let waited = find(&story.pool, first.id).await.unwrap().unwrap();
    let never_ran = find(&story.pool, expired.id).await.unwrap().unwrap();

    assert_eq!(waited.attempts().iter().map(|run| run.status.as_str()).collect::<Vec<_>>(), ["retried"]);
    assert_eq!(waited.outcome.unwrap().status, "cancelled");
    assert_eq!(never_ran.attempts(), []);
}

#[tokio::test]
async fn finished_jobs_are_listed_newest_first_page_by_page_although_many_share_a_time() {
    let story = recorded(&[succeeded(7), succeeded(7), succeeded(7)]).await;
    let mut filter = Filter { limit: 5, ..Filter::default() };
    let mut seen = Vec::new();

    loop {
        let page = recent(&story.pool, &filter).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.before = Some(last.position());
        seen.extend(page);
    }

    assert_eq!(seen.len(), 21);
    let in_order =
        seen.windows(2).all(|pair| (pair[1].finished_at, pair[1].id) < (pair[0].finished_at, pair[0].id));
    assert!(in_order, "each is older than the one before it");
}

#[tokio::test]
async fn finished_jobs_can_be_chosen_by_every_field() {
    let mut other = plain(Status::Expired);
    (other.kind, other.tenant) = ("send_sms".into(), Some("acme".into()));
    let story = recorded(&[[succeeded(3), vec![other.clone()]].concat()]).await;
    let text = |text: &str| Some(text.to_owned());
    let none = Filter { limit: 10, ..Filter::default() };

    for (filter, count) in [
        (none.clone(), 4),
        (Filter { queue: text("email"), ..none.clone() }, 4),
        (Filter { queue: text("webhook"), ..none.clone() }, 0),
        (Filter { kind: text("send_sms"), ..none.clone() }, 1),
        (Filter { tenant: text("acme"), ..none.clone() }, 1),
        (Filter { status: text("succeeded"), ..none.clone() }, 3),
        (Filter { status: text("expired"), kind: text("send_email"), ..none.clone() }, 0),
    ] {
        assert_eq!(recent(&story.pool, &filter).await.unwrap().len(), count, "{filter:?}");
    }
}

#[tokio::test]
async fn dead_letters_have_the_documented_json_form_and_can_be_chosen() {
    let letter = |to: &str| {
        failed(Status::Dead).with_envelope(json!({"v": 1, "payload": {"to": to}}).to_string().as_bytes())
    };
    let (ana, luis) = (letter("ana"), letter("luis"));
    let story = recorded(&[vec![ana.clone()], vec![luis.clone()]]).await;
    let state =
        sqlx::query("UPDATE dead_letters SET state = 'discarded' WHERE job_id = $1").bind(luis.id.uuid());
    state.execute(&story.pool).await.unwrap();

    let any = dead::Filter::default();
    let filter = dead::Filter { state: Some("dead"), ..any.clone() };
    let waiting = dead::page(&story.pool, &filter, None, 10).await.unwrap();
    let filter = dead::Filter { payload: vec!["payload.to=luis".parse().unwrap()], ..any.clone() };
    let found = dead::page(&story.pool, &filter, None, 10).await.unwrap();
    let all = dead::page(&story.pool, &any, None, 1).await.unwrap();
    let rest = dead::page(&story.pool, &any, Some(all[0].position()), 10).await.unwrap();

    assert_eq!(
        serde_json::to_value(&waiting).unwrap(),
        json!([{
            "id": ana.id, "queue": "email", "kind": "send_email", "tenant": null, "error_class": "server_error",
            "error": "the provider is busy", "attempts": 1, "died_at": "2026-11-21T16:56:42.384Z", "state": "dead",
        }])
    );
    assert_eq!((found[0].id, all[0].id, rest[0].id), (luis.id, luis.id, ana.id));
    assert_eq!(dead_count(&story.pool).await.unwrap(), [("email".to_owned(), 1)].into());
}

#[tokio::test]
async fn a_job_that_repeats_a_letter_says_so_and_the_letter_is_replayed_then() {
    let first = failed(Status::Dead).with_envelope(br#"{"v":1,"payload":{}}"#);
    let again = failed(Status::Dead).with_envelope(br#"{"v":1,"payload":{}}"#);
    let last = plain(Status::Succeeded);
    let story = recorded(&[vec![first.clone()]]).await;
    let replay = async |letter: &Record, job: &Record| {
        let sql = "UPDATE dead_letters SET state = 'replaying', replayed_as = $2 WHERE job_id = $1";
        let query = sqlx::query(sql).bind(letter.id.uuid()).bind(job.id.uuid());
        query.execute(&story.pool).await.unwrap();
        // Twice, as after a crash between commit and removal.
        for _ in 0..2 {
            story.settled(NOW_MS + 10, std::slice::from_ref(job)).await;
            story.recorder().run_once().await.unwrap();
        }
    };

    replay(&first, &again).await;
    replay(&again, &last).await;

    let letter = dead::get(&story.pool, again.id).await.unwrap().unwrap();
    assert_eq!((letter.replay_of, letter.replayed_as), (Some(first.id), Some(last.id)));
    assert_eq!(letter.row.state, "replayed");
    let line: Vec<_> = letter.lineage.iter().map(|job| (job.id, job.status.as_deref())).collect();
    assert_eq!(line, [(first.id, Some("dead")), (again.id, Some("dead")), (last.id, Some("succeeded"))]);
    let outcome = find(&story.pool, last.id).await.unwrap().unwrap().outcome.unwrap();
    assert_eq!(outcome.replay_of, Some(again.id));
}
