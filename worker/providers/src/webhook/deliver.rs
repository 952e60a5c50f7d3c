//! Sends one delivery: a signed POST with a deadline, to an address that the guard allows.
//!
//! The `webhook-id` stays the same on every attempt and is the receiver's key against duplicates, so a lost reply
//! is a plain timeout or network error here and never ambiguous. The HTTP client does nothing on its own: it follows
//! no redirect, repeats nothing, reads no proxy variables, keeps no cookies, sends no referer, decompresses nothing.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{
    Client, Request,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT},
};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{
    PROVIDER,
    answer::Answer,
    guard::{AddressGuard, Refusal, UrlRules, check_url},
    redact::known,
    signing_key::{SigningKey, sign_with},
};
use crate::{
    ErrorClass, ProviderError, Receipt, causes,
    exchange::{AGENT, certificate_was_refused},
    outbound::{OutboundSettings, http_client},
    pipeline::{self, Target},
    usage,
};

pub(super) const DELIVER: &str = "deliver";

/// Longest `webhook-id`, in bytes; ours are far shorter.
const MOST_ID_BYTES: usize = 256;
/// Most headers that a customer may add.
const MOST_EXTRA_HEADERS: usize = 16;

/// One message for one endpoint.
#[derive(Clone)]
pub struct Delivery {
    /// Stable over all attempts; visible ASCII without a dot, because dots separate the signed parts.
    pub id: String,
    /// The endpoint.
    pub url: String,
    /// All keys valid at the moment, newest first; one signature each. Empty sends unsigned.
    pub keys: Vec<SigningKey>,
    /// The JSON document, sent and signed byte by byte as it is.
    pub body: Bytes,
    /// Headers that the customer wants besides; names must start with `x-`, or be `traceparent` or `tracestate`.
    pub extra_headers: Vec<(String, String)>,
}

impl fmt::Debug for Delivery {
    /// Leaves out the URL and the values, which may hold tokens.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Delivery")
            .field("id", &self.id)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Sends deliveries; cheap to clone, keeps connections open between them.
#[derive(Clone)]
pub struct WebhookClient {
    http: Client,
    rules: UrlRules,
    guard: Arc<dyn AddressGuard>,
    timeout: Duration,
}

impl WebhookClient {
    /// Builds the client. Fails with `Permanent` when the extra certificate cannot be read.
    pub fn new(settings: OutboundSettings) -> Result<Self, ProviderError> {
        let http = http_client(&settings, PROVIDER)?;
        let OutboundSettings { rules, guard, timeout, .. } = settings;
        Ok(Self { http, rules, guard, timeout })
    }

    /// Delivers once, signed for `now_unix` (Unix seconds, also the base of a `Retry-After` date).
    ///
    /// The receipt's `provider_ref` is the `webhook-id`; its detail holds the status and the start of the reply.
    pub async fn deliver(&self, delivery: &Delivery, now_unix: i64) -> Result<Receipt, ProviderError> {
        let url = check_url(&delivery.url, &self.rules, self.guard.as_ref()).map_err(refused)?;
        let secrets = known(&delivery.keys, &url);
        let request = self.request(url, delivery, now_unix)?;
        let began = Instant::now();
        let deadline = began + self.timeout;
        let response = match timeout_at(deadline, self.http.execute(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.failed(error)),
            Err(_) => return Err(self.timed_out()),
        };
        usage::tell(response.headers());
        Answer::read(response, began, deadline, &secrets).await.judge(&delivery.id, now_unix)
    }

    fn request(&self, url: Url, delivery: &Delivery, now_unix: i64) -> Result<Request, ProviderError> {
        let headers = headers(delivery, now_unix)?;
        self.http.post(url).headers(headers).body(delivery.body.clone()).build().map_err(|error| {
            permanent("request", "The request could not be built from this delivery; check its URL.")
                .with_source(error.without_url())
        })
    }

