//! `flota enqueue`: every option does what it says.

use flota_tests::{PATIENCE, program::Installation, shape::shape};
use flota_worker::dev::SmtpSink;
use serde_json::{Value, json};

use super::{hopeless_mail, mail};

async fn with_mail() -> (Installation, SmtpSink) {
    let (mut flota, sink) = (Installation::new().await, SmtpSink::start().await.expect("a mail server"));
    flota.mail_to(&sink);
    (flota, sink)
}

fn mail_about(subject: &str) -> Value {
    json!({ "to": ["ana@example.com"], "body": { "subject": subject, "text": "Hello" } })
}

#[tokio::test]
async fn wait_prints_how_the_job_ended_and_its_exit_code_says_whether_well() {
    let (flota, sink) = with_mail().await;
    let worker = flota.start(&["worker"]).await;
    let (good, bad) = (mail().to_string(), hopeless_mail().to_string());

    let succeeded = flota.flota(&["enqueue", "send_email", "--wait", "--data", &good]).await.expect(0).json();
    let dead = flota.flota(&["enqueue", "send_email", "--wait", "--data", &bad]).await.expect(1);
    let told =
        flota.flota(&["enqueue", "send_email", "--wait", "--data", &bad, "-o", "table"]).await.expect(1);

    let id = succeeded["id"].as_str().unwrap();
    assert_eq!(succeeded, flota.job(id).await, "the same as `job get`");
    assert_eq!((&succeeded["state"], sink.mails().len()), (&json!("succeeded"), 1));
    let (job, error) = (dead.json(), "An address has characters beyond ASCII before its @");
    assert_eq!((&job["state"], &job["attempts"][0]["error_class"]), (&json!("dead"), &json!("permanent")));
    assert!(job["attempts"][0]["error"].as_str().unwrap().contains(error), "{job:#}");
    assert!(told.stdout.contains("dead at attempt 1") && told.stdout.contains(error), "{told:?}");
    worker.stop().await;
}

#[tokio::test]
async fn wait_gives_up_after_its_time_and_says_where_to_look() {
    let flota = Installation::new().await;
    let mail = mail().to_string();

    let wait = ["enqueue", "send_email", "--wait", "--wait-timeout", "200ms", "--data", &mail];
    let said = flota.flota(&wait).await.expect(1);

    let sentence = said.refusal();
    assert!(sentence.contains("has not ended within 200ms: it is ready; does a worker run"), "{said:?}");
    let (_, command) = sentence.split_once("see `flota job get ").unwrap();
    assert_eq!(flota.job(command.trim_end_matches('`')).await["state"], "ready");
}

#[tokio::test]
async fn the_same_key_gives_the_first_job_back_unless_the_payload_differs() {
    let flota = Installation::new().await;
    let (one, other) = (mail_about("one").to_string(), mail_about("other").to_string());
    let enqueue = ["enqueue", "send_email", "--key", "order-42", "--data"];

    let first = flota.flota(&[&enqueue[..], &[&one]].concat()).await.expect(0).json();
    let again = flota.flota(&[&enqueue[..], &[&one]].concat()).await.expect(0).json();
    let told = flota.flota(&[&enqueue[..], &[&one, "-o", "table"]].concat()).await.expect(0);
    let conflict = flota.flota(&[&enqueue[..], &[&other]].concat()).await.expect(1);

    assert_eq!((&first["deduplicated"], &again["deduplicated"]), (&json!(false), &json!(true)));
    assert_eq!((&again["id"], shape(&again)), (&first["id"], shape(&first)));
    assert!(told.stdout.contains("is there already"), "{told:?}");
    let sentence = conflict.refusal();
    assert!(
        sentence.contains("`order-42`") && sentence.contains(first["id"].as_str().unwrap()),
        "{sentence}"
    );
    assert_eq!(flota.flota(&["queue", "list"]).await.json()[0]["ready"], 1);
}

#[tokio::test]
async fn a_unique_key_is_held_while_its_job_is_alive() {
    let flota = Installation::new().await;
    let first = flota.enqueue("send_email", &mail_about("one"), &["--unique", "digest"]).await;

    let second = flota.enqueue("send_email", &mail_about("two"), &["--unique", "digest"]).await;
    flota.flota(&["job", "cancel", &first]).await.expect(0);
    let third = flota.enqueue("send_email", &mail_about("two"), &["--unique", "digest"]).await;

    assert_eq!(second, first);
    assert_ne!(third, first);
}

