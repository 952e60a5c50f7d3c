//! `deliver_webhook`: what may be called, by whom, and what becomes of a job that may not.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use flota_providers::webhook::{Scheme, SigningKey, SigningSecret, verify};
use flota_tests::{program::Installation, servers};
use flota_worker::{
    dev::{WebhookAnswer, WebhookSink},
    endpoints::{self, NewEndpoint},
    vault::Vault,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{PATIENCE, cause_of_death};

fn event(endpoint: &str) -> Value {
    json!({ "endpoint": endpoint, "event": "order.paid", "data": { "order": 42 } })
}

/// Enqueues an event that must die. Answers its job.
async fn dead(flota: &Installation, payload: &Value, options: &[&str]) -> Value {
    let payload = payload.to_string();
    let enqueue = [&["enqueue", "deliver_webhook", "--wait", "--data", &payload], options].concat();
    flota.flota(&enqueue).await.expect(1).json()
}

/// Counts the connections that somebody opens to it.
struct Door {
    port: u16,
    opened: Arc<AtomicUsize>,
}

impl Door {
    async fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let opened = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&opened);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { port, opened }
    }
}

/// Names of this machine that resolve to loopback and nothing else: `localhost` everywhere, and whatever else the
/// hosts file has.
async fn loopback_names() -> Vec<String> {
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let in_file = hosts.lines().filter_map(|line| line.split('#').next()).flat_map(|line| {
        let mut words = line.split_whitespace();
        let is_loopback =
            words.next().is_some_and(|word| word.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()));
        words.filter(move |_| is_loopback)
    });
    let mut candidates: Vec<&str> = in_file.chain(["localhost"]).collect();
    candidates.sort_unstable();
    candidates.dedup();
    let mut names = Vec::new();
    for name in candidates {
        let Ok(addresses) = tokio::net::lookup_host((name, 443)).await else { continue };
        if addresses.into_iter().all(|address| address.ip().is_loopback()) {
            names.push(name.to_owned());
        }
    }
    names
}

#[tokio::test]
async fn an_event_is_delivered_signed_with_the_secret_of_its_endpoint() {
    let (mut flota, sink) = (Installation::new().await, WebhookSink::start().await.unwrap());
    flota.webhooks_inside().make_keys().await;
    let add = ["endpoint", "add", "--tenant", "acme", "--url", &sink.url("/hook?x=1")];
    let endpoint = flota.flota(&add).await.expect(0).json();
    let worker = flota.start(&["worker"]).await;

    let payload = event(endpoint["id"].as_str().unwrap());
    let id = flota.enqueue("deliver_webhook", &payload, &["--tenant", "acme", "--wait"]).await;

    let request = sink.received().pop().unwrap();
    let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
    assert_eq!((request.query.as_deref(), header("webhook-id")), (Some("x=1"), id.clone()));
    let secret = SigningSecret::parse(endpoint["secret"].as_str().unwrap()).unwrap();
    let sent_at: i64 = header("webhook-timestamp").parse().unwrap();
    verify(
        &[secret],
        &id,
        &header("webhook-timestamp"),
        &header("webhook-signature"),
        &request.body,
        sent_at,
    )
    .unwrap();
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!((&body["type"], &body["data"]), (&json!("order.paid"), &json!({ "order": 42 })));
    assert_eq!(flota.job(&id).await["outcome"]["provider_ref"], id);
    worker.stop().await;
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_never_called() {
    let mut flota = Installation::new().await;
    flota.make_keys().await;
    // `endpoint add` cannot know what a name will resolve to, and refuses ports such as these; whoever writes the
    // table by other means gets as far as the worker.
    let vault = Vault::parse(&flota.variable("FLOTA_ENCRYPTION_KEYS").to_owned().into()).unwrap();
    let pool = flota.pool();
    let (door, key) = (Door::open().await, SigningKey::generate(Scheme::V1).unwrap());
    let worker = flota.start(&["worker"]).await;
    let names = loopback_names().await;
    assert!(names.iter().any(|name| name == "localhost"), "every machine has this name: {names:?}");

    for name in names {
        for authority in [name.clone(), format!("{name}:8443"), format!("{name}:{}", door.port)] {
            let url = format!("https://{authority}/hook");
            let new =
                NewEndpoint { tenant: None, url: &url, description: None, key: &key, max_concurrent: None };
            let endpoint = endpoints::add(&pool, &vault, "test", &new).await.unwrap();
            let job = dead(&flota, &event(&endpoint), &[]).await;

            let (class, error) = cause_of_death(&job);
            assert_eq!((class, &job["outcome"]["code"]), ("permanent", &json!("address_refused")), "{url}");
            assert!(error.contains(&format!("The host {name} has an address that is not public")), "{error}");
            assert!(error.contains("nothing was sent; use a public host, or allow its network"), "{error}");
        }
    }
    assert_eq!(door.opened.load(Ordering::SeqCst), 0);
    worker.stop().await;
}

#[tokio::test]
async fn addresses_that_are_not_public_are_refused_in_every_spelling() {
    let mut flota = Installation::new().await;
    flota.make_keys().await;
    let hosts = [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::7f00:1]",
        "[fd00::1]",
        "[fe80::1]",
    ];

    for host in hosts {
        let url = format!("https://{host}/hook");
        let add = flota.flota(&["endpoint", "add", "--url", &url]).await.expect(2);
        let payload = json!({ "url": url, "event": "order.paid", "data": 1 }).to_string();
        let enqueue = flota.flota(&["enqueue", "deliver_webhook", "--data", &payload]).await.expect(2);

        assert!(add.refusal().contains("points into"), "{add:?}");
        assert!(enqueue.refusal().contains("`url` points into"), "{enqueue:?}");
    }
    assert_eq!(flota.flota(&["endpoint", "list"]).await.expect(0).json(), json!([]));
}

