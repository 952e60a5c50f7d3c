//! Notifications for browsers: Web Push (RFC 8030), encrypted for one browser (RFC 8291) and signed by us (RFC 8292).
//!
//! The crate `web-push` builds, encrypts and signs; our own client sends, because the address of a push service comes
//! with the browser's subscription and must not lead into our network. [`browser`] is the other end, for tests and
//! demonstrations.

pub mod browser;

use std::fmt;

use aws_lc_rs::{
    agreement::{ECDH_P256, PrivateKey},
    encoding::{AsBigEndian, EcPrivateKeyBin},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use web_push::{
    ContentEncoding, PartialVapidSignatureBuilder, SubscriptionInfo, Urgency, VapidSignatureBuilder,
    WebPushError, WebPushMessage, WebPushMessageBuilder,
};

use crate::{
    ErrorClass, ProviderError, Receipt, Standing,
    api::advice,
    exchange::{HttpAnswer, Repeat},
    outbound::{OutboundClient, OutboundPost},
    pipeline::{Client, Target},
    text::one_line,
};

/// The name of this provider in receipts, errors and metrics.
pub const PROVIDER: &str = "web_push";
const SEND: &str = "send";
/// Longest notification, in bytes: what fits in the 4,096 bytes that every push service takes, with room for padding.
pub const MOST_PUSH_BYTES: usize = 3_800;
/// How much of a refusal is kept, in bytes.
const MOST_SAID: usize = 400;

/// Our key pair towards push services.
pub struct VapidKey {
    signer: PartialVapidSignatureBuilder,
    subject: String,
}

/// A pair that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VapidError {
    /// The private key is not one.
    #[error("the private key is not 32 bytes in base64url; make a pair with `flota keys vapid`")]
    Private,
    /// The system has no randomness.
    #[error("no key pair could be made: the system gives no randomness")]
    Randomness,
    /// The public key belongs to another private key.
    #[error("the public key does not belong to the private key; make a pair with `flota keys vapid`")]
    Mismatch,
}

impl fmt::Debug for VapidKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("VapidKey").field("subject", &self.subject).finish_non_exhaustive()
    }
}

impl VapidKey {
    /// Both keys in base64url without padding, as browsers and other libraries write them. `subject` says whom a push
    /// service may ask about us: `mailto:…` or an https URL.
    ///
    /// # Errors
    /// See [`VapidError`].
    pub fn new(public: &str, private: &SecretString, subject: &str) -> Result<Self, VapidError> {
        let private = private.expose_secret().trim_end_matches('=');
        let is_key = URL_SAFE_NO_PAD.decode(private).is_ok_and(|bytes| bytes.len() == 32);
        if !is_key {
            return Err(VapidError::Private);
        }
        let signer = VapidSignatureBuilder::from_base64_no_sub(private).map_err(|_| VapidError::Private)?;
        if URL_SAFE_NO_PAD.decode(public.trim_end_matches('=')).ok() != Some(signer.get_public_key()) {
            return Err(VapidError::Mismatch);
        }
        Ok(Self { signer, subject: subject.to_owned() })
    }
}

/// A new pair for [`VapidKey`]: public and private key in base64url.
///
/// # Errors
/// When the system has no randomness.
pub fn new_vapid_pair() -> Result<(String, SecretString), VapidError> {
    let failed = |_| VapidError::Randomness;
    let key = PrivateKey::generate(&ECDH_P256).map_err(failed)?;
    let public = key.compute_public_key().map_err(failed)?;
    let private: EcPrivateKeyBin<'_> = key.as_be_bytes().map_err(failed)?;
    Ok((URL_SAFE_NO_PAD.encode(public.as_ref()), URL_SAFE_NO_PAD.encode(private.as_ref()).into()))
}

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
        let message = self.message(push)?;
        let headers = headers(&message)?;
        let body = message.payload.map(|payload| payload.content).unwrap_or_default();
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

    fn message(&self, push: &Push) -> Result<WebPushMessage, ProviderError> {
        let Push { endpoint, p256dh, auth, content, ttl, urgency, topic } = push;
        let subscription = SubscriptionInfo::new(
            endpoint.as_str(),
            p256dh.trim_end_matches('='),
            auth.trim_end_matches('='),
        );
        let mut signature = self.signer.clone().add_sub_info(&subscription);
        // The crate leaves the port out of the audience, and a push service on another port would refuse that.
        signature.add_claim("aud", origin(endpoint)?);
        signature.add_claim("sub", self.subject.as_str());
        let signature = signature.build().map_err(|error| unusable(&error))?;
        let mut builder = WebPushMessageBuilder::new(&subscription);
        builder.set_ttl(*ttl);
        builder.set_urgency(match urgency.as_str() {
            "very-low" => Urgency::VeryLow,
            "low" => Urgency::Low,
            "high" => Urgency::High,
            _ => Urgency::Normal,
        });
        builder.set_topic(topic.clone());
        builder.set_vapid_signature(signature);
        builder.set_payload(ContentEncoding::Aes128Gcm, content);
        builder.build().map_err(|error| unusable(&error))
    }
}

