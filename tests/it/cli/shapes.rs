//! The JSON that scripts read: every key and the sort of its value.

use flota_tests::{program::Installation, shape::shape};
use flota_worker::dev::{SmtpFault, SmtpSink, SmtpStep};
use serde_json::{Value, json};

use super::{hopeless_mail, mail};

/// One run in `job get`, with the sorts of those values that depend on how it went.
fn attempt(error_class: &str, error: &str, reference: &str, started: &str) -> String {
    format!(
        "attempt: count, duration_ms: number, error: {error}, error_class: {error_class}, finished_at: time, \
         provider: text, provider_ref: {reference}, run: count, started_at: {started}, status: text"
    )
}

#[tokio::test]
async fn enqueue_prints_the_job() {
    let flota = Installation::new().await;

    let job = flota.flota(&["enqueue", "send_email", "--data", &mail().to_string()]).await.expect(0).json();

    assert_eq!(shape(&job), "deduplicated: bool, id: id, kind: text, queue: text");
    let id = &job["id"];
    assert_eq!(job, json!({ "id": id, "queue": "email", "kind": "send_email", "deduplicated": false }));
}

#[tokio::test]
async fn queue_list_prints_every_queue_with_its_counts() {
    let mut flota = Installation::new().await;
    flota.enqueue("send_email", &mail(), &[]).await;
    flota.enqueue("send_email", &mail(), &["--delay", "1h"]).await;

    let queues = flota.flota(&["queue", "list"]).await.expect(0).json();
    flota.unset("DATABASE_URL");
    let without_postgres = flota.flota(&["queue", "list"]).await.expect(0).json();

    assert_eq!(
        shape(&queues[0]),
        "dead: count, delayed: count, in_line: count, oldest_ready_age_ms: count, parked: count, paused: bool, queue: text, \
         ready: count, running: count"
    );
    let names_and_counts = |queue: &Value| {
        json!([
            queue["queue"],
            queue["ready"],
            queue["delayed"],
            queue["running"],
            queue["parked"],
            queue["dead"]
        ])
    };
    assert_eq!(names_and_counts(&queues[0]), json!(["email", 1, 1, 0, 0, 0]));
    assert_eq!(names_and_counts(&queues[1]), json!(["llm", 0, 0, 0, 0, 0]));
    assert_eq!(queues[1]["oldest_ready_age_ms"], Value::Null);
    assert_eq!(without_postgres[0]["dead"], Value::Null);
}

#[tokio::test]
async fn job_get_prints_a_waiting_job() {
    let flota = Installation::new().await;
    let ready = flota.enqueue("send_email", &mail(), &["--tenant", "acme"]).await;
    let delayed = flota.enqueue("send_email", &mail(), &["--delay", "1h"]).await;

    let (ready, delayed) = (flota.job(&ready).await, flota.job(&delayed).await);

    assert_eq!(
        shape(&ready),
        "attempt: count, attempts: array, id: id, kind: text, outcome: null, queue: text, state: text, \
         tenant: text"
    );
    assert_eq!(
        (&ready["state"], &ready["attempt"], &ready["attempts"]),
        (&json!("ready"), &json!(1), &json!([]))
    );
    // How long a delayed job still waits is told beside the keys that every job has.
    assert_eq!(
        shape(&delayed),
        "attempt: count, attempts: array, due_in_ms: count, id: id, kind: text, outcome: null, queue: text, \
         state: text, tenant: null"
    );
    assert_eq!(delayed["state"], "delayed");
}

#[tokio::test]
async fn job_get_prints_an_ended_job_run_by_run() {
    let (mut flota, sink) = (Installation::new().await, SmtpSink::start().await.unwrap());
    sink.fault(SmtpStep::MailFrom, SmtpFault::reply(454));
    let worker = flota.mail_to(&sink).start(&["worker"]).await;

    let id = flota.enqueue("send_email", &mail(), &["--wait"]).await;

    let job = flota.job(&id).await;
    assert_eq!(
        shape(&job),
        "attempt: count, attempts: array, id: id, kind: text, outcome: object, queue: text, state: text, \
         tenant: null"
    );
    let runs = job["attempts"].as_array().unwrap();
    assert_eq!(shape(&runs[0]), attempt("text", "text", "null", "time"));
    assert_eq!(shape(&runs[1]), attempt("null", "null", "text", "time"));
    let in_short = |run: &Value| json!([run["run"], run["attempt"], run["status"], run["error_class"]]);
    assert_eq!(in_short(&runs[0]), json!([1, 1, "retried", "server_error"]));
    assert_eq!(in_short(&runs[1]), json!([2, 2, "succeeded", null]));
    assert_eq!((&job["state"], &job["attempt"]), (&json!("succeeded"), &json!(2)));
    worker.stop().await;
}

