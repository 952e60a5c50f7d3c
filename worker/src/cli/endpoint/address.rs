//! Whether an endpoint's URL is one that a worker would deliver to, as far as that can be known when it is registered.
//!
//! The last word has the guard when a worker dials; what is refused here would never get that far.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use flota_producer::{check_tenant, payloads::check_public_url};
use flota_providers::{
    api::host_and_port,
    webhook::{UrlRules, check_url},
};
use ipnet::IpNet;
use tokio::{net::lookup_host, time::timeout};

use crate::{config::Environment, exit::Stop, services};

/// Longest wait for a name server. Who does not answer has no say.
const PATIENCE: Duration = Duration::from_secs(2);
const ADVICE: &str = "Webhooks go by https on port 443 or 8443; other ports, http and private addresses are only for \
                      networks that FLOTA_WEBHOOK_ALLOW_CIDRS names";

/// Checks tenant and URL of a new endpoint.
pub(super) async fn check(environment: &Environment, url: &str, tenant: Option<&str>) -> Result<(), Stop> {
    if let Some(tenant) = tenant {
        check_tenant(tenant).map_err(|error| Stop::usage(error.to_string()))?;
    }
    let allowed = &environment.webhook_allow;
    if services::is_ordinary(url) && !is_listed(url, allowed) {
        return check_public_url(url).map(drop).map_err(|problem| Stop::usage(format!("the URL {problem}")));
    }
    // Without a network of one's own no worker would ever deliver to such a URL, whatever its name resolves to.
    let rules = if allowed.is_empty() { UrlRules::default() } else { services::inside_rules() };
    let guard = services::guard(allowed.clone(), false);
    check_url(url, &rules, &guard).map_err(|refusal| Stop::usage(format!("{refusal} {ADVICE}")))?;
    match stranger(url, allowed).await {
        Some(address) => Err(Stop::usage(format!(
            "the URL leads to {address}, which is in none of the networks of FLOTA_WEBHOOK_ALLOW_CIDRS. {ADVICE}"
        ))),
        None => Ok(()),
    }
}

/// An address outside the allowed networks that the URL's name leads to. None for a name that nobody knows here: the
/// workers may have another name server.
async fn stranger(url: &str, allowed: &[IpNet]) -> Option<IpAddr> {
    let place = host_and_port(url);
    let found = timeout(PATIENCE, lookup_host(&*place)).await.ok()?.ok()?;
    let mut addresses = found.map(|address| address.ip());
    addresses.find(|address| !allowed.iter().any(|network| network.contains(address)))
}

/// True for an address, or a name of this machine, inside an allowed private network.
fn is_listed(url: &str, allowed: &[IpNet]) -> bool {
    let contains = |address: IpAddr| allowed.iter().any(|network| network.contains(&address));
    match url::Url::parse(url).as_ref().map(url::Url::host) {
        Ok(Some(url::Host::Ipv4(address))) => contains(address.into()),
        Ok(Some(url::Host::Ipv6(address))) => contains(address.into()),
        Ok(Some(url::Host::Domain(name))) => name == "localhost" && contains(Ipv4Addr::LOCALHOST.into()),
        _ => false,
    }
}
