//! Keeps requests to URLs that users chose away from addresses that are not public (SSRF).
//!
//! The URL is checked by its parsed parts, never as text, because `0x7f.1`, `[::ffff:127.0.0.1]` and `127.0.0.1` are
//! one address. A host that is an address is judged here, since the HTTP client does not ask its resolver for those.
//! A host that is a name is judged when the client dials: the resolver in this file hands out the addresses it has
//! judged and no others, so a name cannot point elsewhere a moment later. One bad address refuses the whole answer.
//! Which addresses are public is known elsewhere and comes in as an [`AddressGuard`].

use std::{fmt, io, net::IpAddr, net::SocketAddr, sync::Arc};

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Longest URL that is called, in bytes.
const MOST_URL_BYTES: usize = 2048;

/// Says which addresses may be called.
pub trait AddressGuard: Send + Sync {
    /// Whether a request may be sent to `address`.
    fn allows(&self, address: IpAddr) -> bool;
}

impl<F: Fn(IpAddr) -> bool + Send + Sync> AddressGuard for F {
    fn allows(&self, address: IpAddr) -> bool {
        self(address)
    }
}

/// Turns a host name into addresses. Replaced in tests to play a hostile name server.
pub trait HostResolver: Send + Sync {
    /// All addresses of `host`; the guard judges them afterwards.
    fn resolve(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver, `/etc/hosts` included.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl HostResolver for SystemResolver {
    fn resolve(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((host, 0)).await?;
            Ok(addresses.map(|address| address.ip()).collect())
        })
    }
}

/// Which URLs may be called at all, before any address is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlRules {
    /// Whether plain `http` is acceptable. Only for tests, demos and private networks.
    pub allow_http: bool,
    /// The ports that may be called; `None` means every port.
    pub allowed_ports: Option<Vec<u16>>,
}

impl Default for UrlRules {
    /// `https` on the ports of public services, so that a webhook cannot be used to talk to other software.
    fn default() -> Self {
        Self { allow_http: false, allowed_ports: Some(vec![443, 8443]) }
    }
}

/// The rule that refused a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusedBecause {
    /// It is longer than 2,048 bytes.
    TooLong,
    /// It cannot be parsed, or names no host.
    NotAUrl,
    /// Its scheme is not `https` (or `http` where that is allowed).
    Scheme,
    /// It carries a user name or a password.
    UserInfo,
    /// It carries a fragment.
    Fragment,
    /// Its port is not among the allowed ones.
    Port(u16),
    /// Its host is an address that the guard does not allow, or a name with such an address.
    Address,
}

/// A URL that is not called. Names the host at most, never the path, the query or what a name resolved to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The rule.
    pub because: RefusedBecause,
    /// The host, when the URL could be parsed.
    pub host: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.as_deref().unwrap_or("(unknown)");
        match &self.because {
            RefusedBecause::TooLong => {
                write!(formatter, "The URL is longer than {MOST_URL_BYTES} bytes; use a shorter one.")
            }
            RefusedBecause::NotAUrl => {
                write!(formatter, "The URL is not a complete URL; use one like https://example.com/hook.")
            }
            RefusedBecause::Scheme => write!(
                formatter,
                "The URL of host {host} does not use https; use its https address, or allow http in the settings."
            ),
            RefusedBecause::UserInfo => write!(
                formatter,
                "The URL of host {host} holds a user name or password; remove it, requests carry no passwords."
            ),
            RefusedBecause::Fragment => {
                write!(formatter, "The URL of host {host} holds a fragment (#…); remove it.")
            }
            RefusedBecause::Port(port) => write!(
                formatter,
                "The URL of host {host} uses port {port}, which is not among the allowed ports; use 443, or add the port to the settings."
            ),
            RefusedBecause::Address => write!(
                formatter,
                "The host {host} has an address that is not public, so nothing was sent; use a public host, or allow its network in the settings."
            ),
        }
    }
}

impl std::error::Error for Refusal {}

/// Parses `text` and judges everything that can be known before a name is resolved.
pub fn check_url(text: &str, rules: &UrlRules, guard: &dyn AddressGuard) -> Result<Url, Refusal> {
    let refuse = |because, url: Option<&Url>| {
        Err(Refusal { because, host: url.and_then(Url::host_str).map(ToOwned::to_owned) })
    };
    if text.len() > MOST_URL_BYTES {
        return refuse(RefusedBecause::TooLong, None);
    }
    let Ok(url) = Url::parse(text) else {
        return refuse(RefusedBecause::NotAUrl, None);
    };
    let scheme_allowed = url.scheme() == "https" || (rules.allow_http && url.scheme() == "http");
    if !scheme_allowed {
        return refuse(RefusedBecause::Scheme, Some(&url));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse(RefusedBecause::UserInfo, Some(&url));
    }
    if url.fragment().is_some() {
        return refuse(RefusedBecause::Fragment, Some(&url));
    }
    if let Some(port) = refused_port(&url, rules) {
        return refuse(RefusedBecause::Port(port), Some(&url));
    }
    match url.host() {
        None => refuse(RefusedBecause::NotAUrl, None),
        Some(Host::Domain(name)) if !has_all_labels(name) => refuse(RefusedBecause::NotAUrl, None),
        Some(Host::Ipv4(address)) if !guard.allows(address.into()) => {
            refuse(RefusedBecause::Address, Some(&url))
        }
        Some(Host::Ipv6(address)) if !guard.allows(address.into()) => {
            refuse(RefusedBecause::Address, Some(&url))
        }
        Some(_) => Ok(url),
    }
}

