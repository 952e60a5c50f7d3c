//! `send_whatsapp`: one WhatsApp message, or the tick that says that one was read.
//!
//! Templates and files have files of their own.

mod file;
mod template;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::{
    file::{WhatsappFile, WhatsappMedia},
    template::{KNOWN_TEMPLATES, KnownTemplate, WhatsappTemplate},
};
use super::phone::check_number;
use crate::payload::{Invalid, Payload, SecretFields};

/// Longest text, in characters (Cloud API reference, text object).
const MAX_TEXT: usize = 4_096;
/// Longest id of a message, in bytes; real ones have about 60.
const MAX_MESSAGE_ID: usize = 256;

/// Sends one message from the fleet's WhatsApp number.
///
/// ```
/// use flota_producer::{Payload, SendWhatsapp, WhatsappBody};
///
/// let message = SendWhatsapp::new("+525512345678", WhatsappBody::template("order_shipped", "es_MX", vec![]));
/// assert!(message.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SendWhatsapp {
    /// Whose phone, E.164.
    #[cfg_attr(feature = "schema", schemars(length(min = 8, max = 16)))]
    pub to: String,
    /// What it says.
    pub body: WhatsappBody,
    /// Sent instead when the user has not written for 24 hours, so that WhatsApp takes nothing but templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<WhatsappTemplate>,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(
    untagged,
    expecting = "`body` must have `text`, `template`, `media` or `read`, and only fields that go with it"
)]
pub enum WhatsappBody {
    /// An approved template, which may be sent at any time.
    Template(WhatsappTemplate),
    /// A picture, a recording, a film, a document or a sticker.
    File(WhatsappFile),
    /// Shows the user that a message was read. Sends nothing.
    Read(WhatsappRead),
    /// Free text, which is refused when the user has not written for 24 hours.
    Text(WhatsappText),
}

/// Free text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WhatsappText {
    /// 1 to 4,096 characters.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_TEXT)))]
    pub text: String,
    /// Whether the first link is shown with a preview.
    #[serde(default)]
    pub preview_url: bool,
}

/// The message that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WhatsappRead {
    /// Its id, `wamid.…`, as the webhook of incoming messages gives it.
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_MESSAGE_ID)))]
    pub read: String,
}

impl WhatsappBody {
    /// Free text without a preview of links.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(WhatsappText { text: text.into(), preview_url: false })
    }

    /// A template with its components, as the Cloud API defines them.
    pub fn template(name: impl Into<String>, language: impl Into<String>, components: Vec<Value>) -> Self {
        Self::Template(WhatsappTemplate { components, ..WhatsappTemplate::new(name, language) })
    }

    /// Marks the message with this id as read.
    pub fn read(message: impl Into<String>) -> Self {
        Self::Read(WhatsappRead { read: message.into() })
    }
}

impl SendWhatsapp {
    /// To one phone.
    pub fn new(to: impl Into<String>, body: WhatsappBody) -> Self {
        Self { to: to.into(), body, fallback: None }
    }

    /// With a template for users who have not written for 24 hours.
    #[must_use]
    pub fn or_template(mut self, template: WhatsappTemplate) -> Self {
        self.fallback = Some(template);
        self
    }
}

impl Payload for SendWhatsapp {
    const KIND: &'static str = "send_whatsapp";
    const QUEUE: &'static str = "notification";
    const SECRET: SecretFields = SecretFields {
        payload: &[
            "body.text",
            "body.parameters",
            "body.components",
            "body.caption",
            "body.source.url",
            "fallback.parameters",
            "fallback.components",
        ],
        result: &[],
    };

    #[cfg(feature = "schema")]
    fn schema() -> Option<serde_json::Value> {
        Some(crate::payload::schema_of::<Self>())
    }

    fn validate(&self) -> Result<(), Invalid> {
        check_number("to", &self.to)?;
        match &self.body {
            WhatsappBody::Text(WhatsappText { text, .. }) => {
                let fits = !text.is_empty() && text.chars().count() <= MAX_TEXT;
                Invalid::unless(fits, "body.text", "must have 1 to 4,096 characters")?;
            }
            WhatsappBody::Template(template) => template.validate("body")?,
            WhatsappBody::File(file) => file.validate("body")?,
            WhatsappBody::Read(WhatsappRead { read }) => {
                let id = read.starts_with("wamid.") && read.len() <= MAX_MESSAGE_ID;
                Invalid::unless(id, "body.read", "must be the id of a message, which begins with `wamid.`")?;
            }
        }
        let Some(fallback) = &self.fallback else { return Ok(()) };
        let free = matches!(self.body, WhatsappBody::Text(_) | WhatsappBody::File(_));
        Invalid::unless(free, "fallback", "is only for text and files; a template may be sent at any time")?;
        fallback.validate("fallback")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TO: &str = "+525512345678";

    #[test]
    fn every_form_is_read_from_json_and_written_back_as_it_was() {
        for body in [
            json!({ "text": "Hola", "preview_url": false }),
            json!({ "template": "hello_world", "language": "en_US" }),
            json!({ "template": "order_confirmation", "language": "es_MX",
                "parameters": { "customer": "Ana", "order": "42", "total": "$120.00" } }),
            json!({ "media": "image", "source": { "url": "https://example.com/a.png" }, "caption": "Hola" }),
            json!({ "read": "wamid.HBgLNTI1" }),
        ] {
            let message = json!({ "to": TO, "body": body });

            let read: SendWhatsapp = serde_json::from_value(message.clone()).unwrap();

            assert_eq!(read.validate(), Ok(()), "{message}");
            assert_eq!(serde_json::to_value(&read).unwrap(), message);
        }
    }

    #[test]
    fn a_field_that_does_not_go_with_the_rest_is_told() {
        for body in [
            json!({ "text": "Hola", "caption": "x" }),
            json!({ "template": "a", "languag": "es" }),
            json!({ "text": "Hola", "template": "a", "language": "es" }),
            json!({}),
        ] {
            let error = serde_json::from_value::<WhatsappBody>(body).unwrap_err().to_string();

            assert!(error.contains("`body` must have `text`, `template`, `media` or `read`"), "{error}");
        }
    }

    #[test]
    fn what_meta_would_refuse_is_refused_by_field() {
        let text = || SendWhatsapp::new(TO, WhatsappBody::text("Hola"));
        let template = |name: &str, language: &str, components| {
            SendWhatsapp::new(TO, WhatsappBody::template(name, language, components))
        };
        let cases = [
            (SendWhatsapp::new("5512345678", WhatsappBody::text("Hola")), "to"),
            (SendWhatsapp::new(TO, WhatsappBody::text("")), "body.text"),
            (SendWhatsapp::new(TO, WhatsappBody::text("ñ".repeat(4_097))), "body.text"),
            (template("Hello World", "es_MX", vec![]), "body.template"),
            (template("hello", "español", vec![]), "body.language"),
            (template("hello", "es", vec![Value::Null]), "body.components"),
            (SendWhatsapp::new(TO, WhatsappBody::read("42")), "body.read"),
            (text().or_template(WhatsappTemplate::new("Hola", "es")), "fallback.template"),
            (template("hello", "es", vec![]).or_template(WhatsappTemplate::new("hello", "es")), "fallback"),
        ];

        for (message, field) in cases {
            assert_eq!(message.validate().unwrap_err().field, field);
        }
        assert_eq!(text().or_template(WhatsappTemplate::new("hello", "es")).validate(), Ok(()));
    }
}