#[tokio::test]
async fn urls_that_no_worker_would_call_are_not_registered() {
    let mut flota = Installation::new().await;
    flota.make_keys().await;
    let cases = [
        ("http://example.com/hook", "does not use https"),
        ("https://example.com:6379/hook", "uses port 6379"),
        ("https://user:secret@example.com/hook", "user name or password"),
        ("https://localhost/hook", "a name of this machine"),
        ("example.com/hook", "not a complete URL"),
    ];

    for (url, reason) in cases {
        let said = flota.flota(&["endpoint", "add", "--url", url]).await.expect(2);
        assert!(said.refusal().contains(reason) && !said.stderr.contains("secret@"), "{said:?}");
    }
    for url in ["http://example.com/hook", "https://localhost/hook", "https://user:secret@example.com/hook"] {
        let payload = json!({ "url": url, "event": "order.paid", "data": 1 }).to_string();
        let said = flota.flota(&["enqueue", "deliver_webhook", "--data", &payload]).await.expect(2);
        assert!(said.refusal().contains("`url`") && !said.stderr.contains("secret@"), "{said:?}");
    }
    // With a network of one's own, plain http on any port may lead into it.
    flota.webhooks_inside().add_endpoint("http://intranet.example:8080/hook", &[]).await;
    // A name that is known to lead elsewhere is a slip.
    flota.set("FLOTA_WEBHOOK_ALLOW_CIDRS", "10.20.0.0/16");
    let elsewhere = ["endpoint", "add", "--url", "http://localhost:8080/hook"];
    let said = flota.flota(&elsewhere).await.expect(2);
    assert!(said.refusal().contains("which is in none of the networks"), "{said:?}");
}

