//! One HTTP exchange with a deadline, sorted where it fails on the way.
//!
//! Whether an exchange that broke off may be repeated depends on the call: a provider that knows no idempotency key
//! may have carried it out already. The caller says so with [`Repeat`]; what an answer means is for the caller too. Files
//! that come with an answer are for `exchange/file.rs`.

mod file;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{
    RequestBuilder, Response,
    header::{HeaderMap, RETRY_AFTER, USER_AGENT},
};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use crate::{
    ErrorClass, ProviderError, causes, content::Unread, parse_retry_after, retry_after::MAX_RETRY_AFTER,
    usage, webhook::Refusal,
};

/// How we introduce ourselves.
pub(crate) const AGENT: &str = concat!("Flota/", env!("CARGO_PKG_VERSION"));

/// Whether a call may be made again when its answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It reads, or carries a key that makes a repeat harmless.
    Safe,
    /// It does something, and the provider cannot tell a repeat.
    MayDouble,
}

/// What is said of an exchange when it fails.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange {
    pub(crate) provider: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) repeat: Repeat,
    /// Most of the answer that is taken, in bytes.
    pub(crate) most_bytes: usize,
    /// Most time for all of it.
    pub(crate) timeout: Duration,
    /// Longest silence between two pieces of the answer, where that says something.
    pub(crate) stall: Option<Duration>,
}

/// An answer of whatever status.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl HttpAnswer {
    /// True for 2xx.
    pub(crate) fn is_success(&self) -> bool {
        is_success(self.status)
    }

    /// A header that is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as this type, if it is that.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// How long the provider asks us to wait: `retry-after-ms`, `Retry-After`, or the end of its window
    /// (`x-ratelimit-reset`, Unix time in seconds or milliseconds; OpenRouter, SendGrid).
    pub(crate) fn wait(&self, now_unix: i64) -> Option<Duration> {
        let number = |name: &str| self.header(name)?.trim().parse::<i64>().ok().filter(|number| 0 <= *number);
        if let Some(milliseconds) = number("retry-after-ms") {
            return Some(Duration::from_millis(milliseconds as u64).min(MAX_RETRY_AFTER));
        }
        if let Some(wait) =
            self.header(RETRY_AFTER.as_str()).and_then(|value| parse_retry_after(value, now_unix))
        {
            return Some(wait);
        }
        let reset = number("x-ratelimit-reset")?;
        let reset = if reset < usage::SURELY_MILLISECONDS { reset } else { reset / 1_000 };
        let left = u64::try_from(reset - now_unix).ok().filter(|left| *left > 0)?;
        Some(Duration::from_secs(left).min(MAX_RETRY_AFTER))
    }
}

impl Exchange {
    /// Sends the request and reads the answer.
    pub(crate) async fn run(&self, request: RequestBuilder) -> Result<HttpAnswer, ProviderError> {
        let deadline = Instant::now() + self.timeout;
        let response = self.begin(request, deadline).await?;
        self.read(response, deadline).await
    }

