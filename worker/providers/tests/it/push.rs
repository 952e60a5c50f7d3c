//! Web Push: a browser can open what it is sent, a push service accepts our signature, and every answer has its class.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flota_providers::{
    ErrorClass, ProviderError, Receipt,
    content::{Content, FetchError, Gathering, Spool},
    outbound::{OutboundClient, OutboundSettings},
    push::{
        MOST_PUSH_BYTES, Push, VapidError, VapidKey,
        browser::{Browser, check_vapid},
        new_vapid_pair,
    },
};

use crate::{
    receiver::{Answer, Receiver},
    webhook_delivery,
};

/// Sun, 06 Nov 1994 08:49:37 GMT.
const NOW: i64 = 784_111_777;

fn push(receiver: &Receiver, browser: &Browser) -> Push {
    Push {
        endpoint: format!("http://{}/wpush/v2/s3cr3t", receiver.address),
        p256dh: browser.p256dh(),
        auth: browser.auth(),
        content: b"{\"title\":\"Hola\"}".to_vec(),
        ttl: 60,
        urgency: "high".into(),
        topic: "order-42".into(),
    }
}

fn client() -> OutboundClient {
    OutboundClient::new(OutboundSettings { timeout: Duration::from_secs(5), ..webhook_delivery::settings() })
        .unwrap()
}

fn key() -> (VapidKey, String) {
    let (public, private) = new_vapid_pair().unwrap();
    (VapidKey::new(&public, &private, "mailto:admin@example.com").unwrap(), public)
}

async fn send(answer: Answer) -> (Receiver, Result<Receipt, ProviderError>) {
    let receiver = Receiver::start(answer).await;
    let result = key().0.send(&push(&receiver, &Browser::new().unwrap()), &client(), NOW).await;
    (receiver, result)
}

#[test]
fn our_browser_opens_the_message_of_the_standard() {
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let browser = Browser::with(
        &decode("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"),
        &decode("BTBZMqHH6r4Tts7J_aSIgg"),
    );

    // RFC 8291 section 5.
    let message = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
    let opened = browser.unwrap().open(&decode(message)).unwrap();

    assert_eq!(opened, b"When I grow up, I want to be a watermelon");
}

#[test]
fn our_push_service_accepts_the_signature_of_the_standard() {
    // RFC 8292 section 2.4.
    let token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA";
    let public = "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs";

    let claims = check_vapid(&format!("vapid t={token}, k={public}"), public).unwrap();

    assert!(claims.contains("https://push.example.net"), "{claims}");
}

