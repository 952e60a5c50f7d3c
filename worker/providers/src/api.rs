//! One provider's HTTPS API: where it is, how long a call may take, and which secret must never be repeated.
//!
//! The address comes from the settings, because regions, proxies and tests have their own. Sentences of the provider
//! are kept for people, after our own credentials have been taken out of them: some providers quote what they were
//! sent.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use reqwest::{Client, RequestBuilder, redirect::Policy};
use secrecy::SecretString;
use url::{Host, Url};

use crate::{
    ErrorClass, ProviderError,
    content::{Content, FetchError, Gathering},
    error::UNREAD,
    exchange::{Exchange, HttpAnswer, Repeat},
    outbound::certificates,
    pipeline::Target,
    probe::PROBE,
    secrets::Secrets,
};

/// How much of a provider's sentence is kept, in bytes.
const MOST_SAID: usize = 400;
/// Most of an answer that is taken: the text of a full page with the place of every letter fits.
const MOST_ANSWER: usize = 16 * 1024 * 1024;
/// Most time to open a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Where an API is and how it is called.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Its address without a slash at the end, for example `https://graph.facebook.com/v23.0`.
    pub base_url: String,
    /// Most time for one call.
    pub timeout: Duration,
    /// Certificates (PEM) to trust besides those of the system.
    pub extra_root_ca_pem: Option<Vec<u8>>,
}

impl ApiSettings {
    /// An API at this address, whose calls take at most this long.
    pub fn new(base_url: impl Into<String>, timeout: Duration) -> Self {
        Self { base_url: base_url.into(), timeout, extra_root_ca_pem: None }
    }
}

/// Calls one API.
pub(crate) struct Api {
    provider: &'static str,
    http: Client,
    base_url: String,
    host: Box<str>,
    timeout: Duration,
    secrets: Secrets,
}

impl fmt::Debug for Api {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Api").field("provider", &self.provider).finish_non_exhaustive()
    }
}

impl Api {
    /// `secret` is the credential that is taken out of everything that the provider says.
    pub(crate) fn new(
        provider: &'static str,
        settings: ApiSettings,
        secret: SecretString,
    ) -> Result<Self, ProviderError> {
        let ApiSettings { base_url, timeout, extra_root_ca_pem } = settings;
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .https_only(base_url.starts_with("https://"))
            .connect_timeout(CONNECT)
            .timeout(timeout);
        // Whatever HTTP_PROXY says: no proxy leads to this machine, and a sandbox's calls belong to nobody else.
        if is_here(&base_url) {
            builder = builder.no_proxy();
        }
        if let Some(pem) = &extra_root_ca_pem {
            builder = builder.tls_certs_merge(certificates(pem, provider)?);
        }
        let http = builder.build().map_err(|error| {
            let message = "The HTTP client could not be built; check the system's certificates.";
            ProviderError::new(provider, "set up", ErrorClass::Permanent, message)
                .with_source(error.without_url())
        })?;
        let host = host_and_port(&base_url);
        Ok(Self {
            provider,
            http,
            base_url: base_url.trim_end_matches('/').to_owned(),
            host,
            timeout,
            secrets: Secrets::of(&secret),
        })
    }

    /// Takes out of what the provider says also the pair of the credential and this user name.
    #[must_use]
    pub(crate) fn with_login(mut self, user: &str, secret: &SecretString) -> Self {
        self.secrets = self.secrets.with_login(user, secret);
        self
    }

    /// What the pipeline has to know of calls of this operation.
    pub(crate) fn target(&self, operation: &'static str, repeat: Repeat) -> Target {
        Target {
            provider: self.provider,
            operation,
            host: self.host.clone(),
            deadline: Some(self.timeout),
            may_double: repeat == Repeat::MayDouble,
        }
    }

