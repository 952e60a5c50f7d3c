//! Registered endpoints over time: secrets that change, endpoints that are slow, overloaded, given up and taken back.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, http::StatusCode, routing::post};
use flota_providers::webhook::{SigningSecret, verify, verify_public};
use flota_tests::{fleet::eventually, program::Installation};
use flota_worker::dev::{ReceivedRequest, WebhookAnswer, WebhookSink};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{PATIENCE, cause_of_death};

fn event(endpoint: &str) -> Value {
    json!({ "endpoint": endpoint, "event": "order.paid", "data": { "order": 42 } })
}

async fn set() -> (Installation, WebhookSink) {
    let (mut flota, sink) = (Installation::new().await, WebhookSink::start().await.expect("a receiver"));
    flota.webhooks_inside().make_keys().await;
    (flota, sink)
}

/// The signatures of a request, each with its scheme.
fn schemes(request: &ReceivedRequest) -> Vec<String> {
    let header = request.header("webhook-signature").unwrap_or_default();
    header.split(' ').map(|one| one.split(',').next().unwrap_or_default().to_owned()).collect()
}

/// Whether what the receiver was given (a secret or a public key) verifies the request.
fn holds(request: &ReceivedRequest, given: &str) -> bool {
    let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let (signatures, now) = (header("webhook-signature"), timestamp.parse().expect("a timestamp"));
    match SigningSecret::parse(given) {
        Ok(secret) => verify(&[secret], &id, &timestamp, &signatures, &request.body, now).is_ok(),
        Err(_) => verify_public(given, &id, &timestamp, &signatures, &request.body, now).is_ok(),
    }
}

