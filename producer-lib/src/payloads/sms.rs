//! `send_sms`: one text message.

use serde::{Deserialize, Serialize};

use super::phone::check_number;
use crate::payload::{Invalid, Payload, SecretFields};

/// Longest text, in characters (Twilio, Messages resource, `Body`).
const MAX_TEXT: usize = 1_600;

/// Sends one text message from the fleet's number.
///
/// ```
/// use flota_producer::{Payload, SendSms};
///
/// assert!(SendSms::new("+525512345678", "Your code is 1234.").validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SendSms {
    /// Whose phone, E.164.
    #[cfg_attr(feature = "schema", schemars(length(min = 8, max = 16)))]
    pub to: String,
    /// What it says: 1 to 1,600 characters. Each 160 (70 with characters beyond GSM-7) are billed as one message.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_TEXT)))]
    pub text: String,
}

impl SendSms {
    /// To one phone.
    pub fn new(to: impl Into<String>, text: impl Into<String>) -> Self {
        Self { to: to.into(), text: text.into() }
    }
}

impl Payload for SendSms {
    const KIND: &'static str = "send_sms";
    const QUEUE: &'static str = "notification";
    const SECRET: SecretFields = SecretFields { payload: &["text"], result: &[] };

    #[cfg(feature = "schema")]
    fn schema() -> Option<serde_json::Value> {
        Some(crate::payload::schema_of::<Self>())
    }

    fn validate(&self) -> Result<(), Invalid> {
        check_number("to", &self.to)?;
        let fits = !self.text.is_empty() && self.text.chars().count() <= MAX_TEXT;
        Invalid::unless(fits, "text", "must have 1 to 1,600 characters")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_or_endless_text_is_refused() {
        for text in [String::new(), "x".repeat(1_601)] {
            assert_eq!(SendSms::new("+525512345678", text).validate().unwrap_err().field, "text");
        }
    }
}
