//! Delivering webhooks: what the receiver gets, and what each answer is called.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use flota_providers::{
    ErrorClass, ProviderError, Receipt,
    outbound::OutboundSettings,
    webhook::{
        Delivery, HostResolver, SigningKey, SigningPair, SigningSecret, UrlRules, WebhookClient, verify,
        verify_public,
    },
};
use futures_util::future::BoxFuture;
use secrecy::ExposeSecret;

use crate::{
    receiver::{Answer, Receiver, RudeServer, Rudeness, start_https_once},
    smtp_server::{CA, CERTIFICATE},
};

/// Sun, 06 Nov 1994 08:49:37 GMT.
const NOW: i64 = 784_111_777;

/// Loopback is allowed here, as a demo would, and nothing else.
pub(crate) fn settings() -> OutboundSettings {
    OutboundSettings {
        rules: UrlRules { allow_http: true, allowed_ports: None },
        timeout: Duration::from_secs(5),
        ..OutboundSettings::new(Arc::new(|address: IpAddr| address.is_loopback()))
    }
}

pub(crate) fn delivery(url: String) -> Delivery {
    Delivery {
        id: "msg_0192".to_owned(),
        url,
        keys: vec![secret(1).into()],
        body: Bytes::from_static(b"{\"type\":\"invoice.paid\",\"data\":{\"n\":1}}"),
        extra_headers: Vec::new(),
    }
}

struct NoSuchName;

impl HostResolver for NoSuchName {
    fn resolve(&self, _host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async { Err(io::Error::other("no such name")) })
    }
}

fn secret(byte: u8) -> SigningSecret {
    SigningSecret::from_bytes(vec![byte; 32]).unwrap()
}

async fn deliver(answer: Answer) -> (Receiver, Result<Receipt, ProviderError>) {
    let receiver = Receiver::start(answer).await;
    let client = WebhookClient::new(settings()).unwrap();
    let result = client.deliver(&delivery(receiver.url()), NOW).await;
    (receiver, result)
}

fn answer(status: u16) -> Answer {
    Answer { status, ..Answer::default() }
}

#[tokio::test]
async fn a_delivery_arrives_signed_and_leaves_a_receipt() {
    let body = b"thanks\r\n\x1b[31m".to_vec();

    let (receiver, result) = deliver(Answer { status: 202, body, ..Answer::default() }).await;

    let receipt = result.unwrap();
    let got = &receiver.received()[0];
    let verdict = verify(
        &[secret(1)],
        got.header("webhook-id"),
        got.header("webhook-timestamp"),
        got.header("webhook-signature"),
        &got.body,
        NOW,
    );
    assert_eq!(verdict, Ok(()));
    assert_eq!(got.header("webhook-id"), "msg_0192");
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!(got.header("user-agent"), concat!("Flota/", env!("CARGO_PKG_VERSION")));
    assert_eq!(got.body, delivery(String::new()).body);
    assert_eq!(receipt.provider_ref.as_deref(), Some("msg_0192"));
    assert_eq!(receipt.detail.as_ref(), Some(&kept(202, "thanks  \u{fffd}[31m", receipt.detail.as_ref())));
}

/// What is kept of an answer. How long it took is taken over from `found`.
fn kept(status: u16, body: &str, found: Option<&serde_json::Value>) -> serde_json::Value {
    let took = found.and_then(|found| found["duration_ms"].as_u64()).expect("it says how long it took");
    serde_json::json!({ "status": status, "duration_ms": took, "body": body })
}

#[tokio::test]
async fn a_message_signed_with_old_and_new_keys_of_both_schemes_is_verified_by_every_receiver() {
    let receiver = Receiver::start(answer(200)).await;
    let client = WebhookClient::new(settings()).unwrap();
    let pair = SigningPair::generate().unwrap();
    let keys = vec![SigningKey::Pair(pair.clone()), secret(2).into(), secret(1).into()];

    client.deliver(&Delivery { keys, ..delivery(receiver.url()) }, NOW).await.unwrap();

    let got = &receiver.received()[0];
    let [id, timestamp, signatures] =
        ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| got.header(name));
    let schemes: Vec<&str> = signatures.split(' ').filter_map(|one| Some(one.split_once(',')?.0)).collect();
    assert_eq!(schemes, ["v1a", "v1", "v1"]);
    assert_eq!(verify_public(&pair.public_text(), id, timestamp, signatures, &got.body, NOW), Ok(()));
    for known in [secret(1), secret(2)] {
        assert_eq!(verify(&[known], id, timestamp, signatures, &got.body, NOW), Ok(()));
    }
}