/// False for `.` and `a..b`: no resolver finds them, and `127.0.0.1..` is no name that anybody should try to resolve.
/// The check of payloads, which neither knows nor is known here, has the same; one list of hostile URLs tests both.
fn has_all_labels(name: &str) -> bool {
    name.strip_suffix('.').unwrap_or(name).split('.').all(|label| !label.is_empty())
}

fn refused_port(url: &Url, rules: &UrlRules) -> Option<u16> {
    let allowed = rules.allowed_ports.as_ref()?;
    url.port_or_known_default().filter(|port| !allowed.contains(port))
}

/// The resolver that the HTTP client dials through.
pub(crate) struct GuardedResolver {
    pub(crate) guard: Arc<dyn AddressGuard>,
    pub(crate) resolver: Arc<dyn HostResolver>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.guard);
        let host = name.as_str().to_owned();
        let resolving = self.resolver.resolve(host.clone());
        Box::pin(async move {
            let addresses = resolving.await?;
            if !addresses.iter().all(|address| guard.allows(*address)) {
                return Err(Refusal { because: RefusedBecause::Address, host: Some(host) }.into());
            }
            // The client puts the port of the URL in place of 0.
            let dialable: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(dialable)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stand-in with the shape of the real rule: loopback and private addresses are not public.
    fn public_only(address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => {
                !(v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified())
            }
            IpAddr::V6(v6) => {
                let mapped_allowed = v6.to_ipv4_mapped().is_none_or(|v4| public_only(v4.into()));
                !(v6.is_loopback() || v6.is_unspecified()) && mapped_allowed
            }
        }
    }

    fn verdict(url: &str) -> Result<(), RefusedBecause> {
        check_url(url, &UrlRules::default(), &public_only).map(drop).map_err(|refusal| refusal.because)
    }

    #[test]
    fn ordinary_endpoints_pass() {
        for url in [
            "https://example.com/hook?a=b",
            "https://example.com:8443/",
            "https://8.8.8.8/",
            "HTTPS://ÜBER.example/",
        ] {
            assert_eq!(verdict(url), Ok(()), "for {url}");
        }
    }

    #[test]
    fn every_spelling_of_a_private_address_is_refused() {
        let hosts = [
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "0x7f000001",
            "2130706433",
            "0177.0.0.1",
            "127.0.0.1.",
            "0",
            "0.0.0.0",
            "10.0.0.1",
            "169.254.169.254",
            "192.168.1.1",
            "%31%32%37.0.0.1",
            "127。0。0。1",
            "[::1]",
            "[::]",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "[::FFFF:7f00:1]",
        ];

        for host in hosts {
            assert_eq!(verdict(&format!("https://{host}/")), Err(RefusedBecause::Address), "for {host}");
        }
    }

    #[test]
    fn each_rule_about_the_shape_of_a_url_says_its_name() {
        let long = format!("https://example.com/{}", "a".repeat(MOST_URL_BYTES));
        let cases = [
            (long.as_str(), RefusedBecause::TooLong),
            ("example.com/hook", RefusedBecause::NotAUrl),
            ("https://", RefusedBecause::NotAUrl),
            ("https://[fe80::1%25lo]/", RefusedBecause::NotAUrl),
            ("http://example.com/", RefusedBecause::Scheme),
            ("file:///etc/passwd", RefusedBecause::Scheme),
            ("gopher://example.com/", RefusedBecause::Scheme),
            ("https://user@example.com/", RefusedBecause::UserInfo),
            ("https://:secret@example.com/", RefusedBecause::UserInfo),
            ("https://example.com/#here", RefusedBecause::Fragment),
            ("https://example.com:6379/", RefusedBecause::Port(6379)),
            ("https://example.com:80/", RefusedBecause::Port(80)),
        ];

        for (url, because) in cases {
            assert_eq!(verdict(url), Err(because), "for {url}");
        }
    }

    #[test]
    fn plain_http_and_other_ports_pass_only_where_the_caller_says_so() {
        let open = UrlRules { allow_http: true, allowed_ports: None };

        assert!(check_url("http://example.com:8080/", &open, &public_only).is_ok());
        assert!(check_url("http://127.0.0.1:8080/", &open, &public_only).is_err());
    }

    #[test]
    fn a_refusal_names_the_host_and_nothing_more_of_the_url() {
        let refusal =
            check_url("https://u:p4ss@example.com/path?token=t0k", &UrlRules::default(), &public_only)
                .unwrap_err();

        let sentence = refusal.to_string();

        assert!(sentence.contains("example.com"));
        for secret in ["p4ss", "t0k", "path"] {
            assert!(!sentence.contains(secret), "{sentence}");
        }
    }
}
