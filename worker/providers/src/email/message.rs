//! From an [`Email`] to the bytes of a message, with no room for injected headers or SMTP commands.
//!
//! Header fields with line breaks or other control characters are refused. Bodies are normalised to CRLF and then
//! encoded, always: lettre 0.11.23 passes a bare CR or LF on to the wire and stuffs dots after CRLF only
//! (RUSTSEC-2026-0561), so no part may travel as it is. Quoted-printable is preferred because spam filters and
//! people can read it; where its lines could start with a dot or a boundary, base64 takes its place.

use std::time::{Duration, UNIX_EPOCH};

use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Body, Mailbox, MessageBuilder, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, MessageId},
    },
};
use url::Host;

use super::PROVIDER;
use crate::{ErrorClass, ProviderError};

/// Most recipients of one message, `to`, `cc` and `bcc` together: what every server must accept (RFC 5321 4.5.3.1.8).
pub const MOST_RECIPIENTS: usize = 100;
/// Longest address, in bytes (RFC 5321 4.5.3.1.3, without the angle brackets).
const MOST_ADDRESS_BYTES: usize = 254;
/// Longest message key, in bytes; job ids are far shorter.
const MOST_KEY_BYTES: usize = 128;
/// A boundary starts with two hyphens on its line, and no encoded body of ours has such a line.
const BOUNDARY: &str = "flota-alternative";

/// One e-mail. Addresses are texts like `a@example.com` or `Ada Lovelace <a@example.com>`.
#[derive(Debug, Clone, Default)]
pub struct Email {
    /// Main recipients.
    pub to: Vec<String>,
    /// Recipients that everybody sees.
    pub cc: Vec<String>,
    /// Recipients that nobody sees.
    pub bcc: Vec<String>,
    /// Where answers go, when not to the sender.
    pub reply_to: Option<String>,
    /// One line.
    pub subject: String,
    /// The plain part. At least one of `text` and `html` is needed.
    pub text: Option<String>,
    /// The HTML part.
    pub html: Option<String>,
    /// Makes the Message-ID: the same for every attempt of one job, different for every other. `[A-Za-z0-9._-]`.
    pub message_key: String,
}

/// Who sends: checked once, used for every message.
#[derive(Debug, Clone)]
pub struct Sender {
    mailbox: Mailbox,
}

impl Sender {
    /// Checks the sender's address and name.
    pub fn new(address: &str, name: Option<&str>) -> Result<Self, ProviderError> {
        let mut mailbox = mailbox("from", address)?;
        if let Some(name) = name {
            refuse_control_characters("from", name)?;
            mailbox.name = Some(name.trim().to_owned()).filter(|name| !name.is_empty());
        }
        Ok(Self { mailbox })
    }

    fn message_id(&self, key: &str) -> Result<String, ProviderError> {
        let usable = (1..=MOST_KEY_BYTES).contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !usable {
            return Err(invalid(
                "message_key",
                "it must be 1 to 128 letters, digits, dots, hyphens or underscores",
            ));
        }
        Ok(format!("<job-{key}@{}>", self.mailbox.email.domain()))
    }
}

/// A message as it goes to the server.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) envelope: Envelope,
    pub(super) bytes: Vec<u8>,
    pub(super) message_id: String,
}

/// Composes the message, dated `now_unix` (Unix seconds). The same input gives the same bytes.
pub(super) fn compose(email: &Email, sender: &Sender, now_unix: i64) -> Result<Outgoing, ProviderError> {
    let message_id = sender.message_id(&email.message_key)?;
    refuse_control_characters("subject", &email.subject)?;
    let sent_at = UNIX_EPOCH + Duration::from_secs(now_unix.max(0).unsigned_abs());
    let mut builder = Message::builder()
        .from(sender.mailbox.clone())
        .date(sent_at)
        .header(MessageId::from(message_id.clone()))
        .subject(email.subject.as_str());
    if let Some(reply_to) = &email.reply_to {
        builder = builder.reply_to(mailbox("reply_to", reply_to)?);
    }
    let mut recipients = Vec::new();
    builder = add("to", &email.to, builder, MessageBuilder::to, &mut recipients)?;
    builder = add("cc", &email.cc, builder, MessageBuilder::cc, &mut recipients)?;
    builder = add("bcc", &email.bcc, builder, MessageBuilder::bcc, &mut recipients)?;
    let envelope = envelope(sender, recipients)?;
    let message = with_body(builder.envelope(envelope.clone()), email)?;
    Ok(Outgoing { envelope, bytes: message.formatted(), message_id })
}

