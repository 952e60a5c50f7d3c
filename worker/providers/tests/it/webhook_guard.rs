//! No connection reaches an address that the guard does not allow, whatever the name server says.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use flota_providers::{
    ErrorClass,
    outbound::OutboundSettings,
    webhook::{HostResolver, SystemResolver, UrlRules, WebhookClient},
};
use futures_util::future::BoxFuture;

use crate::{
    receiver::{RudeServer, Rudeness},
    webhook_delivery::delivery,
};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Of a network that is reserved for documentation, so nobody answers; our guard below takes it for public.
const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));

/// A name server that gives its answers in turn and repeats the last.
struct HostileResolver {
    answers: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl HostResolver for HostileResolver {
    fn resolve(&self, _host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst).min(self.answers.len() - 1);
        let answer = self.answers[turn].clone();
        Box::pin(async move { Ok(answer) })
    }
}

fn client(resolver: Arc<dyn HostResolver>) -> WebhookClient {
    WebhookClient::new(OutboundSettings {
        rules: UrlRules { allow_http: true, allowed_ports: None },
        resolver,
        connect_timeout: Duration::from_millis(200),
        timeout: Duration::from_secs(5),
        ..OutboundSettings::new(Arc::new(|address: IpAddr| address == PUBLIC))
    })
    .unwrap()
}

fn hostile(answers: &[&[IpAddr]]) -> Arc<HostileResolver> {
    let answers = answers.iter().map(|answer| answer.to_vec()).collect();
    Arc::new(HostileResolver { answers, asked: AtomicUsize::new(0) })
}

#[tokio::test]
async fn a_name_with_any_forbidden_address_is_refused_without_a_connection() {
    let server = RudeServer::start(Rudeness::Hang).await;
    let url = format!("http://rebind.example:{}/", server.address.port());
    let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    let many: Vec<IpAddr> = std::iter::repeat_n(PUBLIC, 100).chain([LOOPBACK]).collect();
    let answers: [&[IpAddr]; 7] = [
        &[LOOPBACK],
        &[PUBLIC, LOOPBACK],
        &[LOOPBACK, PUBLIC],
        &[IpAddr::V6(Ipv6Addr::LOCALHOST)],
        &[mapped],
        &[IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
        &many,
    ];

    for answer in answers {
        let error = client(hostile(&[answer])).deliver(&delivery(url.clone()), 0).await.unwrap_err();

        assert_eq!(
            (error.class, error.code.as_deref()),
            (ErrorClass::Permanent, Some("address_refused")),
            "{answer:?}"
        );
        assert!(error.message.contains("rebind.example"), "{error}");
        assert!(
            !error.message.contains("127.0.0.1"),
            "what a name resolves to is nobody's business: {error}"
        );
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_that_turns_from_public_to_private_is_judged_again_on_every_dial() {
    let server = RudeServer::start(Rudeness::Hang).await;
    let url = format!("http://rebind.example:{}/", server.address.port());
    let resolver = hostile(&[&[PUBLIC], &[LOOPBACK]]);
    let client = client(Arc::clone(&resolver) as Arc<dyn HostResolver>);

    let first = client.deliver(&delivery(url.clone()), 0).await.unwrap_err();
    let asked_for_the_first = resolver.asked.load(Ordering::SeqCst);
    let second = client.deliver(&delivery(url), 0).await.unwrap_err();

    assert!(matches!(first.class, ErrorClass::Timeout | ErrorClass::Network), "{first}");
    assert_eq!(asked_for_the_first, 1, "one delivery resolves once and dials what was judged");
    assert_eq!(second.code.as_deref(), Some("address_refused"));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn localhost_of_the_hosts_file_is_refused() {
    let server = RudeServer::start(Rudeness::Hang).await;
    let client = client(Arc::new(SystemResolver));

    for host in ["localhost", "LOCALHOST"] {
        let url = format!("http://{host}:{}/", server.address.port());
        let error = client.deliver(&delivery(url), 0).await.unwrap_err();

        assert_eq!(error.code.as_deref(), Some("address_refused"), "for {host}: {error}");
    }
    // Not every resolver knows the name with a dot at its end; either way nothing may be dialled.
    let with_dot = format!("http://localhost.:{}/", server.address.port());
    assert!(client.deliver(&delivery(with_dot), 0).await.is_err());
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn an_address_instead_of_a_name_is_refused_however_it_is_written() {
    let server = RudeServer::start(Rudeness::Hang).await;
    let client = client(Arc::new(SystemResolver));

    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ] {
        let url = format!("http://{host}:{}/", server.address.port());
        let error = client.deliver(&delivery(url), 0).await.unwrap_err();

        assert_eq!(error.code.as_deref(), Some("address_refused"), "for {host}: {error}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_without_addresses_is_a_network_error() {
    let error =
        client(hostile(&[&[]])).deliver(&delivery("http://empty.example/".to_owned()), 0).await.unwrap_err();

    assert_eq!(error.class, ErrorClass::Network, "{error}");
}
