//! Jobs over HTTP: accepted once, waited for, cancelled, in batches, and told apart by tenant.

use std::time::{Duration, Instant};

use flota_producer::{JobId, keys::Prefix, link::Link};
use flota_tests::{
    PATIENCE,
    api_server::{ApiServer, answer, token},
    program::Installation,
    shape::shape,
};
use flota_worker::{dev::SmtpSink, tokens::Role};
use serde_json::{Value, json};

fn mail(to: &str) -> Value {
    json!({ "kind": "send_email", "payload": { "to": [to], "body": { "subject": "Hi", "text": "Hello" } } })
}

#[tokio::test]
async fn a_job_is_accepted_waited_for_and_done() {
    let (mut flota, sink) = (Installation::new().await, SmtpSink::start().await.unwrap());
    let worker = flota.mail_to(&sink).start(&["worker"]).await;
    let (api, operator) = (ApiServer::start(&flota).await, token(&flota, Role::Operator, |_| {}).await);

    let accepted = api.post("/api/v1/jobs", &operator, &mail("ana@example.com")).await.expect(202);
    let path = format!("{}?wait=30s", accepted.header("location"));
    let began = Instant::now();
    let job = loop {
        let job = api.get(&path, &operator).await.expect(200).json;
        // A wait is no longer than thirty seconds, and a busy machine may need more.
        if !job["outcome"].is_null() || PATIENCE < began.elapsed() {
            break job;
        }
    };

    assert_eq!(shape(&accepted.json), "deduplicated: bool, id: id, kind: text, queue: text");
    assert_eq!((&job["id"], &job["state"]), (&accepted.json["id"], &json!("succeeded")));
    assert_eq!(job["attempts"][0]["provider"], "smtp", "{job:#}");
    api.process.stop().await;
    worker.stop().await;
}

#[tokio::test]
async fn one_key_is_one_job_and_another_payload_is_refused() {
    let flota = Installation::new().await;
    let (api, operator) = (ApiServer::start(&flota).await, token(&flota, Role::Operator, |_| {}).await);
    let send = |key: &'static str, job: Value| {
        let request = api.request("POST", "/api/v1/jobs", Some(&operator));
        async move { answer(request.header("idempotency-key", key).json(&job)).await }
    };

    let first = send("\"order-42\"", mail("ana@example.com")).await.expect(202);
    let (again, at_once) =
        tokio::join!(send("order-42", mail("ana@example.com")), send("order-42", mail("ana@example.com")));
    let other = send("order-42", mail("eve@example.com")).await.expect(422);

    for repeat in [again.expect(200), at_once.expect(200)] {
        assert_eq!((&repeat.json["id"], &repeat.json["deduplicated"]), (&first.json["id"], &json!(true)));
        assert_eq!(repeat.header("location"), first.header("location"));
    }
    assert_eq!(other.problem(), "key-reused");
    let queue = flota.flota(&["queue", "get", "email"]).await.expect(0).json();
    assert_eq!(queue["ready"], 1);
    api.process.stop().await;
}

#[tokio::test]
async fn every_job_of_a_batch_has_an_answer_of_its_own() {
    let flota = Installation::new().await;
    let operator = token(&flota, Role::Operator, |new| new.tenant = Some("acme".into())).await;
    let api = ApiServer::start(&flota).await;
    let with = |name: &str, value: Value| {
        let mut job = mail("ana@example.com");
        job[name] = value;
        job
    };
    let jobs = json!([
        with("key", json!("a")),
        with("key", json!("a")),
        mail("nobody"),
        with("colour", json!("red")),
        with("kind", json!("fly")),
        with("tenant", json!("globex")),
        with("delay_ms", json!(3_600_000)),
        7,
    ]);

    let batch = api.post("/api/v1/jobs:batch", &operator, &json!({ "jobs": jobs })).await.expect(200).json;

    let results = batch["results"].as_array().unwrap();
    let told: Vec<String> = results
        .iter()
        .map(|result| format!("{} {}", result["status"], result["problem"]["errors"][0]["pointer"]))
        .collect();
    assert_eq!(
        told,
        [
            "202 null",
            "200 null",
            "422 \"/jobs/2/payload/to/0\"",
            "422 \"/jobs/3/colour\"",
            "422 \"/jobs/4/kind\"",
            "403 null",
            "202 null",
            "422 \"/jobs/7\"",
        ]
    );
    assert_eq!((&batch["accepted"], &batch["refused"]), (&json!(3), &json!(5)));
    assert_eq!(results[0]["job"]["id"], results[1]["job"]["id"]);
    let delayed = flota.flota(&["job", "list", "--state", "delayed"]).await.expect(0).json();
    assert_eq!(delayed[0]["tenant"], "acme", "a token's tenant is that of its jobs");
    api.process.stop().await;
}

