//! `deliver_webhook`: one signed event for a customer's HTTP endpoint.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::{
    payload::{Invalid, Payload, SecretFields},
    public_address,
};

/// Longest URL that is accepted, in bytes.
pub const MAX_URL: usize = 2_048;
/// Longest name of an event, in bytes.
const MAX_EVENT: usize = 128;

/// Delivers one event to an endpoint, signed after Standard Webhooks
/// (<https://www.standardwebhooks.com>): the body is `{"type", "timestamp", "data"}`.
///
/// ```
/// use flota_producer::{DeliverWebhook, Payload};
///
/// let event = DeliverWebhook::to_endpoint("ep_orders", "order.paid", serde_json::json!({"order": 42}));
/// assert!(event.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeliverWebhook {
    /// Id of a registered endpoint (`flota endpoint add`), which holds address and secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub endpoint: Option<String>,
    /// Address to deliver to when no endpoint is registered; signed with the fleet's `WEBHOOK_SECRET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_URL)))]
    pub url: Option<String>,
    /// What happened, dotted: `order.paid`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_EVENT)))]
    pub event: String,
    /// The event's content.
    pub data: Value,
}

impl DeliverWebhook {
    /// To a registered endpoint.
    pub fn to_endpoint(endpoint: impl Into<String>, event: impl Into<String>, data: Value) -> Self {
        Self { endpoint: Some(endpoint.into()), url: None, event: event.into(), data }
    }

    /// To an address, signed with the fleet's own secret.
    pub fn to_url(url: impl Into<String>, event: impl Into<String>, data: Value) -> Self {
        Self { endpoint: None, url: Some(url.into()), event: event.into(), data }
    }
}

impl Payload for DeliverWebhook {
    const KIND: &'static str = "deliver_webhook";
    const QUEUE: &'static str = "webhook";
    const SECRET: SecretFields = SecretFields { payload: &["url", "data"], result: &["body"] };

    #[cfg(feature = "schema")]
    fn schema() -> Option<serde_json::Value> {
        Some(crate::payload::schema_of::<Self>())
    }

    fn validate(&self) -> Result<(), Invalid> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let event = (1..=MAX_EVENT).contains(&self.event.len()) && self.event.chars().all(plain);
        Invalid::unless(event, "event", "must be 1 to 128 letters, digits, `.`, `_` or `-`")?;
        match (&self.endpoint, &self.url) {
            (Some(endpoint), None) => Invalid::unless(!endpoint.is_empty(), "endpoint", "must not be empty"),
            (None, Some(url)) => {
                check_public_url(url).map(drop).map_err(|problem| Invalid::new("url", problem))
            }
            _ => Err(Invalid::new("endpoint", "or `url` must be given, and only one of them")),
        }
    }
}

/// Checks what can be known of a URL before its name is resolved: https, no credentials, no fragment, and no literal
/// address inside a private network. What a name resolves to is checked by the worker when it dials.
///
/// # Errors
/// What is wrong, as the rest of a sentence that starts with the field.
pub fn check_public_url(text: &str) -> Result<Url, String> {
    if MAX_URL < text.len() {
        return Err(format!("must not be longer than {MAX_URL} bytes"));
    }
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    if url.scheme() != "https" {
        return Err(format!("must start with https://, not {}://", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not hold a fragment (#…), which no server sees".to_owned());
    }
    let address = match url.host() {
        Some(url::Host::Ipv4(address)) => Some(address.into()),
        Some(url::Host::Ipv6(address)) => Some(address.into()),
        Some(url::Host::Domain(name)) if is_local_name(name) => {
            return Err(format!("points to `{name}`, a name of this machine or network"));
        }
        Some(url::Host::Domain(name)) if has_all_labels(name) => None,
        _ => return Err("must name a host".to_owned()),
    };
    match address.map(public_address::check) {
        Some(Err(range)) => Err(format!("points into {range}, which is not the public internet")),
        _ => Ok(url),
    }
}

/// Names by which clouds serve a machine its credentials.
const METADATA: [&str; 5] =
    ["metadata", "metadata.goog", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"];

/// False for `.` and `a..b`, which are no names.
fn has_all_labels(name: &str) -> bool {
    name.strip_suffix('.').unwrap_or(name).split('.').all(|label| !label.is_empty())
}

fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost") || METADATA.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_needs_exactly_one_target() {
        let mut event = DeliverWebhook::to_endpoint("ep_1", "order.paid", Value::Null);
        assert!(event.validate().is_ok());

        event.url = Some("https://example.com/".into());
        assert_eq!(event.validate().unwrap_err().field, "endpoint");
    }

    #[test]
    fn private_addresses_are_refused_in_every_spelling() {
        let hosts = [
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "2130706433",
            "0177.0.0.1",
            "10.1.2.3",
            "169.254.169.254",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[fd00::1]",
            "[fe80::1]",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "x.localhost",
            "168.63.129.16",
            "100.100.100.200",
        ];
        for host in hosts {
            assert!(check_public_url(&format!("https://{host}/hook")).is_err(), "{host} was accepted");
        }
        assert!(check_public_url("https://example.com/hook?x=1").is_ok());
    }

    #[test]
    fn other_schemes_and_credentials_are_refused() {
        for url in [
            "http://example.com/",
            "ftp://example.com/",
            "https://u:p@example.com/",
            "example.com",
            "https://",
        ] {
            assert!(check_public_url(url).is_err(), "{url} was accepted");
        }
    }
}