    /// Sorts a failure of the HTTP client. A refusal by our resolver arrives here wrapped in its errors.
    fn failed(&self, error: reqwest::Error) -> ProviderError {
        let error = error.without_url();
        if let Some(refusal) = causes::find::<Refusal>(&error) {
            return refused(refusal.clone());
        }
        if error.is_timeout() && !error.is_connect() {
            return self.timed_out().with_source(error);
        }
        let class = if error.is_timeout() { ErrorClass::Timeout } else { ErrorClass::Network };
        let message = if error.is_dns() {
            "The host name could not be resolved. Check the name."
        } else if certificate_was_refused(&error) {
            "The endpoint's certificate was not accepted. Its owner has to renew it."
        } else if error.is_connect() {
            "The endpoint could not be reached. Check that it is running."
        } else {
            "The connection broke before the reply arrived. A repeat carries the same webhook-id."
        };
        ProviderError::new(PROVIDER, DELIVER, class, message).with_source(error)
    }

    fn timed_out(&self) -> ProviderError {
        let message = format!(
            "The endpoint did not answer within {:?}. A repeat carries the same webhook-id.",
            self.timeout
        );
        ProviderError::new(PROVIDER, DELIVER, ErrorClass::Timeout, message)
    }
}

impl pipeline::Client for WebhookClient {
    fn target(&self) -> Target {
        let (host, deadline) = (Box::default(), Some(self.timeout));
        Target { provider: PROVIDER, operation: DELIVER, host, deadline, may_double: false }
    }
}

/// All headers of a delivery. Ours are set last, so no other can stand in their place.
fn headers(delivery: &Delivery, now_unix: i64) -> Result<HeaderMap, ProviderError> {
    let id_is_usable = (1..=MOST_ID_BYTES).contains(&delivery.id.len())
        && delivery.id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.');
    if !id_is_usable {
        return Err(permanent(
            "webhook_id",
            "The webhook id must be 1 to 256 visible ASCII characters without a dot.",
        ));
    }
    let mut headers = extra_headers(&delivery.extra_headers)?;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert("webhook-id", value(&delivery.id)?);
    headers.insert("webhook-timestamp", HeaderValue::from(now_unix));
    if !delivery.keys.is_empty() {
        let signatures = sign_with(&delivery.keys, &delivery.id, now_unix, &delivery.body);
        headers.insert("webhook-signature", value(&signatures)?);
    }
    Ok(headers)
}

fn extra_headers(extra: &[(String, String)]) -> Result<HeaderMap, ProviderError> {
    if extra.len() > MOST_EXTRA_HEADERS {
        return Err(permanent(
            "extra_headers",
            "A delivery may carry at most 16 extra headers; remove some.",
        ));
    }
    let mut headers = HeaderMap::new();
    for (name, text) in extra {
        let parsed = HeaderName::try_from(name.as_str()).ok().filter(is_free_for_customers);
        let Some(name) = parsed else {
            return Err(permanent(
                "extra_headers",
                "An extra header has a name that is not allowed; use names that start with `x-` (but not `x-forwarded-`).",
            ));
        };
        headers.insert(name, value(text)?);
    }
    Ok(headers)
}

/// An allow-list, because headers such as `host` or `transfer-encoding` change what a request is, and
/// `x-forwarded-…` claims where it came from.
fn is_free_for_customers(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(name, "traceparent" | "tracestate")
        || (name.starts_with("x-") && !name.starts_with("x-forwarded-") && name != "x-real-ip")
}

fn value(text: &str) -> Result<HeaderValue, ProviderError> {
    HeaderValue::try_from(text).map_err(|_| {
        permanent(
            "extra_headers",
            "A header value holds a line break or another control character; remove it.",
        )
    })
}

fn permanent(code: &str, message: &str) -> ProviderError {
    ProviderError::new(PROVIDER, DELIVER, ErrorClass::Permanent, message).with_code(code)
}

fn refused(refusal: Refusal) -> ProviderError {
    permanent("address_refused", &refusal.to_string()).with_source(refusal)
}
