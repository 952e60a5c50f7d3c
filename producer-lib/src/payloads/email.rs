//! `send_email`: one transactional message.

mod template;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::template::{EMAIL_TEMPLATES, EmailTemplate, EmailVariable, EmailVariableKind};
#[cfg(feature = "schema")]
use super::attachment::MAX_FILES;
use super::attachment::{EmailAttachment, check_attachments};
use crate::payload::{Invalid, Payload, SecretFields};

/// Most recipients of one message, all fields together (the lowest limit of the providers: SES, 50).
const MAX_RECIPIENTS: usize = 50;
/// Longest address, RFC 5321 section 4.5.3.1.3 (a path of 256 octets with its angle brackets).
const MAX_ADDRESS: usize = 254;
/// Longest local part, RFC 5321 section 4.5.3.1.1.
const MAX_LOCAL_PART: usize = 64;
/// Longest subject: one header line of RFC 5322 section 2.1.1.
const MAX_SUBJECT: usize = 998;

/// Sends one email to its recipients.
///
/// ```
/// use flota_producer::{EmailBody, Payload, SendEmail};
///
/// let mail = SendEmail::new("ana@example.com", EmailBody::text("Hello", "Your order is on its way."));
/// assert!(mail.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SendEmail {
    /// Main recipients, at least one: `ana@example.com` or `Ana Díaz <ana@example.com>`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_RECIPIENTS)))]
    pub to: Vec<String>,
    /// Recipients of a visible copy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_RECIPIENTS)))]
    pub cc: Vec<String>,
    /// Recipients of a hidden copy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_RECIPIENTS)))]
    pub bcc: Vec<String>,
    /// Where answers go, when not to the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// What it says.
    pub body: EmailBody,
    /// Files that go along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_FILES)))]
    pub attachments: Vec<EmailAttachment>,
}

/// What an email says: a template with its variables, or finished text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "it must be an object with `template`, `locale` and `variables`, or with `subject`, `text` and `html`, and not \
                 with fields of both"
)]
pub enum EmailBody {
    /// One of the templates that there are.
    Template {
        /// Its name, for example `welcome`.
        template: String,
        /// `es` or `en`; `es` when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        locale: Option<String>,
        /// What the template needs; `flota email templates` tells.
        #[serde(default)]
        variables: Map<String, Value>,
    },
    /// Finished text, HTML, or both.
    Text {
        /// Subject line.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_SUBJECT)))]
        subject: String,
        /// Plain text part.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// HTML part.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        html: Option<String>,
    },
}

impl EmailBody {
    /// Plain text only.
    pub fn text(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Text { subject: subject.into(), text: Some(text.into()), html: None }
    }

    /// A template with its variables. Enqueueing checks that it exists, and that everything is there that it needs.
    pub fn template(name: impl Into<String>, locale: &str, variables: Map<String, Value>) -> Self {
        Self::Template { template: name.into(), locale: Some(locale.to_owned()), variables }
    }

    fn validate(&self) -> Result<(), Invalid> {
        match self {
            Self::Template { template, locale, variables } => {
                let known = locale.as_deref().is_none_or(|locale| matches!(locale, "es" | "en"));
                Invalid::unless(known, "body.locale", "must be `es` or `en`")?;
                let template = EmailTemplate::named(template, "body.template")?;
                template.values(variables, "body.variables").map(drop)
            }
            Self::Text { subject, text, html } => {
                one_line("body.subject", subject)?;
                let fits = !subject.is_empty() && subject.len() <= MAX_SUBJECT;
                Invalid::unless(fits, "body.subject", "must have 1 to 998 bytes")?;
                let says_something = text.is_some() || html.is_some();
                Invalid::unless(says_something, "body", "must have `text`, `html` or both")
            }
        }
    }
}

impl SendEmail {
    /// To one recipient, without copies.
    pub fn new(to: impl Into<String>, body: EmailBody) -> Self {
        let (cc, bcc, attachments) = (Vec::new(), Vec::new(), Vec::new());
        Self { to: vec![to.into()], cc, bcc, reply_to: None, body, attachments }
    }

    /// With one more file.
    #[must_use]
    pub fn attach(mut self, file: EmailAttachment) -> Self {
        self.attachments.push(file);
        self
    }
}

impl Payload for SendEmail {
    const KIND: &'static str = "send_email";
    const QUEUE: &'static str = "email";
    const SECRET: SecretFields = SecretFields {
        payload: &["body.variables", "body.text", "body.html", "attachments.source.url"],
        result: &[],
    };