#[tokio::test]
async fn delay_and_at_put_a_job_off() {
    let flota = Installation::new().await;
    let delayed = flota.enqueue("send_email", &mail(), &["--delay", "1h 30m"]).await;
    let at = flota.enqueue("send_email", &mail(), &["--at", "2100-01-01T00:00:00+02:00"]).await;
    let past = flota.enqueue("send_email", &mail(), &["--at", "2020-01-01T00:00:00Z"]).await;

    let (delayed, at, past) = (flota.job(&delayed).await, flota.job(&at).await, flota.job(&past).await);

    let due = |job: &Value| job["due_in_ms"].as_u64();
    assert!(matches!(due(&delayed), Some(5_300_000..=5_400_000)), "{delayed:#}");
    assert!(due(&at) > Some(365 * 24 * 3_600_000), "{at:#}");
    assert_eq!((&past["state"], due(&past)), (&json!("ready"), None));
}

#[tokio::test]
async fn a_trace_that_is_none_is_told_and_nothing_is_enqueued() {
    let flota = Installation::new().await;
    let mail = mail().to_string();
    let enqueue = ["enqueue", "send_email", "--data", &mail, "--traceparent"];
    let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    let refused = flota.flota(&[&enqueue[..], &["00-xyz-01"]].concat()).await.expect(2);
    flota.flota(&[&enqueue[..], &[good]].concat()).await.expect(0);

    assert!(refused.refusal().contains("--traceparent (or TRACEPARENT) is no trace context"), "{refused:?}");
    assert_eq!(flota.flota(&["queue", "get", "email"]).await.expect(0).json()["ready"], 1);
}

#[tokio::test]
async fn a_delayed_job_runs_when_it_is_due() {
    let (flota, sink) = with_mail().await;
    let worker = flota.start(&["worker"]).await;

    let id = flota.enqueue("send_email", &mail(), &["--delay", "300ms", "--wait"]).await;

    let job = flota.job(&id).await;
    let time = |name: &str| {
        let text = job["outcome"][name].as_str().unwrap();
        chrono::DateTime::parse_from_rfc3339(text).unwrap()
    };
    let waited = time("started_at") - time("enqueued_at");
    assert!(waited.num_milliseconds() >= 295, "it started after {waited}");
    assert_eq!(sink.mails().len(), 1);
    worker.stop().await;
}

#[tokio::test]
async fn high_priority_overtakes_low() {
    let (mut flota, sink) = with_mail().await;
    let one_at_a_time = flota.write("one.toml", "[queues.email]\nconcurrency = 1\n");
    flota.set("FLOTA_QUEUES_FILE", one_at_a_time);
    for (priority, count) in [("low", 3), ("high", 8)] {
        for _ in 0..count {
            flota.enqueue("send_email", &mail_about(priority), &["--priority", priority]).await;
        }
    }

    let worker = flota.start(&["worker"]).await;

    let mails = sink.wait_for(11, PATIENCE).await.unwrap();
    let order: Vec<String> = mails.iter().filter_map(|mail| mail.header("Subject")).collect();
    // Of eight fetches two begin elsewhere, so that nothing starves; in the order of arrival there would be five.
    let high = order[..8].iter().filter(|subject| *subject == "high").count();
    assert!(6 <= high, "{order:?}");
    worker.stop().await;
}

#[tokio::test]
async fn a_payload_comes_from_a_file_or_from_standard_input() {
    let (flota, sink) = with_mail().await;
    flota.write("mail.json", &format!("{:#}\n", mail_about("from a file")));
    let piped = mail_about("from a pipe").to_string();

    flota.flota(&["enqueue", "send_email", "--data", "@mail.json"]).await.expect(0);
    flota.flota_reading(&piped, &["enqueue", "send_email", "--data", "-"]).await.expect(0);
    let nothing = flota.flota_reading("", &["enqueue", "send_email", "--data", "-"]).await.expect(2);

    assert!(nothing.refusal().contains("the payload is not JSON"), "{nothing:?}");
    let worker = flota.start(&["worker"]).await;
    let mails = sink.wait_for(2, PATIENCE).await.unwrap();
    let mut subjects: Vec<String> = mails.iter().filter_map(|mail| mail.header("Subject")).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["from a file", "from a pipe"]);
    worker.stop().await;
}

#[tokio::test]
async fn the_example_of_the_readme_is_accepted_and_delivered() {
    let (flota, sink) = with_mail().await;
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let (_, example) = readme.split_once("flota enqueue send_email --wait \\\n  --data '").unwrap();
    let payload = example.split('\'').next().unwrap();
    let worker = flota.start(&["worker"]).await;

    flota.flota(&["enqueue", "send_email", "--wait", "--data", payload]).await.expect(0);

    assert_eq!(sink.mails()[0].header("Subject").as_deref(), Some("Welcome to ERP"));
    worker.stop().await;
}