#[tokio::test]
async fn an_endpoint_serves_its_own_tenant_only() {
    let (mut flota, sink) = (Installation::new().await, WebhookSink::start().await.unwrap());
    flota.webhooks_inside().make_keys().await;
    let endpoint = flota.add_endpoint(&sink.url("/hook"), &["--tenant", "acme"]).await;
    let worker = flota.start(&["worker"]).await;

    for options in [&["--tenant", "globex"][..], &[]] {
        let job = dead(&flota, &event(&endpoint), options).await;
        let (class, cause) = cause_of_death(&job);
        let expected = format!("endpoint `{endpoint}` belongs to another tenant; enqueue for its tenant");
        assert!(class == "permanent" && cause.starts_with(&expected), "{class}: {cause}");
    }
    let unknown = dead(&flota, &event("ep_nobody"), &["--tenant", "acme"]).await;
    assert_eq!(cause_of_death(&unknown).1, "no endpoint `ep_nobody`; see `flota endpoint list`");
    flota.enqueue("deliver_webhook", &event(&endpoint), &["--tenant", "acme", "--wait"]).await;
    assert_eq!(sink.received().len(), 1, "its own event alone");
    worker.stop().await;
}

#[tokio::test]
async fn a_disabled_endpoint_is_gone_and_one_that_says_gone_is_disabled() {
    let (mut flota, sink) = (Installation::new().await, WebhookSink::start().await.unwrap());
    flota.webhooks_inside().make_keys().await;
    let disabled = flota.add_endpoint(&sink.url("/disabled"), &[]).await;
    let gone = flota.add_endpoint(&sink.url("/gone"), &[]).await;
    flota.flota(&["endpoint", "disable", &disabled, "--reason", "contract ended"]).await.expect(0);
    sink.answer("/gone", WebhookAnswer::status(410));
    let worker = flota.start(&["worker"]).await;

    let to_disabled = dead(&flota, &event(&disabled), &[]).await;
    let to_gone = dead(&flota, &event(&gone), &[]).await;
    let to_gone_again = dead(&flota, &event(&gone), &[]).await;

    let again = |id: &str| format!("; `flota endpoint enable {id}` starts deliveries again");
    let expected = format!("endpoint `{disabled}` is disabled: contract ended{}", again(&disabled));
    assert_eq!(cause_of_death(&to_disabled), ("gone", expected.as_str()));
    assert_eq!(cause_of_death(&to_gone).0, "gone");
    let expected = format!("endpoint `{gone}` is disabled: it answered 410 Gone{}", again(&gone));
    assert_eq!(cause_of_death(&to_gone_again), ("gone", expected.as_str()));
    assert_eq!(sink.received().len(), 1, "only the one that was answered 410");
    worker.stop().await;
}

#[tokio::test]
async fn a_known_endpoint_is_delivered_to_while_postgres_is_away_and_an_unknown_one_waits() {
    let (mut postgres, database) = servers::own_postgres().await;
    let mut flota = Installation::on(&servers::redis_url().await, &database).await;
    let sink = WebhookSink::start().await.unwrap();
    flota.webhooks_inside().make_keys().await;
    let known = flota.add_endpoint(&sink.url("/known"), &[]).await;
    let unknown = flota.add_endpoint(&sink.url("/unknown"), &[]).await;
    let worker = flota.start(&["worker"]).await;
    flota.enqueue("deliver_webhook", &event(&known), &["--wait"]).await;

    postgres.stop().await.unwrap();
    let to_unknown = flota.enqueue("deliver_webhook", &event(&unknown), &[]).await;
    let to_known = flota.enqueue("deliver_webhook", &event(&known), &[]).await;

    let requests = sink.wait_for(2, PATIENCE).await.unwrap();
    assert_eq!(requests[1].header("webhook-id"), Some(to_known.as_str()));
    let waiting = flota.wait_for(&to_unknown, "delayed").await;
    let reason = waiting["reason"].as_str().unwrap();
    assert!(reason.starts_with("internal: endpoint") && reason.contains("Postgres is away"), "{reason}");
    assert_eq!(waiting["attempt"], 1);
    postgres.start_again().await.unwrap();
    for id in [&to_known, &to_unknown] {
        assert_eq!(flota.wait_for(id, "succeeded").await["attempt"], 1, "nothing was charged");
    }
    assert_eq!(sink.received().len(), 3);
    worker.stop().await;
}
