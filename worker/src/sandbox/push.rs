//! A push service with browsers behind it: verifies VAPID (RFC 8292) and decrypts what it is given (RFC 8291) with the
//! key of the subscription, which a real service cannot, so that a notification nobody could read is refused here.
//!
//! Refusals are those of Mozilla's autopush, with its numbers
//! (<https://autopush.readthedocs.io/en/latest/http.html#error-codes>).

use std::collections::HashMap;

use flota_providers::push::browser::{Browser, Unopened, check_vapid};
use serde::Serialize;
use serde_json::{Value, json};
use url::Url;

use super::{
    call::{Answer, Call, Done, Outcome, Refusal},
    house::{lock, new_id},
};

/// Longest life, in seconds: 30 days.
const MOST_TTL: u64 = 2_592_000;
/// Longest body, in bytes (RFC 8030 section 7.2).
const MOST_BYTES: usize = 4_096;
/// How far ahead a token may end, in seconds (RFC 8292 section 2).
const MOST_AHEAD: i64 = 24 * 3_600;

/// What a page gets from its browser, and an application needs to send.
#[derive(Debug, Clone, Serialize)]
pub struct BrowserSubscription {
    /// Where notifications go.
    pub endpoint: String,
    /// `p256dh` and `auth`, base64url.
    pub keys: BrowserKeys,
}

/// The keys of a subscription.
#[derive(Debug, Clone, Serialize)]
pub struct BrowserKeys {
    /// The browser's public key.
    pub p256dh: String,
    /// The secret shared with it.
    pub auth: String,
}

/// Every subscription, by the last part of its endpoint; ended ones have no browser.
#[derive(Default)]
pub(super) struct Subscriptions {
    all: HashMap<String, Option<Subscribed>>,
    opened: Vec<Vec<u8>>,
}

struct Subscribed {
    browser: Browser,
    /// The application's key; any when the page gave none.
    application_key: Option<String>,
}

impl Subscriptions {
    /// A new browser, subscribed with the application's public key.
    pub(super) fn subscribe(
        &mut self,
        origin: &str,
        application_key: Option<String>,
    ) -> Result<BrowserSubscription, Unopened> {
        let browser = Browser::new()?;
        let id = new_id();
        let keys = BrowserKeys { p256dh: browser.p256dh(), auth: browser.auth() };
        self.all.insert(id.clone(), Some(Subscribed { browser, application_key }));
        Ok(BrowserSubscription { endpoint: format!("{origin}/push/{id}"), keys })
    }

    /// Ends a subscription: its endpoint answers 410 from now on. False when there is no such one.
    pub(super) fn end(&mut self, id: &str) -> bool {
        self.all.get_mut(id).is_some_and(|subscription| subscription.take().is_some())
    }

    /// What browsers were shown, oldest first.
    pub(super) fn opened(&self) -> Vec<Vec<u8>> {
        self.opened.clone()
    }
}

/// `POST` to the endpoint of a subscription.
pub(super) fn send(call: &Call<'_>) -> Outcome {
    let mut subscriptions = lock(&call.house.subscriptions);
    let subscription = match subscriptions.all.get(call.argument(0)) {
        None => return Err(refuse(404, 102, "Invalid URL endpoint")),
        Some(None) => return Err(refuse(410, 106, "Subscription has ended")),
        Some(Some(subscription)) => subscription,
    };
    headers(call)?;
    let claims = authorize(call, subscription)?;
    check_claims(call, &claims)?;
    if MOST_BYTES < call.request.body.len() {
        return Err(refuse(413, 104, "Data payload too large"));
    }
    let plain = if call.request.body.is_empty() {
        Vec::new()
    } else {
        let unopened = |why: Unopened| refuse(400, 110, &format!("Invalid crypto: {why}"));
        subscription.browser.open(&call.request.body).map_err(unopened)?
    };
    let summary =
        json!({ "plain_bytes": plain.len(), "ttl": call.header("ttl"), "urgency": call.header("urgency") });
    subscriptions.opened.push(plain);
    let answer = Answer::empty(201).with("ttl", call.header("ttl"));
    Ok(Done::new(
        answer.with("location", format!("{}/push-message/{}", call.house.origin, new_id())),
        summary,
    ))
}