fn add(
    field: &'static str,
    texts: &[String],
    mut builder: MessageBuilder,
    append: fn(MessageBuilder, Mailbox) -> MessageBuilder,
    recipients: &mut Vec<Address>,
) -> Result<MessageBuilder, ProviderError> {
    for text in texts {
        let mailbox = mailbox(field, text)?;
        // A server would deliver twice to an address that is named twice.
        if !recipients.contains(&mailbox.email) {
            recipients.push(mailbox.email.clone());
        }
        builder = append(builder, mailbox);
    }
    Ok(builder)
}

fn envelope(sender: &Sender, recipients: Vec<Address>) -> Result<Envelope, ProviderError> {
    if recipients.len() > MOST_RECIPIENTS {
        return Err(invalid("to", "there are more than 100 recipients; split the message into several jobs"));
    }
    Envelope::new(Some(sender.mailbox.email.clone()), recipients)
        .map_err(|_| invalid("to", "there is no recipient; give at least one in `to`, `cc` or `bcc`"))
}

fn with_body(builder: MessageBuilder, email: &Email) -> Result<Message, ProviderError> {
    let plain = email.text.as_deref().map(|text| part(text, ContentType::TEXT_PLAIN)).transpose()?;
    let html = email.html.as_deref().map(|html| part(html, ContentType::TEXT_HTML)).transpose()?;
    let built = match (plain, html) {
        // Clients show the last part they can, so the plain one comes first (RFC 2046 5.1.4).
        (Some(plain), Some(html)) => {
            builder.multipart(MultiPart::alternative().boundary(BOUNDARY).singlepart(plain).singlepart(html))
        }
        (Some(only), None) | (None, Some(only)) => builder.singlepart(only),
        (None, None) => return Err(invalid("text", "there is neither text nor HTML; give at least one")),
    };
    built.map_err(|error| invalid("message", "it could not be composed").with_source(error))
}

fn part(text: &str, content_type: ContentType) -> Result<SinglePart, ProviderError> {
    Ok(SinglePart::builder().header(content_type).body(encoded(text)?))
}

/// Quoted-printable, or base64 where a line of it would start with a dot or with two hyphens.
fn encoded(text: &str) -> Result<Body, ProviderError> {
    let normalised = crlf(text);
    let encode = |encoding| {
        Body::new_with_encoding(normalised.clone(), encoding)
            .map_err(|_| invalid("text", "it could not be encoded"))
    };
    let readable = encode(ContentTransferEncoding::QuotedPrintable)?;
    let risky = readable
        .as_ref()
        .split(|byte| *byte == b'\n')
        .any(|line| line.starts_with(b".") || line.starts_with(b"--"));
    if risky { encode(ContentTransferEncoding::Base64) } else { Ok(readable) }
}

/// Every CR, LF and CRLF becomes CRLF.
fn crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n")
}

/// Reads `address` or `name <address>`; the whole text must be used up.
fn mailbox(field: &'static str, text: &str) -> Result<Mailbox, ProviderError> {
    refuse_control_characters(field, text)?;
    let text = text.trim();
    let (name, address) = match text.strip_suffix('>').and_then(|inner| inner.rsplit_once('<')) {
        Some((name, address)) => (unquoted(name.trim()), address),
        None => (String::new(), text),
    };
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

fn refuse_control_characters(field: &'static str, text: &str) -> Result<(), ProviderError> {
    if text.chars().any(char::is_control) {
        return Err(invalid(field, "it holds a line break or another control character; remove it"));
    }
    Ok(())
}

/// Names the field and never its content, which is personal.
fn invalid(field: &'static str, reason: &str) -> ProviderError {
    let message = format!("The e-mail's `{field}` cannot be sent: {reason}.");
    ProviderError::new(PROVIDER, "compose", ErrorClass::Permanent, message).with_code("invalid_message")
}

#[cfg(test)]
mod tests;