#[tokio::test]
async fn a_batch_has_one_to_five_hundred_jobs() {
    let flota = Installation::new().await;
    let (api, operator) = (ApiServer::start(&flota).await, token(&flota, Role::Operator, |_| {}).await);
    let batch = |count: usize| json!({ "jobs": vec![mail("ana@example.com"); count] });

    let most = api.post("/api/v1/jobs:batch", &operator, &batch(500)).await.expect(200);
    let too_many = api.post("/api/v1/jobs:batch", &operator, &batch(501)).await.expect(422);
    let none = api.post("/api/v1/jobs:batch", &operator, &batch(0)).await.expect(422);

    assert_eq!((&most.json["accepted"], &most.json["refused"]), (&json!(500), &json!(0)));
    for refused in [too_many, none] {
        assert_eq!(refused.json["errors"][0]["pointer"], "/jobs");
    }
    api.process.stop().await;
}

#[tokio::test]
async fn a_job_is_cancelled_once_and_by_its_own_tenant() {
    let flota = Installation::new().await;
    let acme = token(&flota, Role::Operator, |new| new.tenant = Some("acme".into())).await;
    let globex = token(&flota, Role::Admin, |new| new.tenant = Some("globex".into())).await;
    let api = ApiServer::start(&flota).await;
    let job = api.post("/api/v1/jobs", &acme, &mail("ana@example.com")).await.expect(202);
    let path = job.header("location");
    let cancel = |token: &str| answer(api.request("DELETE", path, Some(token)));

    let (seen, hidden) = (api.get(path, &acme).await, api.get(path, &globex).await);
    let (stranger, owner, again) = (cancel(&globex).await, cancel(&acme).await, cancel(&acme).await);

    assert_eq!((seen.status, hidden.status), (200, 404));
    assert_eq!((stranger.status, owner.status, again.status), (404, 200, 404));
    assert_eq!(owner.json["result"], "cancelled");
    let sql =
        "SELECT action || ' ' || (detail->>'step') FROM audit_log WHERE action = 'job.cancel' ORDER BY id";
    let deeds: Vec<String> = sqlx::query_scalar(sql).fetch_all(&flota.pool()).await.unwrap();
    assert_eq!(deeds, ["job.cancel asked", "job.cancel done"]);
    api.process.stop().await;
}

#[tokio::test]
async fn a_wait_ends_with_how_it_stands() {
    let flota = Installation::new().await;
    let (api, operator) = (ApiServer::start(&flota).await, token(&flota, Role::Operator, |_| {}).await);
    let job = api.post("/api/v1/jobs", &operator, &mail("ana@example.com")).await.expect(202);

    let began = Instant::now();
    let waited = api.get(&format!("{}?wait=600ms", job.header("location")), &operator).await.expect(200);
    let took = began.elapsed();
    let too_long = api.get(&format!("{}?wait=1h", job.header("location")), &operator).await.expect(400);
    let unread = api.get(&format!("{}?weit=1s", job.header("location")), &operator).await.expect(400);

    assert_eq!((&waited.json["state"], &waited.json["outcome"]), (&json!("ready"), &Value::Null));
    assert!(Duration::from_millis(600) <= took, "{took:?}");
    assert_eq!((too_long.problem(), unread.problem()), ("malformed", "malformed"));
    api.process.stop().await;
}

#[tokio::test]
async fn an_unknown_job_is_unknown_although_there_is_always_something_to_record() {
    let flota = Installation::new().await;
    let (api, viewer) = (ApiServer::start(&flota).await, token(&flota, Role::Viewer, |_| {}).await);
    let link = Link::new(flota.variable("REDIS_URL")).unwrap();
    let outcomes = Prefix::new(flota.variable("FLOTA_KEY_PREFIX")).unwrap().queue("email").outcomes();
    let path = format!("/api/v1/jobs/{}", JobId::mint());
    let ask_while = async |entry: &str| {
        let mut only = redis::pipe();
        only.cmd("DEL").arg(&outcomes).cmd("XADD").arg(&outcomes).arg(entry).arg("t").arg(1);
        link.pipeline::<(u64, String)>(&only).await.unwrap();
        api.get(&path, &viewer).await
    };

    let behind = ask_while("1-0").await.expect(503);
    let busy = ask_while("99999999999999-0").await.expect(404);

    assert_eq!((behind.problem(), behind.header("retry-after")), ("recording", "2"));
    assert_eq!(busy.problem(), "not-found");
    api.process.stop().await;
}

#[tokio::test]
async fn every_kind_has_a_schema_that_a_payload_can_be_checked_with() {
    let flota = Installation::new().await;
    let (api, viewer) = (ApiServer::start(&flota).await, token(&flota, Role::Viewer, |_| {}).await);

    let kinds = api.get("/api/v1/kinds", &viewer).await.expect(200).json;

    assert_eq!(kinds.as_array().unwrap().len(), 8);
    for kind in kinds.as_array().unwrap() {
        let schema = api.get(kind["schema"].as_str().unwrap(), &viewer).await.expect(200);
        assert_eq!(schema.header("content-type"), "application/schema+json");
        let properties =
            schema.json["properties"].as_object().unwrap_or_else(|| panic!("{kind}: {schema:#?}"));
        assert!(!properties.is_empty() && schema.json["additionalProperties"] == json!(false), "{kind}");
    }
    assert_eq!(api.get("/api/v1/kinds/fly/schema", &viewer).await.expect(404).problem(), "not-found");
    api.process.stop().await;
}
