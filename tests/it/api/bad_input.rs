//! Bad input over HTTP: too large, too deep, too slow, not JSON, or with fields that nobody reads.

use std::time::{Duration, Instant};

use flota_tests::{
    PATIENCE,
    api_server::{ApiServer, answer, token},
    program::Installation,
};
use flota_worker::{open_files, tokens::Role};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

fn mail(change: Value) -> Value {
    let payload = json!({ "to": ["ana@example.com"], "body": { "subject": "Hi", "text": "Hello" } });
    let mut job = json!({ "kind": "send_email", "payload": payload });
    for (name, value) in change.as_object().expect("an object") {
        job[name] = value.clone();
    }
    job
}

#[tokio::test]
async fn a_job_that_is_wrong_is_refused_by_its_field() {
    let flota = Installation::new().await;
    let (api, operator) = (ApiServer::start(&flota).await, token(&flota, Role::Operator, |_| {}).await);

    for (change, pointer) in [
        (json!({ "kind": "fly" }), "/kind"),
        (json!({ "kind": 7 }), "/kind"),
        (json!({ "colour": "red" }), "/colour"),
        (json!({ "queue": "nowhere" }), "/queue"),
        (json!({ "tenant": "a:b" }), "/tenant"),
        (json!({ "key": "" }), "/key"),
        (json!({ "priority": "urgent" }), "/priority"),
        (json!({ "max_attempts": 0 }), "/max_attempts"),
        (json!({ "timeout_ms": 0 }), "/timeout_ms"),
        (json!({ "delay_ms": -1 }), "/delay_ms"),
        (json!({ "delay_ms": 1, "at": "2027-01-01T00:00:00Z" }), "/at"),
        (json!({ "at": "tomorrow" }), "/at"),
        (json!({ "deadline": "1969-12-31T00:00:00Z" }), "/deadline"),
        (json!({ "payload": {} }), "/payload/to"),
        (json!({ "order": "" }), "/order"),
        (json!({ "order": "shop-7", "delay_ms": 1 }), "/order"),
        (json!({ "payload": { "body": { "subject": "Hi" }, "to": [7] } }), "/payload/to/0"),
        (
            json!({ "payload": { "body": { "subject": "Hi" }, "colour": 1, "to": ["ana@example.com"] } }),
            "/payload/colour",
        ),
        (
            json!({ "payload": { "to": ["nobody"], "body": { "subject": "Hi", "text": "x" } } }),
            "/payload/to/0",
        ),
    ] {
        let refused = api.post("/api/v1/jobs", &operator, &mail(change.clone())).await;
        assert_eq!((refused.status, refused.problem()), (422, "invalid"), "{change}: {refused:#?}");
        assert_eq!(refused.json["errors"][0]["pointer"], pointer, "{change}: {refused:#?}");
    }
    let queue = flota.flota(&["queue", "get", "email"]).await.expect(0).json();
    assert_eq!(queue["ready"], 0, "nothing was accepted");
    api.process.stop().await;
}

#[tokio::test]
async fn bodies_that_are_too_large_too_deep_or_no_json_are_refused() {
    let flota = Installation::new().await;
    let (api, operator) = (ApiServer::start(&flota).await, token(&flota, Role::Operator, |_| {}).await);
    let send = |kind: &'static str, body: String| {
        let request = api.request("POST", "/api/v1/jobs", Some(&operator));
        async move { answer(request.header("content-type", kind).body(body)).await }
    };
    let deep = |depth: usize| {
        let nested = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"kind":"send_email","payload":{nested}}}"#)
    };
    let large_payload = mail(json!({ "meta": { "x": "y".repeat(100_000) } }));

    let json = "application/json";
    assert_eq!(send(json, "x".repeat(200_000)).await.expect(413).problem(), "too-large");
    assert_eq!(send(json, large_payload.to_string()).await.expect(413).problem(), "too-large");
    assert_eq!(send(json, deep(65)).await.expect(400).problem(), "malformed");
    assert_eq!(send(json, deep(50_000)).await.expect(400).problem(), "malformed");
    assert_eq!(send(json, "{".to_owned()).await.expect(400).problem(), "malformed");
    assert_eq!(send("text/plain", mail(json!({})).to_string()).await.expect(415).problem(), "not-json");
    let nothing = answer(api.request("POST", "/api/v1/jobs", Some(&operator))).await.expect(415);
    assert!(nothing.json["detail"].as_str().unwrap().contains("takes a JSON body: send one"), "{nothing:#?}");
    let without_length = reqwest::Body::wrap_stream(futures_util::stream::iter(
        (0..40).map(|_| Ok::<_, std::io::Error>(vec![b' '; 8_192])),
    ));
    let chunked = api.request("POST", "/api/v1/jobs", Some(&operator)).header("content-type", json);
    assert_eq!(answer(chunked.body(without_length)).await.expect(413).problem(), "too-large");
    api.process.stop().await;
}