#[tokio::test]
async fn what_is_kept_of_an_answer_holds_no_secret_whatever_its_status() {
    let own = secret(1).to_text();
    let echo = format!(
        "Authorization: Bearer abcdef123\r\nSet-Cookie: sid=s3cret\r\n{{\"token\":\"t0k3n\",\"key\":\"{}\",\"n\":1}}",
        own.expose_secret()
    );

    for status in [200, 400, 410, 429, 500] {
        let (_receiver, result) =
            deliver(Answer { status, body: echo.clone().into_bytes(), ..Answer::default() }).await;
        let (said, detail) = match result {
            Ok(receipt) => (String::new(), receipt.detail),
            Err(error) => (error.to_string(), error.detail.map(|detail| *detail)),
        };

        let clean = "Authorization: [redacted]  Set-Cookie: [redacted]  \
                     {\"token\":\"[redacted]\",\"key\":\"[redacted]\",\"n\":1}";
        assert_eq!(detail, Some(kept(status, clean, detail.as_ref())));
        for secret in ["abcdef123", "s3cret", "t0k3n", own.expose_secret()] {
            assert!(!said.contains(secret), "{said}");
        }
    }
}

#[tokio::test]
async fn a_secret_at_the_end_of_what_is_kept_is_not_kept_by_half() {
    for at in [1_000, 1_020, 4_080] {
        let body = format!("{} {} tail", "x".repeat(at), secret(1).to_text().expose_secret()).into_bytes();
        let (_receiver, result) = deliver(Answer { status: 200, body, ..Answer::default() }).await;

        let detail = result.unwrap().detail.unwrap();
        assert!(!detail["body"].as_str().unwrap().contains("whsec_"), "{detail}");
    }
}

#[tokio::test]
async fn the_id_stays_and_the_signature_is_new_on_every_attempt() {
    let receiver = Receiver::start(answer(200)).await;
    let client = WebhookClient::new(settings()).unwrap();

    for attempt in 0..2 {
        client.deliver(&delivery(receiver.url()), NOW + attempt).await.unwrap();
    }

    let got = receiver.received();
    assert_eq!(got[0].header("webhook-id"), got[1].header("webhook-id"));
    assert_ne!(got[0].header("webhook-signature"), got[1].header("webhook-signature"));
}

#[tokio::test]
async fn every_status_has_its_class() {
    let limited = ErrorClass::RateLimited { retry_after: None };
    let cases = [
        (301, ErrorClass::ServerError),
        (302, ErrorClass::ServerError),
        (304, ErrorClass::ServerError),
        (307, ErrorClass::ServerError),
        (308, ErrorClass::ServerError),
        (400, ErrorClass::ServerError),
        (401, ErrorClass::ServerError),
        (403, ErrorClass::ServerError),
        (404, ErrorClass::ServerError),
        (405, ErrorClass::ServerError),
        (408, ErrorClass::ServerError),
        (409, ErrorClass::ServerError),
        (410, ErrorClass::Gone),
        (413, ErrorClass::ServerError),
        (422, ErrorClass::ServerError),
        (425, ErrorClass::ServerError),
        (429, limited),
        (500, ErrorClass::ServerError),
        (501, ErrorClass::ServerError),
        (502, ErrorClass::ServerError),
        (503, ErrorClass::ServerError),
        (504, ErrorClass::ServerError),
        (599, ErrorClass::ServerError),
    ];

    for (status, class) in cases {
        let (_receiver, result) = deliver(answer(status)).await;
        let error = result.unwrap_err();

        assert_eq!(error.class, class, "for {status}");
        assert_eq!(error.code, Some(status.to_string().into()));
    }
}

#[tokio::test]
async fn only_2xx_is_success() {
    for status in [200, 201, 202, 204, 206, 299] {
        let (_receiver, result) = deliver(answer(status)).await;

        assert!(result.is_ok(), "for {status}");
    }
}