    #[cfg(feature = "schema")]
    fn schema() -> Option<serde_json::Value> {
        Some(crate::payload::schema_of::<Self>())
    }

    fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless(!self.to.is_empty(), "to", "must name at least one recipient")?;
        let recipients = self.to.len() + self.cc.len() + self.bcc.len();
        Invalid::unless(recipients <= MAX_RECIPIENTS, "to", "has more than 50 recipients with cc and bcc")?;
        for (field, addresses) in [("to", &self.to), ("cc", &self.cc), ("bcc", &self.bcc)] {
            for (n, address) in addresses.iter().enumerate() {
                check_mailbox(&format!("{field}[{n}]"), address)?;
            }
        }
        if let Some(address) = &self.reply_to {
            check_mailbox("reply_to", address)?;
        }
        check_attachments(&self.attachments)?;
        self.body.validate()
    }
}

/// A line break or NUL in a header would let the value write headers of its own.
pub(super) fn one_line(field: &str, value: &str) -> Result<(), Invalid> {
    let clean = !value.chars().any(char::is_control);
    Invalid::unless(clean, field, "must not hold line breaks or other control characters")
}

/// `ana@example.com` or `Ana <ana@example.com>`: strict enough to catch mistakes and injection, while whether
/// the mailbox exists is for its server to say.
fn check_mailbox(field: &str, mailbox: &str) -> Result<(), Invalid> {
    one_line(field, mailbox)?;
    let address = match mailbox.split_once('<') {
        Some((_, rest)) => rest.strip_suffix('>').unwrap_or_default(),
        None => mailbox,
    };
    let valid = address.len() <= MAX_ADDRESS
        && address.rsplit_once('@').is_some_and(|(local, domain)| is_local_part(local) && is_domain(domain));
    Invalid::unless(valid, field, "is not an email address")
}

fn is_local_part(local: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
    !local.is_empty() && local.len() <= MAX_LOCAL_PART && !dots && local.chars().all(allowed)
}

fn is_domain(domain: &str) -> bool {
    let label = |part: &str| {
        let edges = part.starts_with('-') || part.ends_with('-');
        !part.is_empty()
            && part.len() <= 63
            && !edges
            && part.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    domain.contains('.') && domain.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(address: &str) -> Result<(), Invalid> {
        SendEmail::new(address, EmailBody::text("Hi", "Hello")).validate()
    }

    #[test]
    fn ordinary_addresses_pass() {
        for address in ["ana@example.com", "Ana Díaz <ana.diaz+erp@correo.example.mx>", "ñandú@español.es"]
        {
            assert_eq!(to(address), Ok(()), "{address}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_by_field() {
        let long = format!("{}@example.com", "x".repeat(65));
        let bad = [
            "",
            "ana",
            "ana@",
            "@x.com",
            "a b@x.com",
            "a@b",
            "a..b@x.com",
            "a@-x.com",
            "Ana <a@x.com",
            &long,
        ];
        for address in bad {
            assert_eq!(to(address).unwrap_err().field, "to[0]", "{address}");
        }
    }

    #[test]
    fn header_injection_is_refused() {
        for address in ["a@x.com\r\nBcc: b@x.com", "a@x.com\n", "A\0 <a@x.com>"] {
            assert!(to(address).unwrap_err().problem.contains("line breaks"), "{address:?}");
        }
        let subject = SendEmail::new("a@x.com", EmailBody::text("Hi\r\nBcc: b@x.com", "Hello"));
        assert_eq!(subject.validate().unwrap_err().field, "body.subject");
    }

    #[test]
    fn a_template_is_checked_before_anything_is_sent() {
        let template = |name, locale| EmailBody::template(name, locale, Map::new());
        let field = |body| SendEmail::new("a@x.com", body).validate().unwrap_err().field;

        assert_eq!(field(template("welcom", "es")), "body.template");
        assert_eq!(field(template("welcome", "fr")), "body.locale");
        assert_eq!(field(template("welcome", "en")), "body.variables.app_name");
        for known in EMAIL_TEMPLATES {
            let body = EmailBody::template(known.name, "en", known.example());
            assert_eq!(SendEmail::new("a@x.com", body).validate(), Ok(()), "{}", known.name);
        }
    }

    #[test]
    fn a_mail_that_says_nothing_is_refused() {
        let empty = EmailBody::Text { subject: "Hi".into(), text: None, html: None };

        assert_eq!(SendEmail::new("a@x.com", empty).validate().unwrap_err().field, "body");
    }
}