#[tokio::test]
async fn job_list_prints_ended_jobs_newest_first() {
    let (mut flota, sink) = (Installation::new().await, SmtpSink::start().await.unwrap());
    let worker = flota.mail_to(&sink).start(&["worker"]).await;
    let first = flota.enqueue("send_email", &mail(), &["--wait"]).await;
    let second = ["enqueue", "send_email", "--tenant", "acme", "--wait", "-o", "id", "--data"];
    let second = flota.flota(&[&second[..], &[&hopeless_mail().to_string()]].concat()).await.expect(1).stdout;

    let jobs = flota.flota(&["job", "list"]).await.expect(0).json();
    let dead = flota.flota(&["job", "list", "--state", "dead", "--tenant", "acme"]).await.expect(0).json();

    assert_eq!(
        shape(&jobs[1]),
        "attempt: count, code: null, duration_ms: number, enqueued_at: time, error: null, error_class: null, \
         finished_at: time, id: id, kind: text, provider: text, provider_ref: text, queue: text, \
         replay_of: null, result: object, run: count, started_at: time, status: text, tenant: null, worker: text"
    );
    assert_eq!(
        shape(&jobs[0]),
        "attempt: count, code: text, duration_ms: number, enqueued_at: time, error: text, error_class: text, \
         finished_at: time, id: id, kind: text, provider: text, provider_ref: null, queue: text, \
         replay_of: null, result: null, run: count, started_at: time, status: text, tenant: text, worker: text"
    );
    assert_eq!((&jobs[0]["id"], &jobs[1]["id"]), (&json!(second.trim()), &json!(first)));
    assert_eq!(dead, json!([jobs[0]]));
    worker.stop().await;
}

#[tokio::test]
async fn endpoint_list_prints_no_secret() {
    let mut flota = Installation::new().await;
    flota.make_keys().await;
    let add =
        ["endpoint", "add", "--url", "https://example.com/hook", "--tenant", "acme", "--description", "x"];

    let added = flota.flota(&add).await.expect(0).json();
    flota.add_endpoint("https://example.com/other", &[]).await;
    let disabled =
        flota.flota(&["endpoint", "disable", added["id"].as_str().unwrap()]).await.expect(0).json();
    let listed = flota.flota(&["endpoint", "list"]).await.expect(0);

    assert_eq!(shape(&added), "id: text, secret: text, tenant: text, url: text");
    assert_eq!(shape(&disabled), "disabled: text, id: text");
    let endpoints = listed.json();
    assert_eq!(
        shape(&endpoints[1]),
        "created_at: time, description: text, disabled: text, disabled_at: time, failing_since: null, failures: count, \
         id: text, last_failure_at: null, last_success_at: null, max_concurrent: null, old_secret_until: null, \
         rotated_at: null, signature: text, tenant: text, url: text"
    );
    assert_eq!(
        shape(&endpoints[0]),
        "created_at: time, description: null, disabled: null, disabled_at: null, failing_since: null, failures: count, \
         id: text, last_failure_at: null, last_success_at: null, max_concurrent: null, old_secret_until: null, \
         rotated_at: null, signature: text, tenant: null, url: text"
    );
    assert!(!listed.stdout.contains("whsec_"), "{listed:?}");
}

#[tokio::test]
async fn every_list_is_there_in_four_forms() {
    let flota = Installation::new().await;

    let said = |form: &'static str| {
        let flota = &flota;
        async move { flota.flota(&["queue", "list", "-o", form]).await.expect(0).stdout }
    };

    let lines: Vec<Value> =
        said("jsonl").await.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json!(lines), serde_json::from_str::<Value>(&said("json").await).unwrap());
    assert_eq!(said("id").await, "email\nllm\nnotification\nocr\ntranscription\nwebhook\n");
    let table = said("table").await;
    let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(
        header,
        ["QUEUE", "READY", "DELAYED", "RUNNING", "PARKED", "IN", "LINE", "DEAD", "OLDEST", "READY", "STATE"]
    );
    assert_eq!(table.lines().count(), 7);
}
