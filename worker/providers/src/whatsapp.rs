//! WhatsApp messages through Meta's Cloud API (Graph).
//!
//! There is no idempotency key, so an answer that was lost is ambiguous; `biz_opaque_callback_data` carries the job's id
//! into the status webhooks. What answers mean is in `whatsapp/answer.rs`, files go up and down in [`media`], and
//! `whatsapp/pairs.rs` leaves alone those recipients that were written to too fast.

mod answer;
pub mod media;
mod pairs;

use std::time::Instant;

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

pub use self::answer::{LEAVE_ALONE, has_opted_out, is_left_alone, window_is_closed};
use self::{answer::refused, pairs::PairPauses};
use crate::{
    ErrorClass, ProviderError, Receipt, Standing,
    api::{Api, ApiSettings},
    exchange::Repeat,
    pipeline::{Client, Target},
    probe::{PROBE, Probe, Probed},
};

/// The name of this provider in receipts, errors and metrics.
pub const PROVIDER: &str = "whatsapp";
/// Where the API is.
pub const BASE_URL: &str = "https://graph.facebook.com/v23.0";
const SEND: &str = "send";
const MARK_READ: &str = "mark_read";

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
    /// A picture, a recording, a film, a document or a sticker; only within 24 hours after the user's last message.
    File {
        /// `image`, `audio`, `video`, `document` or `sticker`.
        media: &'static str,
        /// Where WhatsApp finds it.
        place: MediaPlace,
        /// Text below it, up to 1,024 characters; not for audio and stickers.
        caption: Option<String>,
        /// Name that a document is shown with.
        filename: Option<String>,
    },
}

/// Where WhatsApp finds a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaPlace {
    /// At WhatsApp, under the id of its upload.
    Id(String),
    /// At a public URL, from where WhatsApp downloads it.
    Link(String),
}

/// Sends messages from one number.
#[derive(Debug)]
pub struct WhatsappClient {
    api: Api,
    /// Path of the number itself, for what it is.
    number: String,
    path: String,
    access_token: SecretString,
    pairs: PairPauses,
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
struct Marked {
    success: bool,
}

/// The number that sends.
#[derive(Deserialize)]
struct Number {
    display_phone_number: String,
    #[serde(default)]
    verified_name: String,
}

impl WhatsappClient {
    /// Builds the client.
    ///
    /// # Errors
    /// When the TLS stack cannot be set up.
    pub fn new(settings: WhatsappSettings) -> Result<Self, ProviderError> {
        let WhatsappSettings { api, phone_number_id, access_token } = settings;
        let api = Api::new(PROVIDER, api, access_token.clone())?;
        let path = format!("/{phone_number_id}/messages");
        let number = format!("/{phone_number_id}?fields=display_phone_number,verified_name");
        Ok(Self { api, number, path, access_token, pairs: PairPauses::default() })
    }

    /// Whether this recipient may be written to now. Asked before a turn at WhatsApp is taken, which a message that would not
    /// be sent uses up for nothing.
    ///
    /// # Errors
    /// `RateLimited` with the wait, when the recipient is left alone for a while. Nothing was sent.
    pub fn may_write_to(&self, to: &str) -> Result<(), ProviderError> {
        self.pairs.left(to, Instant::now()).map_or(Ok(()), |left| Err(put_off(left)))
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
        self.may_write_to(to)?;
        let request = self.api.post(&self.path).bearer_auth(self.access_token.expose_secret());
        let request = request.json(&body(to, content, reference));
        let answer = self.api.call(SEND, request, Repeat::MayDouble).await?;
        let sent = answer.is_success().then(|| answer.json::<Sent>()).flatten();
        if let Some(message) = sent.and_then(|sent| sent.messages.into_iter().next()) {
            self.pairs.sent(to, Instant::now());
            return Ok(Receipt { provider: PROVIDER, provider_ref: Some(message.id), detail: None });
        }
        let mut error = refused(&self.api, SEND, &answer, ErrorClass::Ambiguous);
        if error.standing == Standing::OneRecipient {
            let wait = self.pairs.refused(to, Instant::now());
            error.class = ErrorClass::RateLimited { retry_after: Some(wait) };
        }
        Err(error)
    }

    /// Shows the user that the message with this id (`wamid…`) was read. A repeat changes nothing.
    ///
    /// # Errors
    /// See [`ErrorClass`].
    pub async fn mark_read(&self, message: &str) -> Result<Receipt, ProviderError> {
        let request = self.api.post(&self.path).bearer_auth(self.access_token.expose_secret());
        let read = json!({ "messaging_product": "whatsapp", "status": "read", "message_id": message });
        let answer = self.api.call(MARK_READ, request.json(&read), Repeat::Safe).await?;
        match answer.is_success().then(|| answer.json::<Marked>()).flatten() {
            Some(Marked { success: true }) => {
                Ok(Receipt { provider: PROVIDER, provider_ref: Some(message.to_owned()), detail: None })
            }
            _ => Err(refused(&self.api, MARK_READ, &answer, ErrorClass::ServerError)),
        }
    }
}

impl Client for WhatsappClient {
    fn target(&self) -> Target {
        // A message may be refused and its fallback sent in one call.
        let once = self.api.target(SEND, Repeat::MayDouble);
        Target { deadline: once.deadline.map(|timeout| timeout * 2), ..once }
    }
}

impl Probe for WhatsappClient {
    /// Reads the number (<https://developers.facebook.com/docs/whatsapp/business-management-api/manage-phone-numbers>).
    fn probe(&self, _: i64) -> BoxFuture<'_, Result<Probed, ProviderError>> {
        Box::pin(async move {
            let request = self.api.get(&self.number).bearer_auth(self.access_token.expose_secret());
            let answer = self.api.probe(request).await?;
            if let Some(number) = answer.is_success().then(|| answer.json::<Number>()).flatten() {
                let name = self.api.said(&number.verified_name);
                let number = self.api.said(&number.display_phone_number);
                return Ok(Probed::works(format!("the token is accepted for {number} {name}").trim_end()));
            }
            let error = refused(&self.api, PROBE, &answer, ErrorClass::ServerError);
            let code = error.code.as_deref().and_then(|code| code.parse().ok());
            if code.is_some_and(answer::is_permission) {
                let found =
                    "the token is accepted, but may not read the number, so nobody knows whether it may send";
                return Ok(Probed::doubtful(
                    found,
                    "allow it whatsapp_business_management, or see one message through",
                ));
            }
            Err(error)
        })
    }
}

/// The error for a message to a recipient who is left alone for a while.
fn put_off(left: std::time::Duration) -> ProviderError {
    let message = format!(
        "WhatsApp takes about one message in six seconds for one recipient and was sent more, so nothing was sent; this \
         one is repeated in {} s.",
        left.as_secs() + 1
    );
    let class = ErrorClass::RateLimited { retry_after: Some(left) };
    ProviderError::new(PROVIDER, SEND, class, message).with_code("own_limit").with_standing(Standing::NotSent)
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
        WhatsappContent::File { media, place, caption, filename } => {
            let mut file = match place {
                MediaPlace::Id(id) => json!({ "id": id }),
                MediaPlace::Link(link) => json!({ "link": link }),
            };
            for (name, value) in [("caption", caption), ("filename", filename)] {
                if let Some(value) = value {
                    file[name] = json!(value);
                }
            }
            body["type"] = json!(media);
            body[*media] = file;
        }
    }
    body
}
