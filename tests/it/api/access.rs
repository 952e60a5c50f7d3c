//! Who may do what: every route of the description, asked by everybody. The table in docs/api.md is what was seen.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use flota_tests::{
    api_server::{ApiServer, answer, bury, paused_operation, token},
    generated_text::check_part,
    program::Installation,
};
use flota_worker::{
    api::requirements,
    tokens::{NewToken, Role, TokenText, create, revoke},
};
use serde_json::{Value, json};

/// Who asks, in the order of the table's columns.
const CALLERS: [&str; 8] =
    ["none", "bad", "expired", "revoked", "viewer", "operator", "admin", "other tenant"];
/// Whose things the routes are asked about.
const TENANT: &str = "acme";

/// A token for each who has one.
async fn tokens(flota: &Installation) -> BTreeMap<&'static str, String> {
    let past: DateTime<Utc> = "2020-01-01T00:00:00Z".parse().expect("a time");
    let revoked = token(flota, Role::Admin, |new| new.name = "revoked".into()).await;
    revoke(&flota.pool(), "revoked", "cli:test").await.expect("Postgres answers");
    BTreeMap::from([
        ("bad", TokenText::mint().expect("randomness").reveal().to_owned()),
        ("expired", token(flota, Role::Admin, |new| new.expires_at = Some(past)).await),
        ("revoked", revoked),
        ("viewer", token(flota, Role::Viewer, |_| {}).await),
        ("operator", token(flota, Role::Operator, |_| {}).await),
        ("admin", token(flota, Role::Admin, |_| {}).await),
        ("other tenant", token(flota, Role::Admin, |new| new.tenant = Some("globex".into())).await),
    ])
}

/// A request that would succeed: its path, and its body if it has one. Everything it is about is new.
async fn request(flota: &Installation, method: &str, path: &str) -> (String, Option<Value>) {
    let reason = Some(json!({ "reason": "a test" }));
    let job =
        json!({ "kind": "send_sms", "tenant": TENANT, "payload": { "to": "+525512345678", "text": "Hi" } });
    let (id, body) = match (method, path) {
        (_, "/api/v1/jobs") => (String::new(), Some(job)),
        (_, "/api/v1/jobs:batch") => (String::new(), Some(json!({ "jobs": [job] }))),
        (_, "/api/v1/jobs/{id}") => {
            let sms = json!({ "to": "+525512345678", "text": "Hi" });
            (flota.enqueue("send_sms", &sms, &["--tenant", TENANT, "--delay", "1h"]).await, None)
        }
        (_, "/api/v1/dead-letters/{id}") => (bury(flota, TENANT).await, None),
        (_, "/api/v1/dead-letters/{id}/replay" | "/api/v1/dead-letters/{id}/discard") => {
            (bury(flota, TENANT).await, reason)
        }
        ("POST", "/api/v1/bulk-operations") => {
            let letter = bury(flota, TENANT).await;
            let filter = json!({ "ids": [letter], "tenant": TENANT });
            (String::new(), Some(json!({ "decision": "discard", "filter": filter, "reason": "a test" })))
        }
        (_, path) if path.starts_with("/api/v1/bulk-operations/") => {
            (paused_operation(flota, TENANT).await, None)
        }
        ("POST", "/api/v1/tokens") => {
            let name = format!("n{}", uuid::Uuid::new_v4().simple());
            (String::new(), Some(json!({ "name": name, "role": "viewer" })))
        }
        (_, "/api/v1/tokens/{id}") => {
            let new = NewToken {
                name: format!("n{}", uuid::Uuid::new_v4().simple()),
                role: Role::Viewer,
                may_see_payloads: false,
                tenant: None,
                expires_at: None,
            };
            (create(&flota.pool(), &new, "cli:test").await.expect("a token").1.id.to_string(), None)
        }
        (_, path) if path.ends_with("/pause") => (String::new(), reason),
        (_, path) if path.ends_with("/limit") => {
            (String::new(), Some(json!({ "concurrency": 4, "reason": "a test" })))
        }
        _ => (String::new(), None),
    };
    let path = path.replace("{id}", &id).replace("{queue}", "email").replace("{kind}", "send_email");
    // Lists are asked for what is another tenant's.
    let lists_letters = path == "/api/v1/dead-letters" || path == "/api/v1/dead-letter-groups";
    (if lists_letters { format!("{path}?tenant={TENANT}") } else { path }, body)
}

