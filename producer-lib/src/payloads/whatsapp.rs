//! `send_whatsapp`: one WhatsApp message.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::phone::check_number;
use crate::payload::{Invalid, Payload};

/// Longest text, in characters (Cloud API reference, text object).
const MAX_TEXT: usize = 4_096;
/// Longest name of a template (Cloud API reference, template object).
const MAX_TEMPLATE: usize = 512;

/// Sends one message from the fleet's WhatsApp number.
///
/// ```
/// use flota_producer::{Payload, SendWhatsapp, WhatsappBody};
///
/// let message = SendWhatsapp::new("+525512345678", WhatsappBody::template("order_shipped", "es_MX", vec![]));
/// assert!(message.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendWhatsapp {
    /// Whose phone, E.164.
    pub to: String,
    /// What it says.
    pub body: WhatsappBody,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WhatsappBody {
    /// An approved template, which may be sent at any time.
    Template {
        /// Its name.
        template: String,
        /// Its language, for example `es_MX`.
        language: String,
        /// Parameters of header, body and buttons, as the Cloud API defines them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        components: Vec<Value>,
    },
    /// Free text, which is refused when the user has not written for 24 hours.
    Text {
        /// 1 to 4,096 characters.
        text: String,
        /// Whether the first link is shown with a preview.
        #[serde(default)]
        preview_url: bool,
    },
}

impl WhatsappBody {
    /// Free text without a preview of links.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), preview_url: false }
    }

    /// A template with its parameters.
    pub fn template(name: impl Into<String>, language: impl Into<String>, components: Vec<Value>) -> Self {
        Self::Template { template: name.into(), language: language.into(), components }
    }
}

impl SendWhatsapp {
    /// To one phone.
    pub fn new(to: impl Into<String>, body: WhatsappBody) -> Self {
        Self { to: to.into(), body }
    }
}

impl Payload for SendWhatsapp {
    const KIND: &'static str = "send_whatsapp";
    const QUEUE: &'static str = "notification";

    fn validate(&self) -> Result<(), Invalid> {
        check_number("to", &self.to)?;
        match &self.body {
            WhatsappBody::Text { text, .. } => {
                let fits = !text.is_empty() && text.chars().count() <= MAX_TEXT;
                Invalid::unless(fits, "body.text", "must have 1 to 4,096 characters")
            }
            WhatsappBody::Template { template, language, components } => {
                let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                let name = (1..=MAX_TEMPLATE).contains(&template.len()) && template.chars().all(plain);
                Invalid::unless(name, "body.template", "must be lower-case letters, digits and `_`")?;
                let letters = |c: char| c.is_ascii_alphabetic() || c == '_';
                let code = (2..=16).contains(&language.len()) && language.chars().all(letters);
                Invalid::unless(code, "body.language", "must be a code such as `es_MX`")?;
                let objects = components.iter().all(Value::is_object);
                Invalid::unless(objects, "body.components", "must be a list of objects")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_from_json() {
        let text = r#"{"to":"+525512345678","body":{"text":"Hola"}}"#;
        let template = r#"{"to":"+525512345678","body":{"template":"hello_world","language":"en_US"}}"#;

        for json in [text, template] {
            let message: SendWhatsapp = serde_json::from_str(json).unwrap();
            assert_eq!(message.validate(), Ok(()), "{json}");
        }
    }

    #[test]
    fn what_meta_would_refuse_is_refused_by_field() {
        let to = "+525512345678";
        let cases = [
            (SendWhatsapp::new("5512345678", WhatsappBody::text("Hola")), "to"),
            (SendWhatsapp::new(to, WhatsappBody::text("")), "body.text"),
            (SendWhatsapp::new(to, WhatsappBody::text("ñ".repeat(4_097))), "body.text"),
            (SendWhatsapp::new(to, WhatsappBody::template("Hello World", "es_MX", vec![])), "body.template"),
            (SendWhatsapp::new(to, WhatsappBody::template("hello", "español", vec![])), "body.language"),
            (
                SendWhatsapp::new(to, WhatsappBody::template("hello", "es", vec![Value::Null])),
                "body.components",
            ),
        ];

        for (message, field) in cases {
            assert_eq!(message.validate().unwrap_err().field, field);
        }
    }
}