#[tokio::test]
async fn a_wish_to_wait_is_kept_with_its_class() {
    let cases = [
        (429, "120", Some(120)),
        (503, "Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
        (502, "7", Some(7)),
        (504, "garbage", None),
    ];

    for (status, value, seconds) in cases {
        let headers = vec![("retry-after", value.to_owned())];
        let (_receiver, result) = deliver(Answer { status, headers, ..Answer::default() }).await;

        assert_eq!(
            result.unwrap_err().retry_after(),
            seconds.map(Duration::from_secs),
            "for {status} {value}"
        );
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Receiver::start(answer(200)).await;

    for status in [301, 302, 303, 307, 308] {
        let headers = vec![("location", target.url())];
        let (_receiver, result) = deliver(Answer { status, headers, ..Answer::default() }).await;

        assert!(result.unwrap_err().message.contains("final URL"), "for {status}");
    }
    assert!(target.received().is_empty());
}

#[tokio::test]
async fn a_hanging_or_dripping_endpoint_is_left_at_the_deadline() {
    for rudeness in [Rudeness::Hang, Rudeness::DripHeaders] {
        let server = RudeServer::start(rudeness).await;
        let client =
            WebhookClient::new(OutboundSettings { timeout: Duration::from_secs(3), ..settings() }).unwrap();

        let error = client.deliver(&delivery(server.url()), NOW).await.unwrap_err();

        assert_eq!(error.class, ErrorClass::Timeout, "{rudeness:?}");
        assert_eq!(server.connections(), 1, "{rudeness:?}");
    }
}

#[tokio::test]
async fn a_body_that_drips_after_success_does_not_undo_it() {
    let server = RudeServer::start(Rudeness::DripBody).await;
    let client =
        WebhookClient::new(OutboundSettings { timeout: Duration::from_secs(3), ..settings() }).unwrap();

    let receipt = client.deliver(&delivery(server.url()), NOW).await.unwrap();

    assert_eq!(receipt.detail.unwrap()["status"], 200);
}

#[tokio::test]
async fn a_reset_connection_is_a_network_error_and_tried_once() {
    let server = RudeServer::start(Rudeness::Reset).await;
    let client = WebhookClient::new(settings()).unwrap();

    let error = client.deliver(&delivery(server.url()), NOW).await.unwrap_err();

    assert_eq!((error.class, server.connections()), (ErrorClass::Network, 1));
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_a_network_error_without_its_url() {
    let client =
        WebhookClient::new(OutboundSettings { resolver: Arc::new(NoSuchName), ..settings() }).unwrap();
    let urls = ["http://127.0.0.1:1/t0k?key=t0k".to_owned(), "http://nowhere.invalid/t0k?key=t0k".to_owned()];

    for url in urls {
        let error = client.deliver(&delivery(url), NOW).await.unwrap_err();

        assert_eq!(error.class, ErrorClass::Network, "{error}");
        assert!(!format!("{error} {error:?}").contains("t0k"), "{error:?}");
    }
}

#[tokio::test]
async fn a_delivery_over_https_trusts_the_extra_ca_and_no_other() {
    for (ca, class) in [(CA, None), (CERTIFICATE, Some(ErrorClass::Network))] {
        let address = start_https_once();
        let settings = OutboundSettings { extra_root_ca_pem: Some(ca.to_vec()), ..settings() };
        let client = WebhookClient::new(settings).unwrap();

        let result = client.deliver(&delivery(format!("https://localhost:{}/", address.port())), NOW).await;

        let error = result.err();
        assert_eq!(error.as_ref().map(|error| error.class), class);
        assert!(error.is_none_or(|error| error.message.contains("certificate")));
    }
}

#[tokio::test]
async fn of_a_huge_answer_only_a_little_is_read_and_less_is_kept() {
    let server = RudeServer::start(Rudeness::Flood).await;
    let client = WebhookClient::new(settings()).unwrap();

    let receipt = client.deliver(&delivery(server.url()), NOW).await.unwrap();

    let kept = receipt.detail.unwrap()["body"].as_str().unwrap().len();
    let sent = server.sent.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(kept, 1024);
    // What the kernel's buffers take on both sides comes on top of the 64 KiB that are read.
    assert!(sent < 9 * 1024 * 1024, "{sent} bytes were taken");
}

#[tokio::test]
async fn extra_headers_arrive_and_dangerous_ones_are_refused() {
    let receiver = Receiver::start(answer(200)).await;
    let client = WebhookClient::new(settings()).unwrap();
    let with = |name: &str, value: &str| Delivery {
        extra_headers: vec![(name.to_owned(), value.to_owned())],
        ..delivery(receiver.url())
    };

    client.deliver(&with("X-Tenant", "acme"), NOW).await.unwrap();

    assert_eq!(receiver.received()[0].header("x-tenant"), "acme");
    let refused = [
        ("host", "internal"),
        ("content-length", "0"),
        ("transfer-encoding", "chunked"),
        ("authorization", "Bearer x"),
        ("cookie", "a=b"),
        ("webhook-id", "other"),
        ("user-agent", "x"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-a\r\nb", "c"),
        ("", "c"),
        ("x-a", "b\r\nhost: internal"),
        ("x-a", "b\0"),
    ];
    for (name, value) in refused {
        let error = client.deliver(&with(name, value), NOW).await.unwrap_err();

        assert_eq!(error.class, ErrorClass::Permanent, "for {name:?}");
    }
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn an_id_that_would_blur_the_signed_parts_is_refused() {
    let receiver = Receiver::start(answer(200)).await;
    let client = WebhookClient::new(settings()).unwrap();
    let long = "a".repeat(257);

    for id in ["", "a.b", "a b", "a\r\nb", "ñ", &long] {
        let case = Delivery { id: id.to_owned(), ..delivery(receiver.url()) };
        let error = client.deliver(&case, NOW).await.unwrap_err();

        assert_eq!(error.class, ErrorClass::Permanent, "for {id:?}");
    }
    assert!(receiver.received().is_empty());
}