impl Client for VapidKey {
    /// The time limit is that of the client that sends.
    fn target(&self) -> Target {
        let host = Box::default();
        Target { provider: PROVIDER, operation: SEND, host, deadline: None, may_double: false }
    }
}

fn origin(endpoint: &str) -> Result<String, ProviderError> {
    let url = Url::parse(endpoint).ok().filter(Url::has_host);
    let url = url.ok_or_else(|| permanent("endpoint", "The endpoint of the subscription is not a URL."))?;
    Ok(url.origin().ascii_serialization())
}

fn headers(message: &WebPushMessage) -> Result<HeaderMap, ProviderError> {
    let mut headers = HeaderMap::new();
    let mut set = |name: &str, value: &str| -> Result<(), ProviderError> {
        let bad = || permanent("header", "A header cannot hold its value; check topic and subscription.");
        let name = HeaderName::try_from(name).map_err(|_| bad())?;
        headers.insert(name, HeaderValue::try_from(value).map_err(|_| bad())?);
        Ok(())
    };
    set("ttl", &message.ttl.to_string())?;
    set("content-type", "application/octet-stream")?;
    if let Some(urgency) = message.urgency {
        set("urgency", &urgency.to_string())?;
    }
    if let Some(topic) = &message.topic {
        set("topic", topic)?;
    }
    if let Some(payload) = &message.payload {
        set("content-encoding", payload.content_encoding.to_str())?;
        for (name, value) in &payload.crypto_headers {
            set(name, value)?;
        }
    }
    Ok(headers)
}

fn unusable(error: &WebPushError) -> ProviderError {
    match error {
        WebPushError::PayloadTooLarge => {
            permanent("too_large", "The notification is longer than 3,800 bytes; shorten it.")
        }
        WebPushError::InvalidTopic => {
            permanent("topic", "The topic must be at most 32 letters, digits, `-` or `_`.")
        }
        WebPushError::InvalidUri => permanent("endpoint", "The endpoint of the subscription is not a URL."),
        _ => permanent(
            "keys",
            "The keys of the subscription are not usable; the browser has to subscribe again.",
        ),
    }
}

fn refused(answer: &HttpAnswer, now_unix: i64) -> ProviderError {
    let wait = answer.wait(now_unix);
    let class = match classify(answer.status) {
        ErrorClass::RateLimited { .. } => ErrorClass::RateLimited { retry_after: wait },
        other => other,
    };
    let advice = match answer.status {
        404 | 410 => "The subscription has ended; delete it.",
        300..=399 => "Redirects are not followed; the browser has to subscribe again.",
        401 | 403 => {
            "It does not accept our signature; check the VAPID keys and that the browser subscribed with them."
        }
        _ => advice(class),
    };
    let said = one_line(&answer.body, MOST_SAID);
    let said = if said.is_empty() { said } else { format!(" It said: {said}") };
    let message = format!("The push service answered {}. {advice}{said}", answer.status);
    // One browser may have subscribed with another key: no reason to let all others wait.
    let standing = if class == ErrorClass::Auth { Standing::OneRecipient } else { Standing::Answered };
    ProviderError::new(PROVIDER, SEND, class, message)
        .with_code(answer.status.to_string())
        .with_server_wait(wait)
        .with_standing(standing)
}

/// What a status means. Pure; the wait is added by the caller.
fn classify(status: u16) -> ErrorClass {
    match status {
        404 | 410 => ErrorClass::Gone,
        401 | 403 => ErrorClass::Auth,
        // 406 is how the service of Windows says that it is too much (WNS).
        406 | 429 => ErrorClass::RateLimited { retry_after: None },
        408 | 425 | 500.. => ErrorClass::ServerError,
        _ => ErrorClass::Permanent,
    }
}

fn permanent(code: &str, message: &str) -> ProviderError {
    ProviderError::new(PROVIDER, SEND, ErrorClass::Permanent, message).with_code(code)
}
