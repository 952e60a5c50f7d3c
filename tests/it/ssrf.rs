//! Webhooks never reach what is not public: hundreds of hostile URLs, as a job is enqueued and as a worker dials.
//!
//! What can be known from the text alone is refused when a job is enqueued and again at the dial; what a name resolves to
//! is judged at the dial, for the very addresses that are dialled. Redirects are not followed
//! (`webhook_delivery.rs` of the providers), and nothing is connected to (`webhook_guard.rs` there).

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use flota_producer::payloads::check_public_url;
use flota_providers::{
    ErrorClass,
    outbound::OutboundSettings,
    webhook::{Delivery, HostResolver, RefusedBecause, UrlRules, WebhookClient, check_url},
};
use flota_tests::hostile::urls::{HOSTS, NAMES, NOT_DIALLED, PUBLIC, URLS};
use flota_worker::services;
use futures_util::future::BoxFuture;

/// As a worker without private networks of its own has it.
fn guard() -> impl Fn(IpAddr) -> bool + Send + Sync {
    services::guard(Vec::new(), true)
}

/// Whether a worker would refuse it before it asks a name server.
fn dial_refusal(url: &str) -> Option<RefusedBecause> {
    check_url(url, &UrlRules::default(), &guard()).err().map(|refusal| refusal.because)
}

#[test]
fn hostile_urls_are_refused_when_a_job_is_enqueued_and_when_a_worker_dials() {
    let from_hosts = HOSTS.iter().map(|host| format!("https://{host}/hook"));
    let all: Vec<String> = from_hosts.chain(URLS.iter().map(|url| (*url).to_owned())).collect();
    assert!(200 <= all.len(), "only {}", all.len());

    let at_enqueue: Vec<&String> = all.iter().filter(|url| check_public_url(url).is_ok()).collect();
    // Names are judged by what they resolve to, which the hosts file and no text decides.
    let has_address =
        |url: &&String| !check_public_url(url).is_err_and(|why| why.contains("a name of this machine"));
    let at_dial: Vec<&String> =
        all.iter().filter(has_address).filter(|url| dial_refusal(url).is_none()).collect();

    assert_eq!((at_enqueue, at_dial), (Vec::new(), Vec::new()), "accepted at enqueue, at the dial");
}

#[test]
fn ordinary_urls_pass_at_both_places() {
    assert!(20 <= PUBLIC.len());
    for url in PUBLIC {
        assert!(check_public_url(url).is_ok(), "{url}: {:?}", check_public_url(url));
        assert_eq!(dial_refusal(url), None, "{url}");
    }
}

#[test]
fn ports_of_other_services_are_refused_at_the_dial() {
    for (url, port) in NOT_DIALLED {
        assert!(check_public_url(url).is_ok(), "{url}");
        assert_eq!(dial_refusal(url), Some(RefusedBecause::Port(*port)), "{url}");
    }
}

/// A name server that says of each name what the table says; of a name with several answers one after the other.
struct Hostile {
    answers: HashMap<String, Vec<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl HostResolver for Hostile {
    fn resolve(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        let found = self.answers.get(&host).map(|answers| answers[turn.min(answers.len() - 1)].clone());
        Box::pin(async move { found.ok_or_else(|| io::Error::other("no such name")) })
    }
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().expect("an address")).collect()
}

/// The code of the error with which a delivery to this name fails.
async fn dialled(client: &WebhookClient, name: &str) -> (ErrorClass, Option<String>) {
    let delivery = Delivery {
        id: "msg_1".to_owned(),
        url: format!("https://{name}/hook"),
        keys: Vec::new(),
        body: "{}".into(),
        extra_headers: Vec::new(),
    };
    let error = client.deliver(&delivery, 0).await.expect_err("nobody is there");
    (error.class, error.code.map(Into::into))
}

fn client(resolver: Hostile) -> WebhookClient {
    let settings = OutboundSettings {
        resolver: Arc::new(resolver),
        connect_timeout: std::time::Duration::from_millis(100),
        ..OutboundSettings::new(Arc::new(guard()))
    };
    WebhookClient::new(settings).expect("settings that work")
}

#[tokio::test]
async fn names_that_lead_inside_pass_as_text_and_are_refused_at_the_dial() {
    for (name, answer) in NAMES {
        let url = format!("https://{name}/hook");
        let host = url::Url::parse(&url).unwrap().host_str().unwrap().to_owned();
        let answers = HashMap::from([(host, vec![addresses(answer)])]);

        let (class, code) = dialled(&client(Hostile { answers, asked: AtomicUsize::new(0) }), name).await;

        assert!(check_public_url(&url).is_ok(), "the text of {name} is ordinary");
        assert_eq!((class, code.as_deref()), (ErrorClass::Permanent, Some("address_refused")), "{name}");
    }
}

#[tokio::test]
async fn a_name_that_turns_inside_between_two_deliveries_is_judged_at_each_dial() {
    // Of a network that routers drop, yet the guard takes for public: the first dial leads nowhere.
    let rounds = [["11.255.255.1"], ["127.0.0.1"]].map(|round| addresses(&round));
    let answers = HashMap::from([("rebind.example".to_owned(), rounds.to_vec())]);
    let client = client(Hostile { answers, asked: AtomicUsize::new(0) });

    let first = dialled(&client, "rebind.example").await;
    let second = dialled(&client, "rebind.example").await;

    assert_ne!(first.1.as_deref(), Some("address_refused"));
    assert_eq!(second, (ErrorClass::Permanent, Some("address_refused".to_owned())));
}
