//! Notifications for browsers: Web Push (RFC 8030), encrypted for one browser (RFC 8291) and signed by us (RFC 8292).
//!
//! The client for URLs that users chose sends, because the address of a push service comes with the browser's
//! subscription and must not lead into our network. [`browser`] is the other end, for tests and demonstrations.

mod answer;
pub mod browser;
mod encoding;
mod vapid;

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::header::{HeaderMap, HeaderValue};
use url::Url;

pub use self::vapid::{VapidError, VapidKey, new_vapid_pair};
use self::{
    answer::refused,
    encoding::{AUTH, Fresh},
};
use crate::{
    ErrorClass, ProviderError, Receipt,
    error::TOO_LARGE,
    exchange::Repeat,
    outbound::{OutboundClient, OutboundPost},
    pipeline::{Client, Target},
    text::one_line,
};

/// The name of this provider in receipts, errors and metrics.
pub const PROVIDER: &str = "web_push";
const SEND: &str = "send";
/// Longest notification, in bytes: encrypted it is the 4,096 bytes that every push service takes.
pub const MOST_PUSH_BYTES: usize = encoding::MOST_CONTENT;
/// Longest topic (RFC 8030 section 5.4).
const MOST_TOPIC: usize = 32;

/// One notification for one browser.
#[derive(Clone)]
pub struct Push {
    /// Where the browser's push service takes it. As good as a password: who knows it can send.
    pub endpoint: String,
    /// The browser's public key, base64url.
    pub p256dh: String,
    /// The secret shared with the browser, base64url.
    pub auth: String,
    /// What the page's service worker is given.
    pub content: Vec<u8>,
    /// How long the push service may keep it, in seconds.
    pub ttl: u32,
    /// `very-low`, `low`, `normal` or `high`.
    pub urgency: String,
    /// A later notification with the same topic replaces this one while it waits; at most 32 of base64url.
    pub topic: String,
}

impl fmt::Debug for Push {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Push").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl VapidKey {
    /// Sends one notification. A repeat is harmless: with the same topic it replaces the first while that waits.
    ///
    /// # Errors
    /// `Gone` when the subscription has ended (404, 410), so that its owner deletes it.
    pub async fn send(
        &self,
        push: &Push,
        client: &OutboundClient,
        now_unix: i64,
    ) -> Result<Receipt, ProviderError> {
        let body = encrypted(push)?;
        let headers = self.headers(push, now_unix)?;
        let repeat = Repeat::Safe;
        let post =
            OutboundPost { provider: PROVIDER, operation: SEND, url: &push.endpoint, headers, body, repeat };
        let answer = client.post(post).await?;
        if answer.is_success() {
            // The path of a message names it to whoever may ask; its last part is enough to find it in a log.
            let reference = answer.header("location").and_then(|place| place.rsplit('/').next());
            let reference = reference.map(|place| one_line(place.as_bytes(), 64));
            return Ok(Receipt { provider: PROVIDER, provider_ref: reference, detail: None });
        }
        Err(refused(&answer, now_unix))
    }

    fn headers(&self, push: &Push, now_unix: i64) -> Result<HeaderMap, ProviderError> {
        let bad = |name: &str| permanent(name, &format!("The header {name} cannot hold its value."));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !(1..=MOST_TOPIC).contains(&push.topic.len()) || !push.topic.bytes().all(plain) {
            return Err(permanent("topic", "The topic must be 1 to 32 letters, digits, `-` or `_`."));
        }
        let origin = origin(&push.endpoint)?;
        let authorization = self.authorization(&origin, now_unix).map_err(|_| bad("authorization"))?;
        let mut authorization = HeaderValue::from_str(&authorization).map_err(|_| bad("authorization"))?;
        authorization.set_sensitive(true);
        let value = |name: &str, text: &str| HeaderValue::from_str(text).map_err(|_| bad(name));
        let mut headers = HeaderMap::new();
        headers.insert("authorization", authorization);
        headers.insert("ttl", push.ttl.into());
        headers.insert("urgency", value("urgency", &push.urgency)?);
        headers.insert("topic", value("topic", &push.topic)?);
        headers.insert("content-encoding", HeaderValue::from_static("aes128gcm"));
        headers.insert("content-type", HeaderValue::from_static("application/octet-stream"));
        Ok(headers)
    }
}

/// True when the push service said that there is no such subscription any more. A subscription with another VAPID key is
/// gone for us as well, but the mistake may be ours.
pub fn has_ended(error: &ProviderError) -> bool {
    error.provider == PROVIDER && matches!(error.code.as_deref(), Some("404" | "410"))
}

impl Client for VapidKey {
    /// The time limit is that of the client that sends.
    fn target(&self) -> Target {
        let host = Box::default();
        Target { provider: PROVIDER, operation: SEND, host, deadline: None, may_double: false }
    }
}

fn encrypted(push: &Push) -> Result<Vec<u8>, ProviderError> {
    let length = push.content.len();
    if MOST_PUSH_BYTES < length {
        let message =
            format!("The notification is {length} bytes long, and {MOST_PUSH_BYTES} fit; shorten it.");
        return Err(permanent(TOO_LARGE, &message));
    }
    let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).unwrap_or_default();
    let (browser, auth) = (decoded(&push.p256dh), decoded(&push.auth));
    let unusable = || {
        permanent("keys", "The keys of the subscription are not usable; the browser has to subscribe again.")
    };
    if auth.len() != AUTH {
        return Err(unusable());
    }
    let Some(fresh) = Fresh::new() else {
        let message = "The system gives no randomness to encrypt with; the job is repeated later.";
        return Err(ProviderError::new(PROVIDER, SEND, ErrorClass::ServerError, message).with_code("random"));
    };
    let padding = encoding::padding(length);
    encoding::seal(&push.content, padding, &browser, &auth, &fresh).ok_or_else(unusable)
}

fn origin(endpoint: &str) -> Result<String, ProviderError> {
    let url = Url::parse(endpoint).ok().filter(Url::has_host);
    let url = url.ok_or_else(|| permanent("endpoint", "The endpoint of the subscription is not a URL."))?;
    Ok(url.origin().ascii_serialization())
}

fn permanent(code: &str, message: &str) -> ProviderError {
    ProviderError::new(PROVIDER, SEND, ErrorClass::Permanent, message).with_code(code)
}