    async fn begin(&self, request: RequestBuilder, deadline: Instant) -> Result<Response, ProviderError> {
        match timeout_at(deadline, request.header(USER_AGENT, AGENT).send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.broken(error)),
            Err(_) => Err(self.lost(ErrorClass::Timeout, "No answer came in time.")),
        }
    }

    async fn read(&self, mut response: Response, deadline: Instant) -> Result<HttpAnswer, ProviderError> {
        let (status, headers) = head(&mut response);
        let mut body = BytesMut::new();
        while let Some(chunk) = self.next(&mut response, deadline).await? {
            if self.most_bytes - body.len() < chunk.len() {
                // The status of a refusal says enough; of a success the body is what was asked for.
                if is_success(status) {
                    return Err(self.too_long(self.most_bytes));
                }
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpAnswer { status, headers, body: body.freeze() })
    }

    /// The next piece of an answer; of a refusal that breaks off, its end.
    async fn next(&self, response: &mut Response, deadline: Instant) -> Result<Option<Bytes>, ProviderError> {
        let patience = self.stall.map_or(deadline, |stall| deadline.min(Instant::now() + stall));
        match timeout_at(patience, response.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            _ if !response.status().is_success() => Ok(None),
            Ok(Err(error)) => Err(self.broken(error)),
            Err(_) if patience < deadline => Err(self.stalled()),
            Err(_) => Err(self.lost(ErrorClass::Timeout, "The answer did not end in time.")),
        }
    }

    fn broken(&self, error: reqwest::Error) -> ProviderError {
        let error = error.without_url();
        if let Some(refusal) = causes::find::<Refusal>(&error) {
            return self.refused(refusal.clone());
        }
        if causes::find::<Unread>(&error).is_some() {
            return ProviderError::unread(self.provider, self.operation, error);
        }
        if error.is_builder() {
            let message = "The request could not be built; check the settings for stray characters.";
            return self.error(ErrorClass::Permanent, message).with_source(error);
        }
        if error.is_connect() {
            // Nothing was sent, so nothing can have happened.
            let class = if error.is_timeout() { ErrorClass::Timeout } else { ErrorClass::Network };
            return self.error(class, unreached(&error)).with_source(error);
        }
        let lost = if error.is_timeout() {
            self.lost(ErrorClass::Timeout, "No answer came in time.")
        } else {
            self.lost(ErrorClass::Network, "The connection broke before the answer had arrived.")
        };
        lost.with_source(error)
    }

    /// The request went out and its answer was lost.
    fn lost(&self, class: ErrorClass, what: &str) -> ProviderError {
        match self.repeat {
            Repeat::Safe => self.error(class, format!("{what} The call is repeated later.")),
            Repeat::MayDouble => {
                let message = format!("{what} It may have been carried out; a repeat may do it twice.");
                self.error(ErrorClass::Ambiguous, message)
            }
        }
    }

    fn stalled(&self) -> ProviderError {
        self.lost(ErrorClass::Timeout, "The answer stopped in the middle.").with_code("stalled")
    }

    fn too_long(&self, most_bytes: usize) -> ProviderError {
        let message = format!("The answer is longer than {most_bytes} bytes, which is more than is taken.");
        self.error(ErrorClass::Permanent, message).with_code("too_long")
    }

    fn error(&self, class: ErrorClass, message: impl Into<Box<str>>) -> ProviderError {
        ProviderError::new(self.provider, self.operation, class, message)
    }
}

/// Status and headers of an answer; what they say of our allowance is told.
fn head(response: &mut Response) -> (u16, HeaderMap) {
    let headers = std::mem::take(response.headers_mut());
    usage::tell(&headers);
    (response.status().as_u16(), headers)
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

fn unreached(error: &reqwest::Error) -> &'static str {
    if error.is_dns() {
        "The host name could not be resolved; the call is repeated later. Check the name if this goes on."
    } else if certificate_was_refused(error) {
        "The certificate of the host was not accepted; the call is repeated later. Check its address."
    } else {
        "The host could not be reached; the call is repeated later. Check that it is running."
    }
}

/// True when TLS failed because of the other side's certificate.
pub(crate) fn certificate_was_refused(error: &reqwest::Error) -> bool {
    matches!(causes::find::<rustls::Error>(error), Some(rustls::Error::InvalidCertificate(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(name: &'static str, value: &str) -> Option<u64> {
        let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
        let answer = HttpAnswer { status: 429, headers, body: Bytes::new() };
        answer.wait(1_000).map(|wait| wait.as_millis() as u64)
    }

    #[test]
    fn every_form_of_a_wish_to_wait_is_understood() {
        let cases = [
            ("retry-after", "7", Some(7_000)),
            ("retry-after-ms", "1500", Some(1_500)),
            ("retry-after-ms", "-1", None),
            ("x-ratelimit-reset", "1030", Some(30_000)),
            ("x-ratelimit-reset", "999", None),
            ("x-ratelimit-reset", "4102444800000", Some(86_400_000)),
            ("x-ratelimit-reset", "soon", None),
        ];

        for (name, value, expected) in cases {
            assert_eq!(wait(name, value), expected, "for {name}: {value}");
        }
    }
}
