//! What is too large, and what Postgres cannot hold.

use flota_tests::program::Installation;
use flota_worker::dev::{SmtpSink, WebhookAnswer, WebhookSink};
use serde_json::{Value, json};

use super::cause_of_death;

#[tokio::test]
async fn a_payload_of_fifty_megabytes_is_refused_before_anything_is_sent() {
    let mut flota = Installation::new().await;
    let megabytes = "x".repeat(50_000_000);
    let payload = json!({ "endpoint": "ep_1", "event": "big", "data": megabytes }).to_string();

    let enqueue = ["enqueue", "deliver_webhook", "--data", "-"];
    let said = flota.flota_reading(&payload, &enqueue).await.expect(2);
    // The same without a Redis: it was refused here and not there.
    flota.set("REDIS_URL", "redis://127.0.0.1:1/");
    flota.flota_reading(&payload, &enqueue).await.expect(2);

    let sentence = said.refusal();
    assert!(
        sentence.contains("more than the 65536 allowed; store large data and send its reference"),
        "{sentence}"
    );
}

#[tokio::test]
async fn nul_characters_reach_a_row_and_do_not_stop_the_recorder() {
    let mut flota = Installation::new().await;
    let (mails, hooks) = (SmtpSink::start().await.unwrap(), WebhookSink::start().await.unwrap());
    flota.mail_to(&mails).webhooks_inside().make_keys().await;
    let endpoint = flota.add_endpoint(&hooks.url("/hook"), &[]).await;
    let answer = WebhookAnswer::Respond { status: 200, headers: Vec::new(), body: "thank\0you".to_owned() };
    hooks.answer("/hook", answer);
    let worker = flota.start(&["worker"]).await;
    let event = json!({ "endpoint": endpoint, "event": "nul", "data": { "na\0me": "a\0b" } });
    let letter = json!({ "birth\0day": 1 });

    let delivered = flota.enqueue("deliver_webhook", &event, &["--wait"]).await;
    let dead = flota.enqueue_unchecked("send_email", "email", &letter).await;
    let dead = flota.wait_for(&dead, "dead").await;
    let after = flota.enqueue("deliver_webhook", &event, &["--wait"]).await;

    let sent: Value = serde_json::from_slice(&hooks.received()[0].body).unwrap();
    assert_eq!(sent["data"], json!({ "na\0me": "a\0b" }), "the receiver gets what the producer sent");
    let rows = flota.flota(&["job", "list"]).await.expect(0).json();
    let ids: Vec<&Value> = rows.as_array().unwrap().iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, [&json!(after), &dead["id"], &json!(delivered)]);
    assert!(!rows.to_string().contains("\\u0000"), "{rows:#}");
    assert!(rows[2]["result"].to_string().contains("thank"), "{rows:#}");
    assert!(cause_of_death(&dead).1.contains("birth"), "{dead:#}");
    let envelope: Vec<u8> =
        sqlx::query_scalar("SELECT envelope FROM dead_letters").fetch_one(&flota.pool()).await.unwrap();
    assert!(String::from_utf8(envelope).unwrap().contains(r"birth\u0000day"), "kept byte for byte");
    assert!(!worker.log().contains("refused"), "{}", worker.log());
    worker.stop().await;
}