    /// A POST to this path of the API; it begins with a slash.
    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(self.url(path))
    }

    /// The address of this path of the API.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    /// A GET of this path of the API; it begins with a slash.
    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.base_url))
    }

    /// A GET of an address that the API named. The caller has made sure that it may be called.
    pub(crate) fn get_url(&self, url: Url) -> RequestBuilder {
        self.http.get(url)
    }

    /// Makes the call and answers whatever came back.
    pub(crate) async fn call(
        &self,
        operation: &'static str,
        request: RequestBuilder,
        repeat: Repeat,
    ) -> Result<HttpAnswer, ProviderError> {
        self.exchange(operation, repeat).run(request).await
    }

    /// The same for a request whose body is read while it is sent. When that cannot be read to its end, which sets
    /// `broke_off`, nobody has taken it.
    pub(crate) async fn call_with(
        &self,
        operation: &'static str,
        request: RequestBuilder,
        broke_off: &AtomicBool,
        repeat: Repeat,
    ) -> Result<HttpAnswer, ProviderError> {
        let called = self.call(operation, request, repeat).await;
        called.map_err(|error| {
            let is_known = error.code.as_deref() == Some(UNREAD);
            if is_known || !broke_off.load(Ordering::Relaxed) {
                return error;
            }
            ProviderError::unread(self.provider, operation, error)
        })
    }

    /// Makes the call of a [`Probe`](crate::probe::Probe): it only reads.
    pub(crate) async fn probe(&self, request: RequestBuilder) -> Result<HttpAnswer, ProviderError> {
        self.call(PROBE, request, Repeat::Safe).await
    }

    /// The same for an answer that comes in pieces: a silence longer than `stall` ends it.
    pub(crate) async fn listen(
        &self,
        operation: &'static str,
        request: RequestBuilder,
        repeat: Repeat,
        stall: Duration,
    ) -> Result<HttpAnswer, ProviderError> {
        Exchange { stall: Some(stall), ..self.exchange(operation, repeat) }.run(request).await
    }

    fn exchange(&self, operation: &'static str, repeat: Repeat) -> Exchange {
        let (provider, timeout) = (self.provider, self.timeout);
        Exchange { provider, operation, repeat, most_bytes: MOST_ANSWER, timeout, stall: None }
    }

    /// Fetches a file.
    pub(crate) async fn fetch(
        &self,
        operation: &'static str,
        request: RequestBuilder,
        file: Gathering,
    ) -> Result<(HttpAnswer, Content), FetchError> {
        self.exchange(operation, Repeat::Safe).fetch(request, file).await
    }

    /// What the provider said, on one line, without our credential.
    pub(crate) fn said(&self, text: &str) -> String {
        self.secrets.quote(text, MOST_SAID)
    }

    /// An error of this provider whose sentence ends with what it said.
    pub(crate) fn error(
        &self,
        operation: &'static str,
        class: ErrorClass,
        advice: &str,
        said: &str,
    ) -> ProviderError {
        let said = self.said(said);
        let message = if said.is_empty() { advice.to_owned() } else { format!("{advice} It said: {said}") };
        ProviderError::new(self.provider, operation, class, message)
    }
}

/// The machine that a URL leads to, as `host:port`; empty for what is no URL.
pub fn host_and_port(url: &str) -> Box<str> {
    let url = Url::parse(url).ok();
    let place = url.as_ref().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
    place.map_or_else(Box::default, |(host, port)| format!("{host}:{port}").into())
}

/// Whether an address is on this machine. Names below localhost are too (RFC 6761 section 6.3).
fn is_here(url: &str) -> bool {
    let url = Url::parse(url).ok();
    url.as_ref().and_then(Url::host).is_some_and(|host| match host {
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    })
}

/// What helps against a class, for the beginning of a provider's sentence. Where nothing was asked but whether the
/// credential works, no job is repeated later.
pub(crate) fn advice(operation: &str, class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Permanent | ErrorClass::Gone if operation == PROBE => {
            "It does not know what was asked for."
        }
        ErrorClass::RateLimited { .. } if operation == PROBE => {
            "It asks to slow down, so nothing was found out."
        }
        ErrorClass::ServerError | ErrorClass::Ambiguous if operation == PROBE => {
            "The trouble is on the other side, so nothing was found out."
        }
        ErrorClass::Permanent => "The same request would be refused again; correct the job's data.",
        ErrorClass::Gone => "The target no longer exists; remove it.",
        ErrorClass::Auth => "Our credential or account is not accepted; jobs wait until it is mended.",
        ErrorClass::Quota => "The account's allowance is used up; jobs wait until there is more.",
        ErrorClass::RateLimited { .. } => "It asks to slow down; the job is repeated later.",
        ErrorClass::ServerError | ErrorClass::Timeout | ErrorClass::Network | ErrorClass::Ambiguous => {
            "The trouble is on the other side; the job is repeated later."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_broke_off_is_no_call_that_may_have_been_carried_out_whatever_the_error_says() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let api = Api::new("mail", ApiSettings::new(url, Duration::from_millis(50)), "key".into()).unwrap();
        let mut classes = Vec::new();
        for broke_off in [false, true] {
            let request = api.post("/").body("{}");
            let sent = api.call_with("send", request, &broke_off.into(), Repeat::MayDouble).await;
            classes.push(sent.unwrap_err().class);
        }

        assert_eq!(classes, [ErrorClass::Ambiguous, ErrorClass::ServerError]);
    }

    #[test]
    fn this_machine_is_known_by_every_one_of_its_names() {
        for here in ["http://127.0.0.1:9800/v1", "http://127.8.8.8", "https://localhost/", "http://[::1]:80"]
        {
            assert!(is_here(here), "{here}");
        }
        for there in ["https://graph.facebook.com", "http://10.0.0.1", "http://localhost.example.com", "no"] {
            assert!(!is_here(there), "{there}");
        }
    }
}
