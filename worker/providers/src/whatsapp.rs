//! WhatsApp messages through Meta's Cloud API (Graph).
//!
//! Meta says to decide on `error.code` and not on the HTTP status: throttling often comes as 400. The table of codes is
//! that of <https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes>. There is no idempotency key,
//! so an answer that was lost is ambiguous; `biz_opaque_callback_data` carries the job's id into the status webhooks.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    ErrorClass, ProviderError, Receipt, Standing,
    api::{Api, ApiSettings, advice},
    exchange::{HttpAnswer, Repeat},
    pipeline::{Client, Target},
};

/// The name of this provider in receipts, errors and metrics.
pub const PROVIDER: &str = "whatsapp";
/// Where the API is.
pub const BASE_URL: &str = "https://graph.facebook.com/v23.0";
const SEND: &str = "send";
/// Limits of an app or account are counted by the hour; a minute is soon enough to ask again.
const ACCOUNT_LIMIT: Duration = Duration::from_mins(1);
/// Too many messages from our number to this one recipient.
const TOO_MANY_FOR_THE_PAIR: i64 = 131_056;
/// One pair of numbers may exchange about one message in six seconds.
const PAIR_LIMIT: Duration = Duration::from_secs(6);
/// Meta asks to leave a user alone for a day after "healthy ecosystem".
const LEAVE_ALONE: Duration = Duration::from_hours(24);

/// The account that sends.
#[derive(Debug, Clone)]
pub struct WhatsappSettings {
    /// Where the API is.
    pub api: ApiSettings,
    /// Id of the sending number, not the number itself.
    pub phone_number_id: String,
    /// Token of a system user, `EAA…`.
    pub access_token: SecretString,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub enum WhatsappContent {
    /// Free text; only within 24 hours after the user's last message.
    Text {
        /// 1 to 4,096 characters.
        body: String,
        /// Whether the first link is shown with a preview.
        preview_url: bool,
    },
    /// An approved template.
    Template {
        /// Its name.
        name: String,
        /// Its language, for example `es_MX`.
        language: String,
        /// Parameters of header, body and buttons, as Meta defines them.
        components: Vec<Value>,
    },
}

/// Sends messages from one number.
#[derive(Debug)]
pub struct WhatsappClient {
    api: Api,
    path: String,
    access_token: SecretString,
}

#[derive(Deserialize)]
struct Sent {
    messages: Vec<SentMessage>,
}

#[derive(Deserialize)]
struct SentMessage {
    id: String,
}

#[derive(Deserialize)]
struct Refused {
    error: GraphError,
}

#[derive(Deserialize)]
struct GraphError {
    #[serde(default)]
    message: String,
    #[serde(default)]
    code: i64,
    #[serde(default)]
    is_transient: bool,
    #[serde(default)]
    error_data: Option<ErrorData>,
}

#[derive(Deserialize)]
struct ErrorData {
    #[serde(default)]
    details: String,
}

impl WhatsappClient {
    /// Builds the client.
    ///
    /// # Errors
    /// When the TLS stack cannot be set up.
    pub fn new(settings: WhatsappSettings) -> Result<Self, ProviderError> {
        let WhatsappSettings { api, phone_number_id, access_token } = settings;
        let api = Api::new(PROVIDER, api, access_token.clone())?;
        Ok(Self { api, path: format!("/{phone_number_id}/messages"), access_token })
    }

    /// Sends one message. `to` is a number in E.164 form; `reference` comes back in status webhooks.
    ///
    /// The receipt's `provider_ref` is the `wamid…`. Success means accepted, not delivered.
    pub async fn send(
        &self,
        to: &str,
        content: &WhatsappContent,
        reference: &str,
    ) -> Result<Receipt, ProviderError> {
        let request = self.api.post(&self.path).bearer_auth(self.access_token.expose_secret());
        let answer =
            self.api.call(SEND, request.json(&body(to, content, reference)), Repeat::MayDouble).await?;
        let sent = answer.is_success().then(|| answer.json::<Sent>()).flatten();
        match sent.and_then(|sent| sent.messages.into_iter().next()) {
            Some(message) => Ok(Receipt { provider: PROVIDER, provider_ref: Some(message.id), detail: None }),
            None => Err(self.refused(&answer)),
        }
    }