#[tokio::test]
async fn a_thousand_slow_clients_are_let_go_and_keep_nobody_waiting() {
    // Both this process and the server have a thousand connections, and others beside them.
    open_files::raise_limit();
    let flota = Installation::new().await;
    let (api, viewer) = (ApiServer::start(&flota).await, token(&flota, Role::Viewer, |_| {}).await);
    let address = api.address.strip_prefix("http://").unwrap().to_owned();
    let slow = (0..1_000).map(|_| async {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"GET /api/v1/kinds HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
        stream
    });
    let slow = join_all(slow).await;

    let began = Instant::now();
    api.get("/api/v1/kinds", &viewer).await.expect(200);
    let answered = began.elapsed();
    let ended = slow.into_iter().map(|mut stream| async move {
        let mut said = Vec::new();
        // A reset is an end, too.
        timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("it is let go").ok();
    });
    join_all(ended).await;

    // Half a second is meant; the rest is for a busy machine.
    assert!(answered < Duration::from_secs(30), "{answered:?}");
    api.get("/api/v1/kinds", &viewer).await.expect(200);
    api.process.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let flota = Installation::new().await;
    let (api, operator) = (ApiServer::start(&flota).await, token(&flota, Role::Operator, |_| {}).await);
    let mut stream = TcpStream::connect(api.address.strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!(
        "POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {operator}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );

    stream.write_all(head.as_bytes()).await.unwrap();
    let mut said = vec![0; 12];
    timeout(PATIENCE, stream.read_exact(&mut said)).await.expect("an answer").unwrap();

    assert_eq!(String::from_utf8_lossy(&said), "HTTP/1.1 408");
    api.process.stop().await;
}

#[tokio::test]
async fn large_bodies_beyond_sixteen_are_refused_and_small_ones_are_not() {
    let flota = Installation::new().await;
    let (api, operator) = (ApiServer::start(&flota).await, token(&flota, Role::Operator, |_| {}).await);
    let slow = slow_senders_of_large_bodies(&api, &operator);
    let large = json!({ "jobs": [mail(json!({}))], "padding": "x".repeat(200_000) });
    let ask = async || api.post("/api/v1/jobs:batch", &operator, &large).await;

    let began = Instant::now();
    let mut refused = ask().await;
    // Until all of them have been met.
    while refused.status != 503 && began.elapsed() < PATIENCE {
        refused = ask().await;
    }
    let small = json!({ "jobs": [mail(json!({}))] });
    let small = api.post("/api/v1/jobs:batch", &operator, &small).await;
    drop(slow);

    assert_eq!((refused.expect(503).header("retry-after"), small.status), ("2", 200));
    api.process.stop().await;
}

#[tokio::test]
async fn whoever_is_refused_while_sending_gets_to_the_answer() {
    let flota = Installation::new().await;
    let (api, viewer) = (ApiServer::start(&flota).await, token(&flota, Role::Viewer, |_| {}).await);
    let operator = token(&flota, Role::Operator, |_| {}).await;
    let large = "x".repeat(6_000_000);
    let send = async |path: &'static str, token: &str| {
        answer(api.request("POST", path, Some(token)).body(large.clone())).await.status
    };

    for _ in 0..5 {
        assert_eq!(send("/api/v1/jobs:batch", "flota_nobody").await, 401);
        assert_eq!(send("/api/v1/jobs:batch", &viewer).await, 403);
        assert_eq!(send("/api/v1/jobs:batch", &operator).await, 415);
        assert_eq!(send("/api/v1/nothing", &operator).await, 404);
    }
    api.process.stop().await;
}

/// Clients that announce a large body and do not send it, each at once again when it is refused or let go.
fn slow_senders_of_large_bodies(api: &ApiServer, token: &str) -> JoinSet<()> {
    let address = api.address.strip_prefix("http://").expect("an address").to_owned();
    let head = format!(
        "POST /api/v1/jobs:batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{{"
    );
    let slow = (0..16).map(|_| {
        let (address, head) = (address.clone(), head.clone());
        async move {
            loop {
                let mut stream = TcpStream::connect(&address).await.expect("flota serve listens");
                stream.write_all(head.as_bytes()).await.ok();
                // Whatever is answered, it is a place that this one does not have.
                stream.read_exact(&mut [0]).await.ok();
            }
        }
    });
    slow.collect()
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let flota = Installation::new().await;
    let (api, viewer) = (ApiServer::start(&flota).await, token(&flota, Role::Viewer, |_| {}).await);

    let long = api.request("GET", "/api/v1/kinds", Some(&viewer)).header("x-long", "y".repeat(20_000));
    let many = (0..80).fold(api.request("GET", "/api/v1/kinds", Some(&viewer)), |request, n| {
        request.header(format!("x-{n}"), "y")
    });

    assert_eq!((answer(long).await.status, answer(many).await.status), (431, 431));
    api.process.stop().await;
}
