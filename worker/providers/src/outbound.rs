//! HTTP to URLs that users chose: a push service, a recording, a picture.
//!
//! A client of this file goes only where its guard allows, whatever a name resolves to, and does nothing on its own:
//! it follows no redirect, repeats nothing, reads no proxy variables, keeps no cookies, sends no referer. What an
//! answer means is for the caller; webhooks have a client of their own on the same base.

use std::{sync::Arc, time::Duration};

use reqwest::{Certificate, Client, header::HeaderMap, redirect::Policy};

use crate::{
    ErrorClass, ProviderError,
    content::{Content, FetchError, Gathering},
    exchange::{Exchange, HttpAnswer, Repeat},
    webhook::{
        AddressGuard, HostResolver, Refusal, SystemResolver, UrlRules, check_url, guard::GuardedResolver,
    },
};

/// The name of downloads in errors and metrics.
pub const PROVIDER: &str = "download";
/// How long a connection waits for its next use: below the 5 s after which Node.js servers close theirs.
const MOST_IDLE: Duration = Duration::from_secs(4);

/// How requests are made.
#[derive(Clone)]
pub struct OutboundSettings {
    /// Which URLs are acceptable. The default is `https` on 443 and 8443.
    pub rules: UrlRules,
    /// Which addresses may be called.
    pub guard: Arc<dyn AddressGuard>,
    /// Resolves host names; the guard judges what it answers.
    pub resolver: Arc<dyn HostResolver>,
    /// Most time to open a connection.
    pub connect_timeout: Duration,
    /// Most time from the start of a request until its answer has arrived, however slowly it drips.
    pub timeout: Duration,
    /// Certificates (PEM) to trust besides those of the system.
    pub extra_root_ca_pem: Option<Vec<u8>>,
}

impl OutboundSettings {
    /// The safe settings: 3 s to connect, 15 s in all (Standard Webhooks suggests 15 to 30 s), system resolver.
    pub fn new(guard: Arc<dyn AddressGuard>) -> Self {
        Self {
            rules: UrlRules::default(),
            guard,
            resolver: Arc::new(SystemResolver),
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(15),
            extra_root_ca_pem: None,
        }
    }
}

/// Calls URLs that users chose; cheap to clone, keeps connections open between calls.
#[derive(Clone)]
pub struct OutboundClient {
    http: Client,
    rules: UrlRules,
    guard: Arc<dyn AddressGuard>,
    timeout: Duration,
}

/// One request of [`OutboundClient::post`].
pub(crate) struct OutboundPost<'a> {
    pub(crate) provider: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) url: &'a str,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) repeat: Repeat,
}

impl OutboundClient {
    /// Builds the client. Fails with `Permanent` when the extra certificate cannot be read.
    pub fn new(settings: OutboundSettings) -> Result<Self, ProviderError> {
        let http = http_client(&settings, PROVIDER)?;
        let OutboundSettings { rules, guard, timeout, .. } = settings;
        Ok(Self { http, rules, guard, timeout })
    }

    /// Downloads a file. `now_unix` is the base of a `Retry-After` date.
    pub async fn download(&self, url: &str, file: Gathering, now_unix: i64) -> Result<Content, FetchError> {
        const GET: &str = "get";
        let exchange = self.exchange(PROVIDER, GET, Repeat::Safe, MOST_ANSWER_BYTES);
        let url = check_url(url, &self.rules, self.guard.as_ref()).map_err(|why| exchange.refused(why))?;
        let (answer, content) = exchange.fetch(self.http.get(url), file).await?;
        if answer.status == 200 {
            return Ok(content);
        }
        let wait = answer.wait(now_unix);
        let (class, advice) = match answer.status {
            429 => (ErrorClass::RateLimited { retry_after: wait }, "The download is repeated later."),
            408 | 425 | 500.. => (ErrorClass::ServerError, "The download is repeated later."),
            300..=399 => (ErrorClass::Permanent, "Redirects are not followed; give the final URL."),
            _ => (ErrorClass::Permanent, "Check that the file exists and that its URL needs no login."),
        };
        let message = format!("The server of the file answered {}. {advice}", answer.status);
        let error = ProviderError::new(PROVIDER, GET, class, message);
        Err(error.with_code(answer.status.to_string()).with_server_wait(wait).into())
    }

    /// Sends one POST and answers whatever came back.
    pub(crate) async fn post(&self, post: OutboundPost<'_>) -> Result<HttpAnswer, ProviderError> {
        let exchange = self.exchange(post.provider, post.operation, post.repeat, MOST_ANSWER_BYTES);
        let url =
            check_url(post.url, &self.rules, self.guard.as_ref()).map_err(|why| exchange.refused(why))?;
        exchange.run(self.http.post(url).headers(post.headers).body(post.body)).await
    }

    fn exchange(
        &self,
        provider: &'static str,
        operation: &'static str,
        repeat: Repeat,
        most_bytes: usize,
    ) -> Exchange {
        Exchange { provider, operation, repeat, most_bytes, timeout: self.timeout, stall: None }
    }
}

/// How much of the answer to a POST, or of a refusal, is read.
const MOST_ANSWER_BYTES: usize = 64 * 1024;

impl Exchange {
    /// The error for a URL that is not called.
    pub(crate) fn refused(&self, refusal: Refusal) -> ProviderError {
        let message = refusal.to_string();
        ProviderError::new(self.provider, self.operation, ErrorClass::Permanent, message)
            .with_code("address_refused")
            .with_source(refusal)
    }
}

/// The HTTP client that a guard watches over.
pub(crate) fn http_client(
    settings: &OutboundSettings,
    provider: &'static str,
) -> Result<Client, ProviderError> {
    let (guard, resolver) = (Arc::clone(&settings.guard), Arc::clone(&settings.resolver));
    let mut builder = Client::builder()
        .dns_resolver(GuardedResolver { guard, resolver })
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .https_only(!settings.rules.allow_http)
        .pool_idle_timeout(MOST_IDLE)
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.timeout);
    if let Some(pem) = &settings.extra_root_ca_pem {
        builder = builder.tls_certs_merge(certificates(pem, provider)?);
    }
    builder.build().map_err(|error| {
        let message = "The HTTP client could not be built; check the extra CA and the system's certificates.";
        permanent(provider, "client", message).with_source(error.without_url())
    })
}

/// The certificates of a PEM file.
pub(crate) fn certificates(pem: &[u8], provider: &'static str) -> Result<Vec<Certificate>, ProviderError> {
    let message = "The extra CA holds no readable certificate; give PEM with BEGIN CERTIFICATE.";
    let unreadable = || permanent(provider, "extra_root_ca", message);
    let certificates = Certificate::from_pem_bundle(pem).map_err(|_| unreadable())?;
    if certificates.is_empty() { Err(unreadable()) } else { Ok(certificates) }
}

fn permanent(provider: &'static str, code: &str, message: &str) -> ProviderError {
    ProviderError::new(provider, "set up", ErrorClass::Permanent, message).with_code(code)
}
