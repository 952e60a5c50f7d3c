//! One form for each address, so that it is found however it was written.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use flota_producer::payloads::check_number;
use serde::Serialize;
use url::{Host, Url};

/// How somebody is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Email addresses.
    Email,
    /// Web Push subscriptions.
    Push,
    /// WhatsApp numbers.
    Whatsapp,
    /// Phone numbers.
    Sms,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Email, Self::Push, Self::Whatsapp, Self::Sms];

    /// Its word in Postgres and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Push => "push",
            Self::Whatsapp => "whatsapp",
            Self::Sms => "sms",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What cannot be an address of its channel, as the end of a sentence.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{address}` is not an address of channel {channel}: {expected}")]
pub struct NotAnAddress {
    address: String,
    channel: Channel,
    expected: &'static str,
}

/// An address in the one form that is stored and compared.
///
/// - email: without the name, in lower case (no mail system of today tells `Ana@` from `ana@`), the domain in ASCII
/// - whatsapp, sms: `+` and digits
/// - push: the host of the push service and a SHA-256 of the endpoint. Whoever knows the endpoint itself could try to
///   push to it, so it is not kept.
///
/// # Errors
/// When it cannot be an address of this channel.
pub fn normal(channel: Channel, address: &str) -> Result<String, NotAnAddress> {
    let trimmed = address.trim();
    let (found, expected) = match channel {
        Channel::Email => (email(trimmed), "write ana@example.com, or name another --channel"),
        Channel::Whatsapp | Channel::Sms => {
            (phone(trimmed), "write + and the number with its country, as in +5215512345678")
        }
        Channel::Push => (push(trimmed), "give the endpoint URL of the subscription"),
    };
    found.ok_or_else(|| NotAnAddress { address: trimmed.to_owned(), channel, expected })
}

fn email(mailbox: &str) -> Option<String> {
    let address = match mailbox.rsplit_once('<') {
        Some((_, rest)) => rest.strip_suffix('>')?,
        None => mailbox,
    };
    let (local, domain) = address.rsplit_once('@')?;
    let Ok(Host::Domain(domain)) = Host::parse(domain) else { return None };
    let is_one_word = !local.is_empty() && !local.chars().any(|c| c.is_whitespace() || c.is_control());
    is_one_word.then(|| format!("{}@{domain}", local.to_lowercase()))
}

fn phone(number: &str) -> Option<String> {
    let digits: String = number.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.')).collect();
    let number = if digits.starts_with('+') { digits } else { format!("+{digits}") };
    check_number("address", &number).is_ok().then_some(number)
}

fn push(endpoint: &str) -> Option<String> {
    // What `list` shows can be given to `remove`.
    if endpoint.split_once("/sha256:").is_some_and(|(host, hash)| !host.contains('/') && hash.len() == 64) {
        return Some(endpoint.to_owned());
    }
    let url = Url::parse(endpoint).ok()?;
    let hash = digest(&SHA256, endpoint.as_bytes());
    Some(format!("{}/sha256:{}", url.host_str()?, hex::encode(hash)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_one_form_however_it_is_written() {
        let same = [
            (Channel::Email, " Ana Díaz <Ana@Español.ES> ", "ana@xn--espaol-zwa.es"),
            (Channel::Email, "ANA@example.com", "ana@example.com"),
            (Channel::Sms, "+52 (155) 1234-5678", "+5215512345678"),
            (Channel::Whatsapp, "5215512345678", "+5215512345678"),
        ];
        for (channel, written, stored) in same {
            assert_eq!(normal(channel, written).as_deref(), Ok(stored));
        }
    }

    #[test]
    fn a_subscription_is_known_by_a_hash_that_can_be_given_again() {
        let stored = normal(Channel::Push, "https://fcm.googleapis.com/fcm/send/secret").unwrap();

        assert!(stored.starts_with("fcm.googleapis.com/sha256:") && !stored.contains("secret"), "{stored}");
        assert_eq!(normal(Channel::Push, &stored), Ok(stored));
    }

    #[test]
    fn what_is_no_address_is_refused_with_an_example() {
        let bad = [
            (Channel::Email, "ana"),
            (Channel::Email, "a b@x.com"),
            (Channel::Sms, "12"),
            (Channel::Push, "x"),
        ];
        for (channel, address) in bad {
            let error = normal(channel, address).unwrap_err().to_string();

            assert!(error.contains(address) && error.contains("channel"), "{error}");
        }
    }
}