fn headers(call: &Call<'_>) -> Result<(), Refusal> {
    let ttl = call.header("ttl");
    if ttl.is_empty() {
        return Err(refuse(400, 111, "Missing TTL header"));
    }
    if !ttl.parse::<u64>().is_ok_and(|ttl| ttl <= MOST_TTL) {
        return Err(refuse(400, 112, "Invalid TTL header value: 0 to 2592000 seconds"));
    }
    let encoding = call.header("content-encoding");
    if encoding != "aes128gcm" && !call.request.body.is_empty() {
        return Err(refuse(400, 110, "Invalid Content-Encoding: aes128gcm is the one in use"));
    }
    let topic = call.header("topic");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if topic.len() > 32 || !topic.bytes().all(plain) {
        return Err(refuse(400, 113, "Invalid Topic: at most 32 of the base64url alphabet"));
    }
    let urgency = call.header("urgency");
    if !["", "very-low", "low", "normal", "high"].contains(&urgency) {
        return Err(refuse(400, 110, "Invalid Urgency"));
    }
    Ok(())
}

/// The claims of a token that is signed with the key which the browser subscribed with.
fn authorize(call: &Call<'_>, subscription: &Subscribed) -> Result<Value, Refusal> {
    let header = call.header("authorization");
    let Some((_, key)) = header.split_once(", k=") else {
        return Err(refuse(401, 109, "Missing or invalid VAPID authorization"));
    };
    if subscription.application_key.as_deref().is_some_and(|wanted| wanted != key) {
        return Err(refuse(403, 109, "VAPID public key mismatch: the browser subscribed with another one"));
    }
    let claims =
        check_vapid(header, key).map_err(|_| refuse(401, 109, "The VAPID signature does not verify"))?;
    serde_json::from_str(&claims).map_err(|_| refuse(401, 109, "The VAPID claims are no JSON"))
}

fn check_claims(call: &Call<'_>, claims: &Value) -> Result<(), Refusal> {
    let origin =
        Url::parse(&call.house.origin).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    if claims["aud"] != origin.as_str() {
        return Err(refuse(401, 109, "VAPID aud is not the origin of the endpoint"));
    }
    let end = claims["exp"].as_i64().unwrap_or_default();
    if end <= call.now_unix || call.now_unix + MOST_AHEAD < end {
        return Err(refuse(401, 109, "VAPID exp has passed, or is more than 24 hours ahead"));
    }
    let subject = claims["sub"].as_str().unwrap_or_default();
    let contact = subject.strip_prefix("mailto:").is_some_and(|address| address.contains('@'))
        || subject.starts_with("https://");
    if !contact || subject.contains([' ', '<', '>']) || subject.contains("localhost") {
        return Err(refuse(
            403,
            109,
            "VAPID sub is not a contact: write mailto: and an address, or an https URL",
        ));
    }
    Ok(())
}

fn refuse(status: u16, number: u32, message: &str) -> Refusal {
    let body = json!({
        "code": status, "errno": number, "error": reason(status), "message": message,
        "more_info": "http://autopush.readthedocs.io/en/latest/http.html#error-codes",
    });
    Refusal::new(Answer::json(status, &body), format!("errno {number}: {message}"))
}

fn reason(status: u16) -> &'static str {
    axum::http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error")
}

/// The body of a status.
pub(super) fn error(status: u16) -> Answer {
    let (number, message) = match status {
        401 | 403 => (109, "Invalid authentication"),
        404 => (102, "Invalid URL endpoint"),
        410 => (106, "Subscription has ended"),
        413 => (104, "Data payload too large"),
        429 => (200, "Too many requests"),
        500.. => (201, "Use exponential back-off for retries"),
        _ => (110, "Bad request"),
    };
    refuse(status, number, message).answer
}

/// Accepted, with an error inside that no push service would send: the status is what counts.
pub(super) fn ok_with_error() -> Answer {
    Answer { status: 201, ..error(503) }
}
