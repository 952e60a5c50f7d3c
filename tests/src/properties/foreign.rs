//! What people, providers and customers write: files, headers, URLs, secrets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, Utc};
use flota_producer::{keys::check_queue_name, public_address};
use flota_providers::{
    MAX_RETRY_AFTER, parse_retry_after,
    webhook::{SecretError, SigningSecret, TOLERANCE_SECONDS, UrlRules, check_url, sign, verify},
};
use flota_worker::{
    config::queues::{self, QueuesError},
    schedules,
};
use secrecy::ExposeSecret;
use url::Host;

/// A moment inside the example dates of RFC 9110, Unix seconds.
const NOW: i64 = 784_111_777;

/// A file that is taken has only policies that fit together; one that is not is told why.
pub fn queues_toml(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match queues::parse("queues.toml", &text) {
        Ok(queues) => {
            assert!(!queues.policies.is_empty(), "a fleet without a queue");
            for policy in &queues.policies {
                assert!(check_queue_name(&policy.name).is_ok());
                assert!(policy.heartbeat * 2 <= policy.lease, "{policy:?}");
                assert!(0 < policy.concurrency && 0 < policy.max_attempts && 0 < policy.max_deliveries);
                assert!(policy.retry.base <= policy.retry.cap, "{policy:?}");
            }
        }
        Err(QueuesError::Refused(problems)) => {
            assert!(!problems.is_empty());
            assert!(problems.iter().all(|problem| problem.to_string().contains("queues.toml")));
        }
        Err(other) => panic!("{other}"),
    }
}

/// A pattern that is taken ticks, forwards only.
pub fn cron(bytes: &[u8]) {
    let pattern = toml::Value::from(String::from_utf8_lossy(bytes).into_owned());
    let file = format!(
        "[queues.webhook]\n[schedules.x]\ncron = {pattern}\nkind = \"deliver_webhook\"\ntimezone = \"Europe/Berlin\"\n\
         payload = {{ url = \"https://example.com/hook\", event = \"tick\", data = {{}} }}\n"
    );
    let queues = match queues::parse("queues.toml", &file) {
        Ok(queues) => queues,
        Err(error) => return assert!(error.to_string().contains("schedules.x.cron"), "{error}"),
    };
    let schedule = &queues.schedules[0];
    let mut after: DateTime<Utc> = DateTime::from_timestamp(NOW, 0).expect("a time");
    for _ in 0..3 {
        let Some(tick) = schedules::next(&schedule.cron, schedule.timezone, after) else { return };
        assert!(after < tick, "{pattern} ticks backwards from {after} to {tick}");
        after = tick;
    }
}

/// No wait is longer than a day.
pub fn retry_after(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for now in [NOW, 0, i64::MIN, i64::MAX] {
        assert!(parse_retry_after(&text, now).is_none_or(|wait| wait <= MAX_RETRY_AFTER));
    }
}

/// No header but the right one is believed, and the right one is.
pub fn signature(bytes: &[u8]) {
    let mut parts = bytes.splitn(4, |byte| *byte == b'\n').map(String::from_utf8_lossy);
    let mut part = || parts.next().unwrap_or_default();
    let (id, timestamp, header, body) = (part(), part(), part(), part());
    let secrets = [SigningSecret::from_bytes(vec![7; 32]).expect("32 bytes are enough")];
    let right = sign(&secrets, &id, NOW, body.as_bytes());

    let taken = verify(&secrets, &id, &timestamp, &header, body.as_bytes(), NOW).is_ok();
    let signed_now = sign(&secrets, &id, timestamp.parse().unwrap_or_default(), body.as_bytes());
    assert!(
        !taken || header.split(' ').any(|one| one.trim_end_matches('=') == signed_now.trim_end_matches('='))
    );

    let at = |now| verify(&secrets, &id, &NOW.to_string(), &right, body.as_bytes(), now);
    assert_eq!(at(NOW), Ok(()));
    assert!(at(NOW + TOLERANCE_SECONDS + 1).is_err() && at(i64::MIN).is_err());
    let longer = [body.as_bytes(), b"x"].concat();
    assert!(verify(&secrets, &id, &NOW.to_string(), &right, &longer, NOW).is_err());
}

/// A secret that is taken reads back, and one that is not is never repeated.
pub fn signing_secret(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match SigningSecret::parse(&text) {
        Ok(secret) => {
            let again = SigningSecret::parse(secret.to_text().expose_secret()).expect("our own text");
            assert_eq!(sign(&[secret], "a", 1, b"b"), sign(&[again], "a", 1, b"b"));
        }
        Err(error) => {
            let secret = text.trim().trim_start_matches("whsec_");
            // A text may repeat our own words.
            let own_words = [SecretError::Malformed, SecretError::Length(0)].map(|error| error.to_string());
            let is_ours = own_words.iter().any(|words| words.contains(secret));
            assert!(secret.len() < 8 || is_ours || !error.to_string().contains(secret));
        }
    }
}

/// Whatever is let through leads to the public internet or to a name, which is judged when it is resolved.
pub fn url_guard(bytes: &[u8]) {
    let guard = |address: IpAddr| public_address::check(address).is_ok();
    let open = UrlRules { allow_http: true, allowed_ports: None };
    let text = String::from_utf8_lossy(bytes);
    match check_url(&text, &open, &guard) {
        Ok(url) => {
            assert!(matches!(url.scheme(), "http" | "https"));
            assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
            match url.host().expect("a host") {
                Host::Ipv4(address) => assert!(is_public(address), "{url}"),
                Host::Ipv6(address) => assert!(is_global(address), "{url}"),
                Host::Domain(name) => {
                    let bare = name.trim_end_matches('.').trim_matches(['[', ']']);
                    assert!(bare.parse::<IpAddr>().is_err(), "{name} is an address, not a name");
                }
            }
        }
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
    }
    if let Some(four) = bytes.first_chunk::<4>() {
        let address = Ipv4Addr::from(*four);
        assert_eq!(guard(address.into()), guard(address.to_ipv6_mapped().into()), "{address}");
        assert!(!guard(address.into()) || is_public(address), "{address}");
    }
    if let Some(sixteen) = bytes.first_chunk::<16>() {
        let address = Ipv6Addr::from(*sixteen);
        assert!(!guard(address.into()) || is_global(address), "{address}");
    }
}

/// The same question put to the standard library, which knows fewer ranges and none of ours.
fn is_public(address: Ipv4Addr) -> bool {
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_unspecified())
}

fn is_global(address: Ipv6Addr) -> bool {
    let embedded = address.to_ipv4().is_none_or(is_public);
    embedded
        && !(address.is_loopback()
            || address.is_unspecified()
            || address.is_multicast()
            || address.is_unique_local()
            || address.is_unicast_link_local())
}
