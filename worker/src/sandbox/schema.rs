//! The vendors' specifications as JSON Schema, and what in a body goes against them.
//!
//! The files and where they come from are in `specs/`. A specification is compiled when it is first needed.

use std::sync::LazyLock;

use jsonschema::{Validator, error::ValidationErrorKind};
use serde_json::Value;

/// Most violations that are told of one body.
const MOST_TOLD: usize = 10;

/// One specification.
pub(super) struct Spec(LazyLock<Validator>);

/// One thing that goes against a specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    /// Where: names and indexes from the outside in.
    pub(super) path: Vec<String>,
    /// What, without repeating the value.
    pub(super) what: String,
    /// The name of a property that is missing or has no place there.
    pub(super) property: Option<String>,
    pub(super) kind: Kind,
}

/// The kinds of violation that vendors word differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Missing,
    Unknown,
    Other,
}

impl Violation {
    /// `personalizations.0.to`.
    pub(super) fn dotted(&self) -> String {
        self.path.join(".")
    }

    /// The dotted path with the name of a missing or unknown property behind it.
    pub(super) fn place(&self) -> String {
        let parts = self.path.iter().chain(&self.property);
        parts.map(String::as_str).collect::<Vec<_>>().join(".")
    }
}

impl Spec {
    /// What goes against it, in the order of the specification; empty for a good body.
    pub(super) fn violations(&self, body: &Value) -> Vec<Violation> {
        self.0.iter_errors(body).take(MOST_TOLD).map(|error| told(&error)).collect()
    }
}

fn told(error: &jsonschema::ValidationError<'_>) -> Violation {
    let path = error.instance_path().as_str().split('/').skip(1).map(str::to_owned).collect();
    let (kind, property) = match error.kind() {
        ValidationErrorKind::Required { property } => (Kind::Missing, property.as_str().map(str::to_owned)),
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            (Kind::Unknown, unexpected.first().cloned())
        }
        _ => (Kind::Other, None),
    };
    let what = match (kind, &property) {
        (Kind::Missing, Some(name)) => format!("{name} is required"),
        (Kind::Unknown, Some(name)) => format!("{name} is not known"),
        _ => error.masked().to_string(),
    };
    Violation { path, what, property, kind }
}

/// A file of `specs/` that does not compile is found by the test below, and never by a caller.
fn compile(text: &str) -> Validator {
    let schema: Value =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("a file of specs/ is no JSON: {error}"));
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap_or_else(|error| panic!("a file of specs/ is no schema: {error}"))
}

macro_rules! specs {
    ($($(#[$what:meta])* $name:ident = $file:literal;)*) => {
        $($(#[$what])* pub(super) static $name: Spec = Spec(LazyLock::new(|| compile(include_str!(concat!("specs/", $file)))));)*
        #[cfg(test)]
        const ALL: &[&Spec] = &[$(&$name),*];
    };
}

specs! {
    /// SendGrid v3, `POST /v3/mail/send`.
    SENDGRID_MAIL = "sendgrid_mail_send.schema.json";
    /// AWS SES v2, `SendEmail`.
    SES_SEND = "ses_send_email.schema.json";
    /// Twilio, `CreateMessage`.
    TWILIO_MESSAGE = "twilio_create_message.schema.json";
    /// WhatsApp Cloud API, a message.
    WHATSAPP_MESSAGE = "whatsapp_message.schema.json";
    /// OpenRouter, `POST /chat/completions`.
    CHAT = "openrouter_chat.schema.json";
    /// OpenAI, `POST /audio/transcriptions`.
    TRANSCRIPTION = "openai_transcription.schema.json";
    /// Google Vision, `images:annotate`.
    VISION = "google_vision_annotate.schema.json";
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_specification_compiles_and_refuses_a_number() {
        for spec in ALL {
            assert!(!spec.violations(&json!(42)).is_empty());
        }
    }

    #[test]
    fn a_violation_names_its_place_and_repeats_no_value() {
        let body = json!({ "personalizations": [{ "to": [{ "email": "hunter2" }] }], "from": {} });

        let violations = SENDGRID_MAIL.violations(&body);

        assert!(
            violations.iter().any(|one| one.dotted() == "personalizations.0.to.0.email"),
            "{violations:?}"
        );
        assert!(violations.iter().any(|one| one.place() == "from.email" && one.kind == Kind::Missing));
        assert!(!format!("{violations:?}").contains("hunter2"));
    }
}