#[tokio::test]
async fn a_rotated_secret_signs_first_and_the_old_one_until_the_overlap_ends() {
    let (flota, sink) = set().await;
    let add = ["endpoint", "add", "--url", &sink.url("/hook")];
    let added = flota.flota(&add).await.expect(0).json();
    let id = added["id"].as_str().unwrap().to_owned();

    let rotated = flota.flota(&["endpoint", "rotate", &id, "--overlap", "1h"]).await.expect(0).json();
    let worker = flota.start(&["worker"]).await;
    flota.enqueue("deliver_webhook", &event(&id), &["--wait"]).await;
    worker.stop().await;
    let pair = ["endpoint", "rotate", &id, "--overlap", "0s", "--signature", "v1a"];
    let pair = flota.flota(&pair).await.expect(0).json();
    let worker = flota.start(&["worker"]).await;
    flota.enqueue("deliver_webhook", &event(&id), &["--wait"]).await;

    let [during, after] = [0, 1].map(|n| sink.received()[n].clone());
    let [old, new, public] =
        [&added["secret"], &rotated["secret"], &pair["public_key"]].map(|given| given.as_str().unwrap());
    assert_eq!(
        (schemes(&during), holds(&during, old), holds(&during, new)),
        (words(&["v1", "v1"]), true, true)
    );
    // Without an overlap the second secret stopped at once; the first one's hour goes on.
    assert_eq!(schemes(&after), words(&["v1a", "v1"]));
    assert_eq!([public, old, new].map(|given| holds(&after, given)), [true, true, false]);
    assert!(public.starts_with("whpk_") && pair.get("secret").is_none(), "{pair}");
    worker.stop().await;
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[tokio::test]
async fn what_is_shown_of_an_endpoint_holds_no_secret_and_every_deed_is_in_the_audit_log() {
    let (flota, sink) = set().await;
    let private = "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let add = ["endpoint", "add", "--url", &sink.url("/hook"), "--max-concurrent", "4", "--secret-stdin"];
    let added = flota.flota_reading(private, &add).await.expect(0);
    let id = added.json()["id"].as_str().unwrap().to_owned();
    let rotated = flota.flota(&["endpoint", "rotate", &id]).await.expect(0).json();
    flota.flota(&["endpoint", "disable", &id, "--reason", "a pause"]).await.expect(0);
    let again = ["endpoint", "disable", &id, "--reason", "another", "-o", "table"];
    let again = flota.flota(&again).await.expect(0).stdout;
    let shown = flota.flota(&["endpoint", "show", &id]).await.expect(0).json();
    flota.flota(&["endpoint", "enable", &id]).await.expect(0);
    let listed = flota.flota(&["endpoint", "list", "-o", "table"]).await.expect(0);
    let in_full = flota.flota(&["endpoint", "show", &id, "-o", "table"]).await.expect(0);

    assert_eq!(added.json()["public_key"], "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=");
    assert!(rotated["public_key"].is_string(), "a rotation keeps the scheme: {rotated}");
    let facts = ["signature", "max_concurrent", "disabled", "failures"].map(|name| &shown[name]);
    assert_eq!(facts, [&json!("v1a"), &json!(4), &json!("a pause"), &json!(0)]);
    assert!(shown["rotated_at"].is_string() && shown["old_secret_until"].is_string(), "{shown}");
    assert!(in_full.stdout.contains("state             open"), "{in_full:?}");
    assert!(again.contains("was disabled before, and that reason stays: a pause"), "{again}");
    for said in [&added.stdout, &listed.stdout, &in_full.stdout, &shown.to_string(), &rotated.to_string()] {
        assert!(!said.contains("AAECAwQF") && !said.contains("whsk_"), "{said}");
    }
    let deeds: Vec<String> =
        sqlx::query_scalar("SELECT action FROM audit_log WHERE subject = $1 ORDER BY id")
            .bind(&id)
            .fetch_all(&flota.pool())
            .await
            .unwrap();
    let disabled_twice = ["endpoint.disable", "endpoint.disable"];
    assert_eq!(
        deeds,
        [&["endpoint.add", "endpoint.rotate"], &disabled_twice[..], &["endpoint.enable"]].concat()
    );
}

#[tokio::test]
async fn what_cannot_be_done_to_an_endpoint_says_why() {
    let (flota, sink) = set().await;
    let id = flota.add_endpoint(&sink.url("/hook"), &[]).await;
    for deed in ["show", "rotate", "disable", "enable"] {
        let said = flota.flota(&["endpoint", deed, "ep_nobody"]).await.expect(3);
        assert!(
            said.refusal().contains("there is no endpoint `ep_nobody`; see `flota endpoint list`"),
            "{said:?}"
        );
    }
    let long = flota.flota(&["endpoint", "rotate", &id, "--overlap", "31days"]).await.expect(2);
    assert!(long.refusal().contains("longer than 30 days"), "{long:?}");
    for (text, reason) in [("whsec_AAAA", "holds 3 bytes"), ("whsk_AAAA", "64 with its own public key")] {
        let rotate = ["endpoint", "rotate", &id, "--secret-stdin"];
        let said = flota.flota_reading(text, &rotate).await.expect(2);
        assert!(said.refusal().contains(reason) && !said.stderr.contains("AAAA"), "{said:?}");
    }
    flota.flota(&["endpoint", "add", "--url", &sink.url("/x"), "--max-concurrent", "0"]).await.expect(2);
    let audited: i64 =
        sqlx::query_scalar("SELECT count(*) FROM audit_log").fetch_one(&flota.pool()).await.unwrap();
    assert_eq!(audited, 1, "only the one that was added");
    let none = flota.flota(&["endpoint", "rotate", &id, "--overlap", "0s", "-o", "table"]).await.expect(0);
    assert!(none.stdout.contains("from then on the old one signs nothing"), "{none:?}");
}

#[tokio::test]
async fn every_answer_is_kept_without_what_is_secret_in_it() {
    let (flota, sink) = set().await;
    let id = flota.add_endpoint(&sink.url("/hook"), &[]).await;
    let respond =
        |status, body: &str| WebhookAnswer::Respond { status, headers: Vec::new(), body: body.to_owned() };
    sink.answer("/hook", respond(500, r#"{"error":"no seat","token":"t0k3n"}"#));
    for _ in 0..2 {
        sink.answer("/hook", respond(422, "Authorization: Bearer c4nary-abc\nno such order"));
    }
    let worker = flota.start(&["worker"]).await;

    let payload = event(&id).to_string();
    let enqueue = ["enqueue", "deliver_webhook", "--wait", "--data", &payload];
    let job = flota.flota(&enqueue).await.expect(1).json();

    let results: Vec<&Value> =
        job["attempts"].as_array().unwrap().iter().map(|attempt| &attempt["result"]).collect();
    let kept = |n: usize| (&results[n]["status"], &results[n]["body"]);
    assert_eq!(kept(0), (&json!(500), &json!(r#"{"error":"no seat","token":"[redacted]"}"#)));
    assert_eq!(kept(1), (&json!(422), &json!("Authorization: [redacted] no such order")));
    assert!(results.iter().all(|result| result["duration_ms"].is_u64()), "{job:#}");
    assert_eq!((results.len(), &job["outcome"]["result"]), (3, results[2]), "a refusal is tried again too");
    assert!(!format!("{job} {}", worker.log()).contains("c4nary"), "{}", worker.log());
    worker.stop().await;
}

#[tokio::test]
async fn an_endpoint_behind_an_overloaded_gateway_is_left_alone_as_a_whole_and_others_are_not() {
    let (flota, sink) = set().await;
    let slow = flota.add_endpoint(&sink.url("/slow"), &[]).await;
    let other = flota.add_endpoint(&sink.url("/other"), &[]).await;
    // Far longer than what happens meanwhile takes, however busy the machine is.
    let asked = Duration::from_mins(30);
    sink.answer("/slow", WebhookAnswer::retry_after(502, asked));
    let worker = flota.start(&["worker"]).await;
    let before_refusal = Instant::now();
    let first = flota.enqueue("deliver_webhook", &event(&slow), &[]).await;
    sink.wait_for(1, PATIENCE).await.unwrap();
    flota.wait_for(&first, "delayed").await;

    let second = flota.enqueue("deliver_webhook", &event(&slow), &[]).await;
    flota.enqueue("deliver_webhook", &event(&other), &["--wait"]).await;
    let waiting = flota.wait_for(&second, "delayed").await;
    let left = Duration::from_millis(waiting["due_in_ms"].as_u64().unwrap());
    let passed = before_refusal.elapsed();

    let reason = waiting["reason"].as_str().unwrap();
    assert!(reason.starts_with("rate_limited") && reason.contains("nothing was sent"), "{reason}");
    assert_eq!(waiting["attempt"], 1, "waiting is not charged");
    assert!(asked <= left + passed, "it asked for {asked:?}: {left:?} after {passed:?}");
    let paths: Vec<_> = sink.received().iter().map(|request| request.path.clone()).collect();
    assert_eq!(paths, ["/slow", "/other"]);
    flota.end_waits_of_providers().await;
    flota.make_due("webhook").await;
    assert_eq!(flota.wait_for(&first, "succeeded").await["attempt"], 2, "a 502 is charged");
    assert_eq!(flota.wait_for(&second, "succeeded").await["attempt"], 1);
    worker.stop().await;
}

/// Answers late, and knows how many requests it was answering at once at most.
struct Narrow {
    address: SocketAddr,
    highest: Arc<AtomicU32>,
    taken: Arc<AtomicU32>,
}

impl Narrow {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let (now, highest, taken) = <(Arc<AtomicU32>, Arc<AtomicU32>, Arc<AtomicU32>)>::default();
        let counters = (now, Arc::clone(&highest), Arc::clone(&taken));
        let answer = move || {
            let (now, highest, taken) = counters.clone();
            async move {
                highest.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(100)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                taken.fetch_add(1, Ordering::SeqCst);
                StatusCode::OK
            }
        };
        let router = Router::new().route("/hook", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, highest, taken }
    }
}

#[tokio::test]
async fn an_endpoint_with_a_cap_never_gets_more_at_once_from_all_workers_together() {
    let (flota, _sink) = set().await;
    let narrow = Narrow::open().await;
    let url = format!("http://{}/hook", narrow.address);
    let endpoint = flota.add_endpoint(&url, &["--max-concurrent", "2"]).await;
    let workers = [flota.start(&["worker"]).await, flota.start(&["worker"]).await];

    let mut jobs = Vec::new();
    for _ in 0..12 {
        jobs.push(flota.enqueue("deliver_webhook", &event(&endpoint), &[]).await);
    }

    for id in &jobs {
        assert_eq!(flota.wait_for(id, "succeeded").await["attempt"], 1, "waiting for a place is not charged");
    }
    assert_eq!(narrow.taken.load(Ordering::SeqCst), 12);
    assert!(narrow.highest.load(Ordering::SeqCst) <= 2);
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test]
async fn an_endpoint_that_is_enabled_again_gets_its_buried_events_by_a_replay() {
    let (flota, sink) = set().await;
    let id = flota.add_endpoint(&sink.url("/hook"), &[]).await;
    flota.flota(&["endpoint", "disable", &id, "--reason", "moving house"]).await.expect(0);
    let worker = flota.start(&["worker"]).await;
    let payload = event(&id).to_string();
    let enqueue = ["enqueue", "deliver_webhook", "--wait", "--data", &payload];
    let dead = flota.flota(&enqueue).await.expect(1).json();
    assert_eq!(cause_of_death(&dead).0, "gone");
    worker.stop().await;

    flota.flota(&["endpoint", "enable", &id]).await.expect(0);
    let worker = flota.start(&["worker"]).await;
    flota.flota(&["dead", "replay", &format!("payload.endpoint={id}"), "--yes"]).await.expect(0);

    let requests = sink.wait_for(1, PATIENCE).await.unwrap();
    let body: Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!(body["data"], json!({ "order": 42 }));
    worker.stop().await;
}

/// Seconds until each next try, as the worker told them.
fn told_delays(log: &str) -> Vec<f64> {
    let told = log.split("trying again in ").skip(1);
    told.filter_map(|rest| rest.split_once("s:")?.0.parse().ok()).collect()
}

#[tokio::test]
async fn a_delivery_is_repeated_after_the_plan_of_standard_webhooks_and_then_buried() {
    let (mut flota, sink) = set().await;
    flota.unset("FLOTA_QUEUES_FILE");
    let url = sink.url("/hook");
    let id = flota.add_endpoint(&url, &[]).await;
    for _ in 0..10 {
        sink.answer("/hook", WebhookAnswer::status(500));
    }
    let worker = flota.start(&["worker", "--queue", "webhook"]).await;

    let job = flota.enqueue("deliver_webhook", &event(&id), &[]).await;
    for arrived in 1..10 {
        // Told before it is in Redis, so that once may be too early.
        eventually(PATIENCE, "the next one arrives", async || {
            if told_delays(&worker.log()).len() == arrived {
                flota.make_due("webhook").await;
            }
            arrived < sink.received().len()
        })
        .await;
    }
    let dead = flota.wait_for(&job, "dead").await;

    let delays = told_delays(&worker.log());
    let plan = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400].map(f64::from);
    for (delay, planned) in delays.iter().zip(plan) {
        // Up to a fifth more, and told with one digit.
        assert!(planned - 0.1 <= *delay && *delay <= planned * 1.2 + 0.1, "{delays:?}");
    }
    assert_eq!((delays.len(), &dead["attempt"]), (9, &json!(10)));
    let ids: Vec<_> =
        sink.received().iter().map(|got| got.header("webhook-id").unwrap().to_owned()).collect();
    assert!(ids.len() == 10 && ids.iter().all(|one| *one == job), "{ids:?}");
    worker.stop().await;
}
