//! Sending e-mail by an API: SendGrid, Amazon SES; and in which order the ways of sending are tried.
//!
//! The mail server has a file of its own (`smtp.rs`). A provider is configured when its credential is set; what it needs
//! besides is then required.

use secrecy::SecretString;

use super::{
    integrations::{Needed, all_or_none, base_url, check_base_url, credential},
    reader::{Reader, truth},
    smtp::address,
};
use crate::config::nearest::nearest;

/// A way of sending e-mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailProvider {
    /// SendGrid.
    Sendgrid,
    /// Amazon SES.
    Ses,
    /// A mail server.
    Smtp,
}

/// What the environment says of them, checked.
#[derive(Debug, Clone, Default)]
pub struct EmailVariables {
    /// `SENDGRID_*`.
    pub sendgrid: Option<SendgridVariables>,
    /// `AWS_SES_*`.
    pub ses: Option<SesVariables>,
    /// `FLOTA_EMAIL_PROVIDERS`, or all that are configured; each one is.
    pub order: Vec<EmailProvider>,
}

/// The SendGrid account that sends.
#[derive(Debug, Clone)]
pub struct SendgridVariables {
    /// Where the API is.
    pub base_url: String,
    /// `SG.…`.
    pub api_key: SecretString,
    /// Address that messages come from.
    pub from_email: String,
    /// Name that messages come from.
    pub from_name: Option<String>,
    /// Whether SendGrid checks messages without sending them.
    pub sandbox_mode: bool,
}

/// The SES account that sends.
#[derive(Debug, Clone)]
pub struct SesVariables {
    /// Where the API is; `None` for the region's own.
    pub base_url: Option<String>,
    /// `AKIA…`.
    pub access_key_id: String,
    /// The secret that goes with it.
    pub secret_access_key: SecretString,
    /// For example `us-east-1`.
    pub region: String,
    /// Address that messages come from.
    pub from_email: String,
}

impl EmailProvider {
    /// All of them, in the order in which they are tried when nothing else is said: by how much they can carry.
    const ALL: [Self; 3] = [Self::Sendgrid, Self::Ses, Self::Smtp];

    /// Its name in the variable, and in receipts and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sendgrid => "sendgrid",
            Self::Ses => "ses",
            Self::Smtp => "smtp",
        }
    }

    /// The variable without which it is not configured.
    const fn variable(self) -> &'static str {
        match self {
            Self::Sendgrid => "SENDGRID_API_KEY",
            Self::Ses => "AWS_SES_ACCESS_KEY_ID",
            Self::Smtp => "SMTP_HOST",
        }
    }
}

const ORDER: &str = "FLOTA_EMAIL_PROVIDERS";
const SENDGRID: [Needed; 2] =
    [("SENDGRID_API_KEY", "SENDGRID_API_KEY is"), ("SENDGRID_FROM_EMAIL", "SENDGRID_FROM_EMAIL is")];
const SES: [Needed; 4] = [
    ("AWS_SES_ACCESS_KEY_ID", "AWS_SES_ACCESS_KEY_ID is"),
    ("AWS_SES_SECRET_ACCESS_KEY", "AWS_SES_SECRET_ACCESS_KEY is"),
    ("AWS_SES_REGION", "AWS_SES_REGION is"),
    ("AWS_SES_FROM_EMAIL", "AWS_SES_FROM_EMAIL is"),
];

/// Reads them all, so that every problem is told. `has_smtp` says whether there is a mail server.
pub(super) fn read(reader: &mut Reader<'_>, has_smtp: bool, production: bool) -> EmailVariables {
    let (sendgrid, ses) = (sendgrid(reader, production), ses(reader, production));
    let is_set = |provider: &EmailProvider| match provider {
        EmailProvider::Sendgrid => sendgrid.is_some(),
        EmailProvider::Ses => ses.is_some(),
        EmailProvider::Smtp => has_smtp,
    };
    let configured: Vec<_> = EmailProvider::ALL.into_iter().filter(is_set).collect();
    // What was refused has been told already, and would be told twice as not configured.
    let is_sound = reader.problems.is_empty();
    let order = match reader.parse(ORDER, order) {
        Some(order) => {
            if is_sound {
                refuse_missing(reader, &order, &configured);
            }
            order
        }
        None => configured,
    };
    EmailVariables { sendgrid, ses, order }
}

fn refuse_missing(reader: &mut Reader<'_>, order: &[EmailProvider], configured: &[EmailProvider]) {
    for provider in order.iter().filter(|provider| !configured.contains(provider)) {
        let (name, variable) = (provider.name(), provider.variable());
        reader
            .refuse(ORDER, format!("it names {name}, but {variable} is not set; set it or leave {name} out"));
    }
}

fn sendgrid(reader: &mut Reader<'_>, production: bool) -> Option<SendgridVariables> {
    let base_url = base_url(reader, "SENDGRID_BASE_URL", production);
    let sandbox_mode = reader.parse("SENDGRID_SANDBOX", truth).unwrap_or(false);
    all_or_none(reader, &SENDGRID)?;
    let api_key = reader.parse("SENDGRID_API_KEY", credential);
    let from_email = reader.parse("SENDGRID_FROM_EMAIL", |text| address(text, "SENDGRID_FROM_NAME"));
    let from_name = reader.parse("SENDGRID_FROM_NAME", one_line);
    Some(SendgridVariables {
        base_url: base_url?,
        api_key: api_key?,
        from_email: from_email?,
        from_name,
        sandbox_mode,
    })
}

fn ses(reader: &mut Reader<'_>, production: bool) -> Option<SesVariables> {
    let base_url =
        reader.parse("AWS_SES_BASE_URL", |text| check_base_url(text, production).map(|()| text.to_owned()));
    all_or_none(reader, &SES)?;
    let access_key_id = reader.parse("AWS_SES_ACCESS_KEY_ID", access_key);
    let secret_access_key = reader.parse("AWS_SES_SECRET_ACCESS_KEY", credential);
    let region = reader.parse("AWS_SES_REGION", region);
    let from_email =
        reader.parse("AWS_SES_FROM_EMAIL", |text| address(text, "the identity's settings in SES"));
    Some(SesVariables {
        base_url,
        access_key_id: access_key_id?,
        secret_access_key: secret_access_key?,
        region: region?,
        from_email: from_email?,
    })
}

fn order(text: &str) -> Result<Vec<EmailProvider>, String> {
    let mut order = Vec::new();
    for word in text.split(',').map(str::trim) {
        let Some(provider) = EmailProvider::ALL.into_iter().find(|provider| provider.name() == word) else {
            let names = EmailProvider::ALL.map(EmailProvider::name);
            let meant = nearest(word, names).map(|near| format!("; did you mean {near}?"));
            let word = word.escape_debug();
            let remedy = meant.unwrap_or_else(|| format!("; write one or more of {}", names.join(",")));
            return Err(format!("\"{word}\" is no way of sending e-mail{remedy}"));
        };
        if order.contains(&provider) {
            return Err(format!("it names {word} twice; name each once, in the order to try"));
        }
        order.push(provider);
    }
    Ok(order)
}

/// The id is no secret, but it goes into a header field between commas and slashes.
fn access_key(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Ok(text.to_owned());
    }
    Err("it is not the id of an access key; write the one that begins with AKIA".to_owned())
}

fn region(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.bytes().all(plain) && text.contains('-') {
        return Ok(text.to_owned());
    }
    Err(format!("\"{}\" is not a region; write one such as us-east-1", text.escape_debug()))
}

fn one_line(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("it holds a line break or another control character; write one line".to_owned());
    }
    Ok(text.to_owned())
}
