//! From an [`Email`] to a message as it travels, with no room for injected headers or SMTP commands.
//!
//! Header fields with line breaks or other control characters are refused; what travels below them is for `body`.

use std::time::{Duration, UNIX_EPOCH};

use lettre::{
    Message,
    address::Envelope,
    message::{Mailbox, MessageBuilder, header::MessageId},
};

use super::{
    attachment::Attachment,
    body,
    recipients::{Recipients, mailbox},
    subject,
};
use crate::{ErrorClass, ProviderError, content::Pieces};

/// Most recipients of one message, `to`, `cc` and `bcc` together: what every server must accept (RFC 5321 4.5.3.1.8).
pub const MOST_RECIPIENTS: usize = 100;
/// Longest message key, in bytes; job ids are far shorter.
const MOST_KEY_BYTES: usize = 128;
/// Who refuses an e-mail that nobody could send: it has not come to any provider.
const COMPOSER: &str = "email";

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
    /// Files that go along.
    pub attachments: Vec<Attachment>,
    /// For whom it is sent; comes back in the events of providers that have them.
    pub tenant: Option<String>,
    /// Makes the Message-ID: the same for every attempt of one job, different for every other. `[A-Za-z0-9._-]`.
    pub message_key: String,
    /// Ends the Message-ID, so that it is the same at providers whose senders differ; the sender's own domain when absent.
    pub message_domain: Option<String>,
}

/// Who sends: checked once, used for every message.
#[derive(Debug, Clone)]
pub struct Sender {
    pub(super) mailbox: Mailbox,
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

    /// The message as it would travel, dated `now_unix` (Unix seconds).
    ///
    /// # Errors
    /// `Permanent` with what is wrong with the e-mail.
    pub fn compose(&self, email: &Email, now_unix: i64) -> Result<Pieces, ProviderError> {
        Ok(compose(email, self, now_unix)?.message)
    }

    /// The Message-ID of this e-mail.
    pub(super) fn message_id(&self, email: &Email) -> Result<String, ProviderError> {
        let plain =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        let key = &email.message_key;
        let domain = email.message_domain.as_deref().unwrap_or_else(|| self.domain());
        if !(1..=MOST_KEY_BYTES).contains(&key.len()) || !plain(key) || !plain(domain) {
            return Err(invalid(
                "message_key",
                "it must be 1 to 128 letters, digits, dots, hyphens or underscores",
            ));
        }
        Ok(format!("<job-{key}@{domain}>"))
    }

    /// The domain of the address.
    pub fn domain(&self) -> &str {
        self.mailbox.email.domain()
    }
}

/// A message as it goes to the server.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) envelope: Envelope,
    pub(super) message: Pieces,
    /// No byte of it is above 127.
    pub(super) is_ascii: bool,
    pub(super) message_id: String,
}

/// Composes the message, dated `now_unix` (Unix seconds). The same input gives the same bytes.
pub(super) fn compose(email: &Email, sender: &Sender, now_unix: i64) -> Result<Outgoing, ProviderError> {
    let message_id = sender.message_id(email)?;
    refuse_control_characters("subject", &email.subject)?;
    let recipients = Recipients::read(email)?;
    let envelope = Envelope::new(Some(sender.mailbox.email.clone()), recipients.addresses())
        .map_err(|_| invalid("to", "there is no recipient"))?;
    let sent_at = UNIX_EPOCH + Duration::from_secs(now_unix.max(0).unsigned_abs());
    let mut builder = Message::builder()
        .from(sender.mailbox.clone())
        .date(sent_at)
        .header(MessageId::from(message_id.clone()))
        .header(subject::Subject::of(&email.subject))
        .envelope(envelope.clone());
    let Recipients { to, cc, bcc, reply_to } = recipients;
    builder = reply_to.into_iter().fold(builder, MessageBuilder::reply_to);
    builder = to.into_iter().fold(builder, MessageBuilder::to);
    builder = cc.into_iter().fold(builder, MessageBuilder::cc);
    builder = bcc.into_iter().fold(builder, MessageBuilder::bcc);
    let message = body::add(builder, email)?.formatted();
    let is_ascii = message.is_ascii();
    Ok(Outgoing { envelope, message: body::with_files(message, email)?, is_ascii, message_id })
}

pub(super) fn refuse_control_characters(field: &'static str, text: &str) -> Result<(), ProviderError> {
    if text.chars().any(char::is_control) {
        return Err(invalid(field, "it holds a line break or another control character; remove it"));
    }
    Ok(())
}

/// Names the field and never its content, which is personal.
pub(super) fn invalid(field: &'static str, reason: &str) -> ProviderError {
    let message = format!("The e-mail's `{field}` cannot be sent: {reason}.");
    ProviderError::new(COMPOSER, "compose", ErrorClass::Permanent, message).with_code("invalid_message")
}

#[cfg(test)]
mod tests;
