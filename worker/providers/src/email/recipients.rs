//! Whom an e-mail is for: addresses read from text, checked once for every way of sending.
//!
//! Each address is kept once, in the first list that names it: a server would deliver twice to one that is named twice,
//! and SendGrid refuses it.

use std::collections::HashSet;

use lettre::{Address, message::Mailbox};
use url::Host;

use super::message::{Email, MOST_RECIPIENTS, invalid, refuse_control_characters};
use crate::ProviderError;

/// Longest address, in bytes (RFC 5321 4.5.3.1.3, without the angle brackets).
const MOST_ADDRESS_BYTES: usize = 254;
/// Longest name, in bytes: quoted it must fit a line of 998 (RFC 5321 4.5.3.1.6).
const MOST_NAME_BYTES: usize = 320;

/// Everybody whom an e-mail names.
#[derive(Debug)]
pub(super) struct Recipients {
    pub(super) to: Vec<Mailbox>,
    pub(super) cc: Vec<Mailbox>,
    pub(super) bcc: Vec<Mailbox>,
    pub(super) reply_to: Option<Mailbox>,
}

impl Recipients {
    /// Reads and counts them.
    pub(super) fn read(email: &Email) -> Result<Self, ProviderError> {
        let mut known = HashSet::new();
        let to = once_each("to", &email.to, &mut known)?;
        let cc = once_each("cc", &email.cc, &mut known)?;
        let bcc = once_each("bcc", &email.bcc, &mut known)?;
        if known.len() > MOST_RECIPIENTS {
            return Err(invalid(
                "to",
                "there are more than 100 recipients; split the message into several jobs",
            ));
        }
        if known.is_empty() {
            return Err(invalid("to", "there is no recipient; give at least one in `to`, `cc` or `bcc`"));
        }
        let reply_to = email.reply_to.as_deref().map(|text| mailbox("reply_to", text)).transpose()?;
        Ok(Self { to, cc, bcc, reply_to })
    }

    /// The addresses of all three lists.
    pub(super) fn addresses(&self) -> Vec<Address> {
        [&self.to, &self.cc, &self.bcc].into_iter().flatten().map(|mailbox| mailbox.email.clone()).collect()
    }
}

fn once_each(
    field: &'static str,
    texts: &[String],
    known: &mut HashSet<String>,
) -> Result<Vec<Mailbox>, ProviderError> {
    let mut mailboxes = Vec::new();
    for text in texts {
        let mailbox = mailbox(field, text)?;
        if known.insert(mailbox.email.to_string().to_ascii_lowercase()) {
            mailboxes.push(mailbox);
        }
    }
    Ok(mailboxes)
}

/// Reads `address` or `name <address>`; the whole text must be used up.
pub(super) fn mailbox(field: &'static str, text: &str) -> Result<Mailbox, ProviderError> {
    refuse_control_characters(field, text)?;
    let text = text.trim();
    let (name, address) = match text.strip_suffix('>').and_then(|inner| inner.rsplit_once('<')) {
        Some((name, address)) => (unquoted(name.trim()), address),
        None => (String::new(), text),
    };
    if name.len() > MOST_NAME_BYTES {
        return Err(invalid(field, "a name is longer than 320 bytes"));
    }
    let address: Address = address.trim().parse().map_err(|_| {
        invalid(field, "an address is malformed; write `a@example.com` or `Name <a@example.com>`")
    })?;
    let address = with_ascii_domain(&address).unwrap_or(address);
    if AsRef::<str>::as_ref(&address).len() > MOST_ADDRESS_BYTES {
        return Err(invalid(field, "an address is longer than 254 bytes"));
    }
    Ok(Mailbox::new(Some(name).filter(|name| !name.is_empty()), address))
}

fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => name.to_owned(),
    }
}

/// Servers without SMTPUTF8 know international domains by their ASCII form only.
fn with_ascii_domain(address: &Address) -> Option<Address> {
    if address.domain().is_ascii() {
        return None;
    }
    match Host::parse(address.domain()).ok()? {
        Host::Domain(domain) => Address::new(address.user(), domain).ok(),
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}
