//! What a provider may answer, and what is expected to follow: the form of the table's rows.

use serde_json::{Value, json};

use flota_worker::sandbox::{Fault, Reset};

/// Calls that a fault strikes: more than any class is tried.
const EVERY_TRY: u32 = 30;

/// The classes, as the columns of the page.
pub(super) const CLASSES: [&str; 10] = [
    "ok",
    "permanent",
    "gone",
    "auth",
    "quota",
    "rate_limited",
    "server_error",
    "timeout",
    "network",
    "ambiguous",
];

/// One thing that a provider may answer, and what follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// What happens, for people; a row of the manual where there is one.
    pub(super) what: &'static str,
    /// How it is made to happen.
    pub(super) order: Order,
    /// The class that is expected.
    pub(super) class: &'static str,
    /// The code that is expected to be kept; `=` for the word of [`Order::Says`], nothing for none.
    pub(super) code: &'static str,
    /// What is expected of the engine.
    pub(super) then: &'static str,
}

/// How something is made to happen.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    /// Nothing goes wrong.
    Nothing,
    /// This status with the vendor's own body.
    Status(u16),
    /// This status with this header.
    With(u16, &'static str, &'static str),
    /// This status with the vendor's body for each of these codes or words: one job each.
    Says(u16, &'static [&'static str]),
    /// This status with this text.
    Text(u16, &'static str),
    /// A mail server's reply at this step.
    Reply(&'static str, u16),
    /// The connection breaks before or after the work.
    Breaks(Reset),
    /// A success of which half is missing.
    Half,
    /// A success that says inside that it failed.
    SuccessWithError,
    /// No answer in time.
    Silence,
    /// Nobody listens at the provider's address.
    Nobody,
    /// The credential was revoked; the sandbox itself refuses it.
    Revoked,
    /// The job is one that the provider could only refuse.
    Unusable,
}

/// A row whose code is the status or the provider's word itself.
pub(super) const fn row(
    what: &'static str,
    order: Order,
    class: &'static str,
    code: &'static str,
    then: &'static str,
) -> Row {
    Row { what, order, class, code, then }
}

impl Order {
    /// The codes to be played one after the other; a single empty one for orders without.
    pub(super) fn words(&self) -> &'static [&'static str] {
        match self {
            Self::Says(_, words) => words,
            _ => &[""],
        }
    }

    /// The fault that brings it about, for every try.
    pub(super) fn fault(&self, provider: &str, word: &str) -> Option<Fault> {
        let (status, of) = (|status| Fault::status(provider, status), Fault::of(provider));
        let fault = match *self {
            Self::Nothing | Self::Nobody | Self::Revoked | Self::Unusable => return None,
            Self::Status(code) => status(code),
            Self::With(code, name, value) => status(code).header(name, value),
            Self::Says(code, _) => Fault { body: Some(says(provider, code, word)), ..status(code) },
            Self::Text(code, text) => Fault { body: Some(text.into()), ..status(code) },
            Self::Reply(step, code) => Fault { operation: Some(step.to_owned()), ..status(code) },
            Self::Breaks(reset) => Fault { reset: Some(reset), ..of },
            Self::Half => Fault { malformed: true, ..of },
            Self::SuccessWithError => Fault { ok_with_error: true, ..of },
            // The sandbox gives the wait up when it ends.
            Self::Silence => Fault { delay_ms: 60_000, ..of },
        };
        Some(fault.times(EVERY_TRY))
    }
}

/// The vendor's body for a code or word of its manual.
fn says(provider: &str, status: u16, word: &str) -> Value {
    let number = word.parse::<i64>().unwrap_or_default();
    match provider {
        "whatsapp" => {
            json!({ "error": { "message": "told to", "type": "OAuthException", "code": number, "fbtrace_id": "A" } })
        }
        "twilio" => json!({ "code": number, "message": "told to", "more_info": "", "status": status }),
        "llm" => {
            json!({ "error": { "code": status, "message": "told to", "metadata": { "error_type": word } } })
        }
        "openai" => {
            json!({ "error": { "message": "told to", "type": "error", "param": null, "code": word } })
        }
        "sendgrid" => json!({ "errors": [{ "message": word, "field": null, "help": null }] }),
        "ses" => json!({ "__type": word, "message": "told to" }),
        "google_vision" if status == 200 => {
            json!({ "responses": [{ "error": { "code": number, "message": "told to" } }] })
        }
        "google_vision" => json!({ "error": { "code": status, "message": "told to", "status": word } }),
        "storage" => format!("<Error><Code>{word}</Code><Message>told to</Message></Error>").into(),
        "push" => json!({ "code": status, "errno": number, "error": "told to", "message": "told to" }),
        _ => json!({ "error": word }),
    }
}
