//! Bulk operations over HTTP: tried dry, carried out by the server, stopped, and taken up after a crash.

use flota_tests::{
    api_server::{ApiServer, bury, token, until},
    program::Installation,
    shape::shape,
};
use flota_worker::tokens::Role;
use serde_json::{Value, json};

async fn wait_for(api: &ApiServer, path: &str, token: &str, state: &str) -> Value {
    let ask = async || api.get(path, token).await.expect(200);
    until(&format!("it is {state}"), ask, |answer| answer.json["state"] == state).await.json
}

#[tokio::test]
async fn letters_are_discarded_after_a_dry_run() {
    let flota = Installation::new().await;
    let admin = token(&flota, Role::Admin, |_| {}).await;
    for _ in 0..3 {
        bury(&flota, "acme").await;
    }
    let api = ApiServer::start(&flota).await;
    let mut wanted =
        json!({ "decision": "discard", "filter": { "queue": "email" }, "reason": "closed", "dry_run": true });

    let dry = api.post("/api/v1/bulk-operations", &admin, &wanted).await.expect(200);
    wanted["dry_run"] = json!(false);
    let made = api.post("/api/v1/bulk-operations", &admin, &wanted).await.expect(202);
    let done = wait_for(&api, made.header("location"), &admin, "done").await;
    let again = api.post("/api/v1/bulk-operations", &admin, &wanted).await.expect(200);
    let ended = api.post(&format!("{}/abort", made.header("location")), &admin, &json!({})).await.expect(409);
    let list = api.get("/api/v1/bulk-operations", &admin).await.expect(200).json;

    assert_eq!((&dry.json["matched"], &again.json["matched"]), (&json!(3), &json!(0)));
    assert_eq!((&done["queued"], &done["left"]), (&json!(3), &Value::Null));
    assert_eq!(shape(&list), format!("[{}]", shape(&done)));
    assert_eq!(ended.problem(), "conflict");
    api.process.stop().await;
}

#[tokio::test]
async fn what_an_operation_looked_for_in_payloads_is_shown_to_those_who_may_see_them() {
    let flota = Installation::new().await;
    let seeing = token(&flota, Role::Admin, |new| new.may_see_payloads = true).await;
    let viewer = token(&flota, Role::Viewer, |_| {}).await;
    bury(&flota, "acme").await;
    let api = ApiServer::start(&flota).await;
    let filter = json!({ "text": "s3cret", "payload": { "to": "ana@example.com" } });
    let wanted = json!({ "decision": "discard", "filter": filter, "reason": "closed" });

    let made = api.post("/api/v1/bulk-operations", &seeing, &wanted).await.expect(202);
    let path = made.header("location");
    let shown = api.get(path, &seeing).await.expect(200).json;
    let hidden = api.get(path, &viewer).await.expect(200).json;
    let list = api.get("/api/v1/bulk-operations", &viewer).await.expect(200).json;

    assert_eq!(shown["filter"]["text"], "s3cret");
    let redacted = json!({ "text": "[redacted]", "payload": [{ "path": ["to"], "value": "[redacted]" }] });
    assert_eq!((&hidden["filter"], &list[0]["filter"]), (&redacted, &redacted));
    api.process.stop().await;
}

#[tokio::test]
async fn a_decision_that_makes_no_sense_is_refused_by_its_field() {
    let flota = Installation::new().await;
    let admin = token(&flota, Role::Admin, |_| {}).await;
    let api = ApiServer::start(&flota).await;
    let wanted = |change: Value| {
        let mut wanted = json!({ "decision": "replay", "filter": { "queue": "email" }, "reason": "x" });
        for (name, value) in change.as_object().unwrap() {
            wanted[name] = value.clone();
        }
        wanted
    };

    for (change, pointer) in [
        (json!({ "filter": {} }), "/filter"),
        (json!({ "filter": { "since": "soon" } }), "/filter"),
        (json!({ "filter": { "colour": "red" } }), "/filter/colour"),
        (json!({ "decision": "burn" }), "/decision"),
        (json!({ "rate": 0.0 }), "/rate"),
        (json!({ "stage_size": 0 }), "/stage_size"),
        (json!({ "max_failures": 1 }), "/max_failures"),
        (json!({ "decision": "discard", "stage_size": 5 }), "/stage_size"),
        (json!({ "reason": "" }), "/reason"),
    ] {
        let refused = api.post("/api/v1/bulk-operations", &admin, &wanted(change)).await.expect(422);
        assert_eq!(refused.json["errors"][0]["pointer"], pointer, "{refused:#?}");
    }
    api.process.stop().await;
}

#[tokio::test]
async fn what_a_killed_server_left_is_taken_up_by_the_next_one() {
    let flota = Installation::new().await;
    let admin = token(&flota, Role::Admin, |_| {}).await;
    for _ in 0..5 {
        bury(&flota, "acme").await;
    }
    let api = ApiServer::start(&flota).await;
    let slow = json!({ "decision": "discard", "filter": { "queue": "email" }, "reason": "x", "rate": 1.0 });

    let made = api.post("/api/v1/bulk-operations", &admin, &slow).await.expect(202);
    let path = made.header("location").to_owned();
    api.process.process.kill().await.unwrap();
    let next = ApiServer::start(&flota).await;
    let done = wait_for(&next, &path, &admin, "done").await;

    assert_eq!((&done["queued"], &done["matched"]), (&json!(5), &json!(5)));
    next.process.stop().await;
}
