//! What an operator does to jobs and queues while a fleet is at work.

use flota_tests::{PATIENCE, program::Installation};
use flota_worker::dev::{SmtpFault, SmtpSink, SmtpStep, WebhookSink};
use serde_json::json;

use super::mail;

#[tokio::test]
async fn a_waiting_job_is_cancelled_at_once_and_its_end_is_recorded() {
    let (mut flota, sink) = (Installation::new().await, SmtpSink::start().await.unwrap());
    let delayed = flota.enqueue("send_email", &mail(), &["--delay", "1h"]).await;

    let answer = flota.flota(&["job", "cancel", &delayed]).await.expect(0).json();
    let again = flota.flota(&["job", "cancel", &delayed]).await.expect(3);

    assert_eq!(answer, json!({ "id": delayed, "queue": "email", "result": "cancelled" }));
    assert!(again.refusal().contains("no live job"), "{again:?}");
    assert_eq!(flota.flota(&["queue", "list"]).await.json()[0]["delayed"], 0);
    let worker = flota.mail_to(&sink).start(&["worker"]).await;
    let job = flota.enqueue("send_email", &mail(), &["--wait"]).await;
    assert_eq!(flota.job(&delayed).await["state"], "cancelled");
    assert_eq!(flota.job(&job).await["state"], "succeeded");
    assert_eq!(sink.mails().len(), 1, "the cancelled one was not sent");
    worker.stop().await;
}

#[tokio::test]
async fn a_running_job_is_asked_to_stop_and_ends_with_the_next_heartbeat() {
    let (mut flota, sink) = (Installation::new().await, SmtpSink::start().await.unwrap());
    sink.fault(SmtpStep::Greeting, SmtpFault::Hang);
    let worker = flota.mail_to(&sink).set("USER", "olga").start(&["worker"]).await;
    let id = flota.enqueue("send_email", &mail(), &[]).await;
    flota.wait_for(&id, "running").await;

    let answer = flota.flota(&["job", "cancel", &id]).await.expect(0).json();

    assert_eq!(answer, json!({ "id": id, "queue": "email", "result": "requested" }));
    let job = flota.wait_for(&id, "cancelled").await;
    assert_eq!((&job["attempt"], &job["outcome"]["error_class"]), (&json!(1), &json!(null)));
    assert_eq!(sink.mails().len(), 0);
    worker.stop().await;
}

#[tokio::test]
async fn a_paused_queue_takes_jobs_and_starts_them_when_it_is_resumed() {
    let mut flota = Installation::new().await;
    let (mails, hooks) = (SmtpSink::start().await.unwrap(), WebhookSink::start().await.unwrap());
    flota.mail_to(&mails).webhooks_inside().make_keys().await;
    let endpoint = flota.add_endpoint(&hooks.url("/hook"), &[]).await;
    let event = json!({ "endpoint": endpoint, "event": "order.paid", "data": 42 });
    let worker = flota.start(&["worker"]).await;

    let paused = flota.flota(&["queue", "pause", "email", "--reason", "maintenance"]).await.expect(0).json();
    let id = flota.enqueue("send_email", &mail(), &[]).await;
    // The worker is alive and fetches: the other queue's job, enqueued later, is done.
    flota.enqueue("deliver_webhook", &event, &["--wait"]).await;
    let while_paused = (flota.job(&id).await, flota.flota(&["queue", "list"]).await.json());
    let resumed = flota.flota(&["queue", "resume", "email"]).await.expect(0).json();

    assert_eq!(paused, json!({ "queue": "email", "paused": true }));
    assert_eq!(resumed, json!({ "queue": "email", "paused": false }));
    assert_eq!(while_paused.0["state"], "ready");
    assert_eq!([&while_paused.1[0]["paused"], &while_paused.1[1]["paused"]], [&json!(true), &json!(false)]);
    mails.wait_for(1, PATIENCE).await.unwrap();
    flota.wait_for(&id, "succeeded").await;
    let again = flota.flota(&["queue", "resume", "email", "-o", "table"]).await.expect(0);
    assert_eq!(again.stdout, "Queue email was not paused.\n");
    worker.stop().await;
}

#[tokio::test]
async fn what_is_set_for_a_queue_is_shown_with_who_why_and_until_when() {
    let mut flota = Installation::new().await;
    flota.set("USER", "olga");
    let because = ["--for", "30m", "--reason", "the provider is slow"];

    let limit = ["queue", "limit", "email", "--concurrency", "4", "--rate", "10/s", "--rate", "10000/d"];
    flota.flota(&[&limit[..], &because].concat()).await.expect(0);
    flota.flota(&[&["queue", "pause", "email"][..], &because].concat()).await.expect(0);
    let shown = flota.flota(&["queue", "get", "email"]).await.expect(0).json();
    let table = flota.flota(&["queue", "get", "email", "-o", "table"]).await.expect(0).stdout;
    let taken_back = flota.flota(&["queue", "unlimit", "email"]).await.expect(0).json();
    let resumed = flota.flota(&["queue", "resume", "email"]).await.expect(0).json();
    let after = flota.flota(&["queue", "get", "email"]).await.expect(0).json();

    let controls = &shown["controls"];
    assert_eq!(controls["concurrency"]["value"], 4);
    assert_eq!(controls["rate"]["value"], json!(["10/s", "10000/d"]));
    for what in ["pause", "rate", "concurrency"] {
        let set = &controls[what];
        assert_eq!([&set["by"], &set["reason"]], ["cli:olga", "the provider is slow"], "{what}");
        let time = |field: &str| chrono::DateTime::parse_from_rfc3339(set[field].as_str().unwrap()).unwrap();
        assert_eq!((time("until") - time("since")).num_minutes(), 30, "{what}");
    }
    assert_eq!(shown["paused_reason"], "the provider is slow");
    assert!(table.contains("by cli:olga: the provider is slow"), "{table}");
    assert_eq!(taken_back["taken_back"], json!(["concurrency", "rate"]));
    assert_eq!(resumed["paused"], false);
    assert_eq!(after["controls"], json!({}));
}

#[tokio::test]
async fn a_limit_that_cannot_be_is_refused_and_nothing_is_set() {
    let flota = Installation::new().await;
    let wrong: [&[&str]; 9] = [
        &[],
        &["--concurrency", "0"],
        &["--concurrency", "5000"],
        &["--concurrency", "many"],
        &["--rate", "10"],
        &["--rate", "0/s"],
        &["--rate", "10/s", "--rate", "20/s"],
        &["--rate", "10/s", "--for", "soon"],
        &["--rate", "10/s", "--for", "0s"],
    ];

    for options in wrong {
        flota.flota(&[&["queue", "limit", "email"], options].concat()).await.expect(2);
    }
    let unknown = flota.flota(&["queue", "limit", "emial", "--concurrency", "4"]).await.expect(3);

    assert!(unknown.refusal().contains("no queue `emial`"), "{unknown:?}");
    assert_eq!(flota.flota(&["queue", "get", "email"]).await.json()["controls"], json!({}));
}