#[tokio::test]
async fn a_notification_arrives_signed_and_only_its_browser_can_open_it() {
    let receiver = Receiver::start(Answer { status: 201, ..Answer::default() }).await;
    let (browser, other) = (Browser::new().unwrap(), Browser::new().unwrap());
    let (key, public) = key();

    key.send(&push(&receiver, &browser), &client(), NOW).await.unwrap();

    let got = &receiver.received()[0];
    let claims = check_vapid(got.header("authorization"), &public).unwrap();
    assert_eq!(browser.open(&got.body).unwrap(), b"{\"title\":\"Hola\"}");
    assert!(other.open(&got.body).is_err());
    // The audience is the whole origin, its port included.
    assert!(claims.contains(&format!("\"aud\":\"http://{}\"", receiver.address)), "{claims}");
    assert!(claims.contains("\"sub\":\"mailto:admin@example.com\""), "{claims}");
    for (name, value) in [
        ("ttl", "60"),
        ("urgency", "high"),
        ("topic", "order-42"),
        ("content-encoding", "aes128gcm"),
        ("content-type", "application/octet-stream"),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn every_answer_of_a_push_service_has_its_class() {
    let limited = ErrorClass::RateLimited { retry_after: None };
    let rows = [
        (301, ErrorClass::Permanent),
        (302, ErrorClass::Permanent),
        (307, ErrorClass::Permanent),
        (308, ErrorClass::Permanent),
        (400, ErrorClass::Permanent),
        (401, ErrorClass::Auth),
        (403, ErrorClass::Auth),
        (404, ErrorClass::Gone),
        (406, limited),
        (410, ErrorClass::Gone),
        (408, ErrorClass::ServerError),
        (413, ErrorClass::Permanent),
        (429, limited),
        (500, ErrorClass::ServerError),
        (502, ErrorClass::ServerError),
        (503, ErrorClass::ServerError),
    ];

    for (status, class) in rows {
        let (_receiver, result) = send(Answer { status, ..Answer::default() }).await;
        let error = result.unwrap_err();
        assert_eq!(error.class, class, "for {status}");
        assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
    }
    for status in [200, 201, 202] {
        assert!(send(Answer { status, ..Answer::default() }).await.1.is_ok(), "for {status}");
    }
}

#[tokio::test]
async fn a_browser_that_subscribed_with_another_key_is_gone_in_the_words_of_every_vendor() {
    let words = [
        (
            403,
            "the VAPID credentials in the authorization header do not correspond to the credentials used to create the subscriptions.",
        ),
        (400, "{\"reason\":\"VapidPkHashMismatch\"}"),
        (401, "{\"code\":401,\"errno\":109,\"message\":\"VAPID public key mismatch\"}"),
    ];

    for (status, body) in words {
        let answer = Answer { status, body: body.into(), ..Answer::default() };
        let error = send(answer).await.1.unwrap_err();
        assert_eq!(
            (error.class, error.code.as_deref()),
            (ErrorClass::Gone, Some("vapid_mismatch")),
            "{error}"
        );
    }
    let told = Answer { status: 403, body: b"BadJwtToken".to_vec(), ..Answer::default() };
    assert_eq!(send(told).await.1.unwrap_err().class, ErrorClass::Auth);
}

#[tokio::test]
async fn the_longest_notification_arrives_whole() {
    let receiver = Receiver::start(Answer { status: 201, ..Answer::default() }).await;
    let browser = Browser::new().unwrap();
    let content = vec![b'x'; MOST_PUSH_BYTES];
    let long = Push { content: content.clone(), ..push(&receiver, &browser) };

    key().0.send(&long, &client(), NOW).await.unwrap();

    let got = &receiver.received()[0];
    assert_eq!((got.body.len(), browser.open(&got.body).unwrap()), (4_096, content));
}

#[tokio::test]
async fn one_signature_serves_many_notifications_and_each_is_encrypted_anew() {
    let receiver = Receiver::start(Answer { status: 201, ..Answer::default() }).await;
    let (browser, (key, _)) = (Browser::new().unwrap(), key());

    for now in [NOW, NOW + 3_600, NOW + 12 * 3_600] {
        key.send(&push(&receiver, &browser), &client(), now).await.unwrap();
    }

    let got = receiver.received();
    assert_eq!(got[0].header("authorization"), got[1].header("authorization"));
    assert_ne!(got[1].header("authorization"), got[2].header("authorization"));
    assert_ne!(got[0].body, got[1].body);
}

#[tokio::test]
async fn a_wish_to_wait_is_kept() {
    let headers = vec![("retry-after", "30".to_owned())];
    let (_receiver, result) = send(Answer { status: 429, headers, body: Vec::new() }).await;

    assert_eq!(result.unwrap_err().retry_after(), Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn what_no_browser_could_open_is_not_sent() {
    let receiver = Receiver::start(Answer { status: 201, ..Answer::default() }).await;
    let fine = || push(&receiver, &Browser::new().unwrap());
    let off_the_curve = URL_SAFE_NO_PAD.encode([4; 65]);
    let cases = [
        Push { content: vec![b'x'; MOST_PUSH_BYTES + 1], ..fine() },
        Push { p256dh: off_the_curve, ..fine() },
        Push { p256dh: "short".into(), ..fine() },
        Push { auth: "BTBZ".into(), ..fine() },
        Push { auth: URL_SAFE_NO_PAD.encode([1; 17]), ..fine() },
        Push { topic: "two words".into(), ..fine() },
        Push { topic: String::new(), ..fine() },
        Push { endpoint: "not a url".into(), ..fine() },
    ];

    for case in cases {
        let error = key().0.send(&case, &client(), NOW).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Permanent, "{case:?}: {error}");
    }
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn a_subscription_does_not_lead_into_our_network() {
    let receiver = Receiver::start(Answer { status: 201, ..Answer::default() }).await;
    let strict = OutboundClient::new(OutboundSettings::new(Arc::new(|_| false))).unwrap();
    let inside =
        Push { endpoint: "https://127.0.0.1/push".into(), ..push(&receiver, &Browser::new().unwrap()) };

    let error = key().0.send(&inside, &strict, NOW).await.unwrap_err();

    assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Permanent, Some("address_refused")));
}

fn at_most(bytes: usize) -> Gathering {
    Spool::default().gather(bytes)
}

fn refusal(fetched: Result<Content, FetchError>) -> ProviderError {
    FetchError::apart(fetched).unwrap_err()
}

#[tokio::test]
async fn downloads_have_a_limit_and_a_guard() {
    let receiver =
        Receiver::start(Answer { status: 200, body: vec![b'x'; 1_000], ..Answer::default() }).await;
    let url = receiver.url();

    let whole = client().download(&url, at_most(1_000), NOW).await.unwrap();
    let long = refusal(client().download(&url, at_most(999), NOW).await);
    let strict = OutboundClient::new(OutboundSettings::new(Arc::new(|_| false))).unwrap();
    let refused = refusal(strict.download("https://10.0.0.1/file", at_most(1_000), NOW).await);

    assert_eq!(whole.held(), 1_000);
    assert_eq!((long.class, long.code.as_deref()), (ErrorClass::Permanent, Some("too_long")));
    assert_eq!(refused.code.as_deref(), Some("address_refused"));
    for (status, class) in [
        (204, ErrorClass::Permanent),
        (302, ErrorClass::Permanent),
        (403, ErrorClass::Permanent),
        (404, ErrorClass::Permanent),
        (429, ErrorClass::RateLimited { retry_after: None }),
        (503, ErrorClass::ServerError),
    ] {
        let receiver = Receiver::start(Answer { status, ..Answer::default() }).await;
        let error = refusal(client().download(&receiver.url(), at_most(10), NOW).await);
        assert_eq!(error.class, class, "for {status}");
    }
}

#[test]
fn keys_that_do_not_belong_together_are_refused() {
    let ((public, private), (other, _)) = (new_vapid_pair().unwrap(), new_vapid_pair().unwrap());

    assert!(VapidKey::new(&public, &private, "mailto:a@b").is_ok());
    assert_eq!(VapidKey::new(&other, &private, "mailto:a@b").unwrap_err(), VapidError::Mismatch);
    assert_eq!(VapidKey::new(&public, &"short".into(), "mailto:a@b").unwrap_err(), VapidError::Private);
}
