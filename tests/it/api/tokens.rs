//! Tokens: shown once, revoked for everybody within seconds, slowed down when they ask too often.

use flota_tests::{
    api_server::{ApiServer, answer, token, until},
    program::Installation,
};
use flota_worker::tokens::Role;
use futures_util::future::join_all;
use serde_json::json;

#[tokio::test]
async fn a_token_is_shown_once_and_revoked_for_everybody() {
    let flota = Installation::new().await;
    let create = ["token", "create", "billing", "--role", "viewer", "--expires", "30d", "-o", "json"];
    let made = flota.flota(&create).await.expect(0).json();
    let billing = made["token"].as_str().unwrap();
    let api = ApiServer::start(&flota).await;

    api.get("/api/v1/kinds", billing).await.expect(200);
    let list = flota.flota(&["token", "list"]).await.expect(0);
    let twice = flota.flota(&["token", "create", "billing", "--role", "admin"]).await.expect(2);
    flota.flota(&["token", "revoke", "billing"]).await.expect(0);
    until(
        "it opens nothing",
        async || api.get("/api/v1/kinds", billing).await,
        |answer| answer.status == 401,
    )
    .await;
    let none = flota.flota(&["token", "revoke", "billing"]).await.expect(3);

    assert!(billing.starts_with("flota_") && !list.stdout.contains(billing), "{list:?}");
    assert_eq!(list.json()[0]["role"], "viewer");
    assert!(twice.refusal().contains("flota token revoke billing"), "{twice:?}");
    assert!(none.refusal().contains("flota token list"), "{none:?}");
    api.process.stop().await;
}

#[tokio::test]
async fn an_admin_makes_tokens_that_can_do_no_more_than_it_may_show() {
    let flota = Installation::new().await;
    let admin = token(&flota, Role::Admin, |_| {}).await;
    let api = ApiServer::start(&flota).await;

    let made =
        api.post("/api/v1/tokens", &admin, &json!({ "name": "ci", "role": "operator" })).await.expect(201);
    let seeing = json!({ "name": "spy", "role": "viewer", "may_see_payloads": true });
    let refused = api.post("/api/v1/tokens", &admin, &seeing).await.expect(403);
    let bad =
        api.post("/api/v1/tokens", &admin, &json!({ "name": "a b", "role": "viewer" })).await.expect(422);
    let taken =
        api.post("/api/v1/tokens", &admin, &json!({ "name": "ci", "role": "viewer" })).await.expect(409);
    let text = made.json["token"].as_str().unwrap();
    api.get("/api/v1/kinds", text).await.expect(200);
    let path = format!("/api/v1/tokens/{}", made.json["id"].as_str().unwrap());
    answer(api.request("DELETE", &path, Some(&admin))).await.expect(200);

    let listed = api.get("/api/v1/tokens", &admin).await.expect(200).json;
    let ci = listed.as_array().unwrap().iter().find(|row| row["name"] == "ci").unwrap();
    assert!(ci["revoked_at"].is_string() && ci.get("token").is_none() && ci.get("hash").is_none(), "{ci}");
    assert_eq!(made.header("cache-control"), "no-store");
    assert_eq!((refused.problem(), taken.problem()), ("role", "conflict"));
    assert_eq!(bad.json["errors"][0]["pointer"], "/name");
    api.process.stop().await;
}

#[tokio::test]
async fn no_token_and_no_secret_of_a_payload_is_in_the_log() {
    let mut flota = Installation::new().await;
    flota.set("RUST_LOG", "trace");
    let operator = token(&flota, Role::Operator, |_| {}).await;
    let api = ApiServer::start(&flota).await;
    let sms =
        json!({ "kind": "send_sms", "payload": { "to": "+525512345678", "text": "your code is s3cret" } });
    let wrong = format!("{operator}x");

    api.post("/api/v1/jobs", &operator, &sms).await.expect(202);
    api.post("/api/v1/jobs", &wrong, &sms).await.expect(401);
    api.post("/api/v1/jobs", &operator, &json!({ "kind": "s3cret", "payload": "s3cret" })).await.expect(422);

    // What is logged of a request may be written a moment after its answer; all of it is by the end of the process.
    let whole_log = api.process.stop_and_read().await;
    let log = whole_log.as_str();
    assert!(log.contains("Serving the API"), "it does log");
    let secret = &operator["flota_".len()..];
    assert!(!log.contains(secret) && !log.contains("s3cret"), "{log}");
}

#[tokio::test]
async fn a_token_that_asks_too_often_is_told_when_to_come_back() {
    let mut flota = Installation::new().await;
    flota.set("FLOTA_API_RATE", 2);
    let (eager, other) =
        (token(&flota, Role::Viewer, |_| {}).await, token(&flota, Role::Viewer, |_| {}).await);
    let api = ApiServer::start(&flota).await;

    let answers = join_all((0..60).map(|_| api.get("/api/v1/kinds", &eager))).await;

    let refused = answers.iter().find(|answer| answer.status == 429).expect("sixty at once are too many");
    assert_eq!((refused.problem(), refused.header("retry-after")), ("rate", "1"));
    api.get("/api/v1/kinds", &other).await.expect(200);
    let again = async || api.get("/api/v1/kinds", &eager).await;
    until("its allowance is back", again, |answer| answer.status == 200).await;
    api.process.stop().await;
}