    fn refused(&self, answer: &HttpAnswer) -> ProviderError {
        let Some(Refused { error }) = answer.json() else {
            let class = if answer.is_success() { ErrorClass::Ambiguous } else { by_status(answer.status) };
            let said = String::from_utf8_lossy(&answer.body);
            return self.api.error(SEND, class, advice(class), &said).with_code(answer.status.to_string());
        };
        let (class, wait) = classify(error.code, error.is_transient, answer.status);
        let details = error.error_data.map(|data| data.details).unwrap_or_default();
        let help = if error.code == 131_047 {
            "More than 24 hours have passed since the user wrote; send a template instead."
        } else {
            advice(class)
        };
        let standing =
            if error.code == TOO_MANY_FOR_THE_PAIR { Standing::OneRecipient } else { Standing::Answered };
        self.api
            .error(SEND, class, help, &format!("{} {details}", error.message))
            .with_code(error.code.to_string())
            .with_server_wait(wait)
            .with_standing(standing)
    }
}

impl Client for WhatsappClient {
    fn target(&self) -> Target {
        self.api.target(SEND, Repeat::MayDouble)
    }
}

fn body(to: &str, content: &WhatsappContent, reference: &str) -> Value {
    let mut body = json!({
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": to,
        "biz_opaque_callback_data": reference,
    });
    match content {
        WhatsappContent::Text { body: text, preview_url } => {
            body["type"] = json!("text");
            body["text"] = json!({ "body": text, "preview_url": preview_url });
        }
        WhatsappContent::Template { name, language, components } => {
            body["type"] = json!("template");
            body["template"] = json!({ "name": name, "language": { "code": language } });
            if !components.is_empty() {
                body["template"]["components"] = json!(components);
            }
        }
    }
    body
}

/// What a code means, and how long to wait. Pure.
fn classify(code: i64, is_transient: bool, status: u16) -> (ErrorClass, Option<Duration>) {
    let limited = |wait| (ErrorClass::RateLimited { retry_after: Some(wait) }, None);
    let class = match code {
        0 | 3 | 10 | 190 | 200..=299 | 368 | 131_005 | 131_031 | 131_037 | 131_045 | 133_010 => {
            ErrorClass::Auth
        }
        131_042 | 131_048 => ErrorClass::Quota,
        4 | 80_007 | 80_008 => return limited(ACCOUNT_LIMIT),
        TOO_MANY_FOR_THE_PAIR => return limited(PAIR_LIMIT),
        130_429 | 132_069 => ErrorClass::RateLimited { retry_after: None },
        131_049 => return (ErrorClass::ServerError, Some(LEAVE_ALONE)),
        2 | 131_000 | 131_016 | 131_052 | 131_057 | 133_004 => ErrorClass::ServerError,
        _ if is_transient => ErrorClass::ServerError,
        1
        | 33
        | 100
        | 130_403
        | 130_472
        | 131_008
        | 131_009
        | 131_021
        | 131_026
        | 131_030
        | 131_047
        | 131_050
        | 131_051
        | 131_053
        | 132_000..=132_068
        | 135_000 => ErrorClass::Permanent,
        _ => by_status(status),
    };
    (class, None)
}

/// For codes that the table does not know.
fn by_status(status: u16) -> ErrorClass {
    match status {
        401 => ErrorClass::Auth,
        429 => ErrorClass::RateLimited { retry_after: None },
        500.. => ErrorClass::ServerError,
        _ => ErrorClass::Permanent,
    }
}
