//! Dead letters over HTTP: found, looked at without their secrets, replayed once, discarded with a reason.

use flota_tests::{
    api_server::{ApiServer, bury, token},
    program::Installation,
    shape::shape,
};
use flota_worker::tokens::Role;
use serde_json::json;

#[tokio::test]
async fn secrets_of_a_letter_are_shown_to_those_who_may_see_them() {
    let flota = Installation::new().await;
    let viewer = token(&flota, Role::Viewer, |_| {}).await;
    let seeing = token(&flota, Role::Viewer, |new| {
        (new.may_see_payloads, new.name) = (true, "auditor".into());
    })
    .await;
    let letter = bury(&flota, "acme").await;
    let (api, path) = (ApiServer::start(&flota).await, format!("/api/v1/dead-letters/{letter}"));

    let (hidden, shown) =
        (api.get(&path, &viewer).await.expect(200), api.get(&path, &seeing).await.expect(200));
    let by_hand = flota.flota(&["dead", "get", &letter]).await.expect(0).json();
    let text = api.get("/api/v1/dead-letters?text=s3cret", &viewer).await.expect(403);
    let value = api.get("/api/v1/dead-letters?payload=to%3Dana@example.com", &viewer).await.expect(403);
    let found = api.get("/api/v1/dead-letters?text=s3cret", &seeing).await.expect(200);

    assert!(!hidden.json.to_string().contains("s3cret"), "{hidden:#?}");
    assert_eq!(hidden.json["payload"]["to"], json!(["ana@example.com"]));
    assert_eq!(shown.json, by_hand, "the command line and the API tell the same");
    assert_eq!((text.problem(), value.problem()), ("role", "role"), "searching would tell, too");
    assert_eq!(found.json[0]["id"], json!(letter));
    let sql = "SELECT actor || ' ' || subject FROM audit_log WHERE action = 'payload.read'";
    let looks: Vec<String> = sqlx::query_scalar(sql).fetch_all(&flota.pool()).await.unwrap();
    assert_eq!(looks, [format!("api:auditor {letter}")]);
    api.process.stop().await;
}

#[tokio::test]
async fn a_letter_is_replayed_once_and_its_replay_is_known() {
    let flota = Installation::new().await;
    let operator = token(&flota, Role::Operator, |_| {}).await;
    let (letter, api) = (bury(&flota, "acme").await, ApiServer::start(&flota).await);
    let path = format!("/api/v1/dead-letters/{letter}/replay");
    let why = json!({ "reason": "the mailbox is back" });

    let first = api.post(&path, &operator, &why).await.expect(202);
    let again = api.post(&path, &operator, &why).await.expect(409);
    let no_reason = api.post(&path, &operator, &json!({ "reason": "" })).await.expect(422);
    let unknown = format!("/api/v1/dead-letters/{}/replay", uuid::Uuid::now_v7());
    let unknown = api.post(&unknown, &operator, &why).await.expect(404);

    assert_eq!(shape(&first.json), "letter: id, operation: id, replayed_as: id, state: text");
    assert_eq!(first.json["state"], "replaying");
    assert!(again.json["detail"].as_str().unwrap().contains(first.json["replayed_as"].as_str().unwrap()));
    assert_eq!((no_reason.problem(), unknown.problem()), ("invalid", "not-found"));
    let kept = flota.flota(&["dead", "get", &letter]).await.expect(0).json();
    assert_eq!(kept["operations"][0]["reason"], "the mailbox is back");
    api.process.stop().await;
}

#[tokio::test]
async fn letters_are_paged_grouped_and_filtered_as_at_the_command_line() {
    let flota = Installation::new().await;
    let viewer = token(&flota, Role::Viewer, |_| {}).await;
    let mut letters = Vec::new();
    for _ in 0..3 {
        letters.push(bury(&flota, "acme").await);
    }
    let api = ApiServer::start(&flota).await;
    let get = async |query: &str| api.get(&format!("/api/v1/dead-letters?{query}"), &viewer).await;

    let page = get("limit=2").await.expect(200).json;
    let next = get(&format!("limit=2&before={}", page[1]["id"].as_str().unwrap())).await.expect(200).json;
    let none = get("class=network&since=1h").await.expect(200).json;
    let groups = api.get("/api/v1/dead-letter-groups?queue=email", &viewer).await.expect(200).json;

    letters.reverse();
    let ids: Vec<&str> = [&page[0], &page[1], &next[0]].iter().filter_map(|row| row["id"].as_str()).collect();
    assert_eq!((ids, none), (letters.iter().map(String::as_str).collect(), json!([])));
    assert_eq!((&groups[0]["count"], &groups[0]["fingerprint"]), (&json!(3), &json!("f1")));
    for wrong in
        ["class=netwrok", "limit=0", "limit=201", "state=gone", "since=soon", "colour=red", "before=x"]
    {
        assert_eq!(get(wrong).await.expect(400).problem(), "malformed", "{wrong}");
    }
    api.process.stop().await;
}
