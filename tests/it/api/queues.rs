//! Queues over HTTP: looked at, paused with a reason, resumed; each with its lines in the audit log.

use flota_tests::{
    api_server::{ApiServer, token},
    program::Installation,
    shape::shape,
};
use flota_worker::tokens::Role;
use serde_json::json;

#[tokio::test]
async fn a_queue_is_paused_with_a_reason_and_resumed() {
    let flota = Installation::new().await;
    let operator = token(&flota, Role::Operator, |new| new.name = "on-call".into()).await;
    let api = ApiServer::start(&flota).await;

    let pause = json!({ "reason": "the provider is down" });
    let paused = api.post("/api/v1/queues/email/pause", &operator, &pause).await.expect(200);
    let queue = api.get("/api/v1/queues/email", &operator).await.expect(200).json;
    let by_hand = flota.flota(&["queue", "get", "email"]).await.expect(0).json();
    let resumed = api.post("/api/v1/queues/email/resume", &operator, &json!({})).await.expect(200);
    let list = api.get("/api/v1/queues", &operator).await.expect(200).json;
    let unknown = api.get("/api/v1/queues/nowhere", &operator).await.expect(404);
    let no_reason =
        api.post("/api/v1/queues/email/pause", &operator, &json!({ "reason": "" })).await.expect(422);

    assert_eq!((&paused.json["paused"], &resumed.json["paused"]), (&json!(true), &json!(false)));
    assert_eq!(queue["paused_reason"], "the provider is down");
    assert_eq!(shape(&queue), shape(&by_hand), "the command line and the API tell the same");
    assert_eq!(list.as_array().unwrap().len(), 6);
    assert!(unknown.json["detail"].as_str().unwrap().contains("known queues: email"), "{unknown:?}");
    assert_eq!(no_reason.json["errors"][0]["pointer"], "/reason");
    let sql = "SELECT actor || ' ' || action || ' ' || subject || ' ' || (detail->>'step') FROM audit_log \
               WHERE action LIKE 'queue.%' ORDER BY id";
    let deeds: Vec<String> = sqlx::query_scalar(sql).fetch_all(&flota.pool()).await.unwrap();
    let expected = ["pause email asked", "pause email done", "resume email asked", "resume email done"];
    assert_eq!(deeds, expected.map(|deed| format!("api:on-call queue.{deed}")));
    api.process.stop().await;
}

#[tokio::test]
async fn a_pause_for_a_while_ends_by_itself_and_answers_are_counted() {
    let flota = Installation::new().await;
    let operator = token(&flota, Role::Operator, |new| new.name = "on-call".into()).await;
    let api = ApiServer::start(&flota).await;

    let pause = json!({ "reason": "maintenance", "for_seconds": 1_800 });
    api.post("/api/v1/queues/email/pause", &operator, &pause).await.expect(200);
    let queue = api.get("/api/v1/queues/email", &operator).await.expect(200);
    let never = json!({ "reason": "x", "for_seconds": 0 });
    let refused = api.post("/api/v1/queues/email/pause", &operator, &never).await.expect(422);

    let controls = &queue.json["controls"]["pause"];
    assert_eq!((&controls["by"], &controls["reason"]), (&json!("api:on-call"), &json!("maintenance")));
    assert!(controls["until"].is_string(), "{controls}");
    assert_eq!(refused.json["errors"][0]["pointer"], "/for_seconds");
    let guarded = (queue.header("x-content-type-options"), queue.header("cache-control"));
    assert_eq!(guarded, ("nosniff", "no-store"));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let page = http.get(format!("{}/metrics", api.process.address().await)).send().await.unwrap();
    let page = page.text().await.unwrap();
    let line =
        "flota_api_requests_total{method=\"POST\",route=\"/api/v1/queues/{queue}/pause\",status=\"422\"} 1";
    assert!(page.lines().any(|found| found == line), "{page}");
    api.process.stop().await;
}

#[tokio::test]
async fn a_queue_is_limited_and_let_go_and_what_cannot_be_is_refused() {
    let flota = Installation::new().await;
    let operator = token(&flota, Role::Operator, |new| new.name = "on-call".into()).await;
    let api = ApiServer::start(&flota).await;
    let limit = "/api/v1/queues/email/limit";

    let asked = json!({ "rate": ["10/s", "10000/d"], "concurrency": 4, "reason": "slow", "for_seconds": 60 });
    let limited = api.post(limit, &operator, &asked).await.expect(200).json;
    let shown = api.get("/api/v1/queues/email", &operator).await.expect(200).json;
    let let_go = api.post("/api/v1/queues/email/unlimit", &operator, &json!({})).await.expect(200).json;

    assert_eq!(limited["controls"]["rate"]["value"], json!(["10/s", "10000/d"]));
    assert_eq!((&shown["controls"], &let_go["controls"]), (&limited["controls"], &json!({})));
    for (wrong, pointer) in [
        (json!({ "reason": "x" }), "/rate"),
        (json!({ "reason": "x", "rate": ["10/s", "fast"] }), "/rate/1"),
        (json!({ "reason": "x", "rate": ["10/s", "20/s"] }), "/rate"),
        (json!({ "reason": "x", "concurrency": 0 }), "/concurrency"),
        (json!({ "reason": "", "concurrency": 1 }), "/reason"),
    ] {
        let refused = api.post(limit, &operator, &wrong).await.expect(422);
        assert_eq!(refused.json["errors"][0]["pointer"], pointer, "{wrong}");
    }
    api.process.stop().await;
}