/// What must come back: a status for those who are refused, and 2xx for others.
fn expected(caller: &str, role: Role, fleet: bool, path: &str) -> &'static [u16] {
    const DONE: &[u16] = &[200, 201, 202];
    let has = |own: Role| if role <= own { DONE } else { &[403] };
    match caller {
        "none" | "bad" | "expired" | "revoked" => &[401],
        "viewer" => has(Role::Viewer),
        "operator" => has(Role::Operator),
        "admin" => has(Role::Admin),
        _ if fleet => &[403],
        // What somebody else has is not there; what is named as somebody else's is refused, in a batch job by job.
        _ if path.contains("{id}") => &[404],
        _ if path.starts_with("/api/v1/kinds") || path.ends_with("openapi.json") => DONE,
        _ if path.ends_with(":batch") => &[200],
        _ => &[403],
    }
}

#[tokio::test]
async fn every_route_lets_in_whom_it_says_and_nobody_else() {
    let flota = Installation::new().await;
    let (api, tokens) = (ApiServer::start(&flota).await, tokens(&flota).await);
    let mut table = format!("| route | needs | {} |\n|---|---|{}\n", CALLERS.join(" | "), "---|".repeat(8));

    for (method, path, role, fleet) in requirements() {
        let role: Role = role.parse().unwrap();
        let needs = if fleet { format!("{role}, fleet") } else { role.to_string() };
        table.push_str(&format!("| `{method} {path}` | {needs} |"));
        for caller in CALLERS {
            let (asked, body) = request(&flota, &method, &path).await;
            let request = api.request(&method, &asked, tokens.get(caller).map(String::as_str));
            let seen = answer(match body {
                Some(body) => request.json(&body),
                None => request,
            })
            .await;
            let right = expected(caller, role, fleet, &path);
            assert!(right.contains(&seen.status), "{method} {path} by {caller}: {right:?}, {seen:#?}");
            if 400 <= seen.status {
                seen.problem();
            }
            if caller == "other tenant" && path.ends_with(":batch") {
                assert_eq!(seen.json["results"][0]["status"], 403, "{seen:#?}");
            }
            table.push_str(&format!(" {} |", seen.status));
        }
        table.push('\n');
    }

    check_part("docs/api.md", "routes", &table);
    api.process.stop().await;
}

#[tokio::test]
async fn a_token_of_a_tenant_never_meets_what_is_another_s() {
    let flota = Installation::new().await;
    let acme = token(&flota, Role::Admin, |new| new.tenant = Some("acme".into())).await;
    let globex = token(&flota, Role::Admin, |new| new.tenant = Some("globex".into())).await;
    let (own, other) = (bury(&flota, "acme").await, bury(&flota, "globex").await);
    let api = ApiServer::start(&flota).await;

    let listed = api.get("/api/v1/dead-letters", &acme).await.expect(200).json;
    let both = json!({ "decision": "discard", "filter": { "ids": [own, other] }, "reason": "a test" });
    let bulk = api.post("/api/v1/bulk-operations", &acme, &both).await.expect(202);
    let seen = api.get(bulk.header("location"), &globex).await;
    let before = api.get(&format!("/api/v1/dead-letters?before={other}"), &acme).await;

    let ids: Vec<&Value> = listed.as_array().unwrap().iter().map(|letter| &letter["id"]).collect();
    assert_eq!(ids, [&json!(own)]);
    assert_eq!((&bulk.json["matched"], seen.status, before.status), (&json!(1), 404, 404));
    let letter = api.get(&format!("/api/v1/dead-letters/{other}"), &globex).await.expect(200);
    assert_eq!(letter.json["state"], "dead", "it was not discarded");
    api.process.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let flota = Installation::new().await;
    let (api, viewer) = (ApiServer::start(&flota).await, token(&flota, Role::Viewer, |_| {}).await);

    let path = api.get("/api/v1/no/such/page", &viewer).await.expect(404);
    let method = answer(api.request("PUT", "/api/v1/queues", Some(&viewer))).await.expect(405);
    let head = answer(api.request("HEAD", "/api/v1/kinds", Some(&viewer))).await.expect(200);

    assert_eq!((path.problem(), method.problem()), ("not-found", "method"));
    assert_eq!(method.header("allow"), "GET,HEAD");
    assert_eq!(head.json, Value::Null);
    api.process.stop().await;
}
