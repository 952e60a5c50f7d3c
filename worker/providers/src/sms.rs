//! Text messages through Twilio's Messages API.
//!
//! There is no idempotency key, so an answer that was lost is ambiguous. What refusals mean is in `sms/answer.rs`; how
//! many messages a text is billed as, in [`segments`].

mod answer;
pub mod segments;

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

pub use self::answer::has_opted_out;
use self::{
    answer::{failed, refused},
    segments::Segments,
};
use crate::{
    ErrorClass, ProviderError, Receipt,
    api::{Api, ApiSettings},
    exchange::Repeat,
    pipeline::{Client, Target},
    probe::{PROBE, Probe, Probed},
};

/// The name of this provider in receipts, errors and metrics.
pub const PROVIDER: &str = "twilio";
/// Where the API is.
pub const BASE_URL: &str = "https://api.twilio.com/2010-04-01";
/// Longest text, in characters (error 21617).
pub const MOST_CHARACTERS: usize = 1_600;
const SEND: &str = "send";
/// Test credentials may send and nothing else (<https://www.twilio.com/docs/api/errors/20008>).
const TEST_CREDENTIALS: &str = "20008";

/// The account that sends.
#[derive(Debug, Clone)]
pub struct SmsSettings {
    /// Where the API is.
    pub api: ApiSettings,
    /// Id of the account, `AC…`.
    pub account_sid: String,
    /// Its token.
    pub auth_token: SecretString,
    /// What messages come from.
    pub from: SmsSender,
}

/// What messages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmsSender {
    /// A number of the account, E.164.
    Number(String),
    /// A messaging service, `MG…`, which chooses one of its numbers.
    Service(String),
}

impl<S: Into<String>> From<S> for SmsSender {
    fn from(number: S) -> Self {
        Self::Number(number.into())
    }
}

/// Sends text messages from one number or service.
#[derive(Debug)]
pub struct SmsClient {
    api: Api,
    path: String,
    account_sid: String,
    auth_token: SecretString,
    from: SmsSender,
    status_callback: Option<String>,
}

#[derive(Deserialize)]
struct Sent {
    sid: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    num_segments: Option<String>,
    #[serde(default)]
    error_code: Option<i64>,
    #[serde(default)]
    error_message: Option<String>,
}

/// What an account is.
#[derive(Deserialize)]
struct Account {
    status: String,
    #[serde(default, rename = "type")]
    kind: String,
}

impl SmsClient {
    /// Builds the client.
    ///
    /// # Errors
    /// When the TLS stack cannot be set up.
    pub fn new(settings: SmsSettings) -> Result<Self, ProviderError> {
        let SmsSettings { api, account_sid, auth_token, from } = settings;
        let api = Api::new(PROVIDER, api, auth_token.clone())?.with_login(&account_sid, &auth_token);
        let path = format!("/Accounts/{account_sid}/Messages.json");
        Ok(Self { api, path, account_sid, auth_token, from, status_callback: None })
    }

    /// Has Twilio tell this URL what becomes of each message.
    #[must_use]
    pub fn with_status_callback(mut self, url: Option<String>) -> Self {
        self.status_callback = url;
        self
    }

    /// Sends one message. `to` is a number in E.164 form.
    ///
    /// The receipt's `provider_ref` is the `SM…`. Success means queued at Twilio, not delivered.
    pub async fn send(&self, to: &str, text: &str, now_unix: i64) -> Result<Receipt, ProviderError> {
        if MOST_CHARACTERS < text.chars().count() {
            let message = format!("The text has more than {MOST_CHARACTERS} characters; shorten it.");
            let error = ProviderError::new(PROVIDER, SEND, ErrorClass::Permanent, message);
            return Err(error.with_code("too_long"));
        }
        let request = self
            .api
            .post(&self.path)
            .basic_auth(&self.account_sid, Some(self.auth_token.expose_secret()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(self.form(to, text));
        let answer = self.api.call(SEND, request, Repeat::MayDouble).await?;
        match answer.is_success().then(|| answer.json::<Sent>()).flatten() {
            Some(Sent { status, error_code: Some(code), error_message, .. })
                if matches!(&*status, "failed" | "undelivered") =>
            {
                Err(failed(&self.api, code, error_message.as_deref().unwrap_or_default()))
            }
            Some(sent) => Ok(receipt(sent, Segments::of(text))),
            None => Err(refused(&self.api, SEND, &answer, now_unix)),
        }
    }

    fn form(&self, to: &str, text: &str) -> String {
        let sender = match &self.from {
            SmsSender::Number(number) => ("From", number.as_str()),
            SmsSender::Service(service) => ("MessagingServiceSid", service.as_str()),
        };
        let callback = self.status_callback.as_deref().map(|url| ("StatusCallback", url));
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("To", to), sender, ("Body", text)])
            .extend_pairs(callback)
            .finish()
    }
}

impl Client for SmsClient {
    fn target(&self) -> Target {
        self.api.target(SEND, Repeat::MayDouble)
    }
}

impl Probe for SmsClient {
    /// Reads the account (<https://www.twilio.com/docs/iam/api/account#fetch-an-account-resource>).
    fn probe(&self, now_unix: i64) -> BoxFuture<'_, Result<Probed, ProviderError>> {
        Box::pin(async move {
            let path = format!("/Accounts/{}.json", self.account_sid);
            let request = self.api.get(&path);
            let request = request.basic_auth(&self.account_sid, Some(self.auth_token.expose_secret()));
            let answer = self.api.probe(request).await?;
            if let Some(account) = answer.is_success().then(|| answer.json::<Account>()).flatten() {
                return account.told(&self.api);
            }
            let error = refused(&self.api, PROBE, &answer, now_unix);
            if error.code.as_deref() == Some(TEST_CREDENTIALS) {
                let found =
                    "accepted, but these are Twilio's test credentials: messages are checked and never sent";
                return Ok(Probed::doubtful(
                    found,
                    "use the live token of the account when messages shall arrive",
                ));
            }
            Err(error)
        })
    }
}

impl Account {
    fn told(&self, api: &Api) -> Result<Probed, ProviderError> {
        if self.status != "active" {
            let advice = "The token is accepted, but the account is not active; see why in Twilio's console.";
            return Err(api.error(PROBE, ErrorClass::Auth, advice, &self.status).with_code("20005"));
        }
        if self.kind == "Trial" {
            let found = "accepted, but it is a trial account: messages go to verified numbers only";
            return Ok(Probed::doubtful(found, "upgrade the account in Twilio's console"));
        }
        Ok(Probed::works("the account is active"))
    }
}

/// A messaging service counts later, so its 0 is replaced by our own count.
fn receipt(sent: Sent, own: Segments) -> Receipt {
    let told = sent.num_segments.and_then(|count| count.parse().ok()).filter(|count| 0 < *count);
    let detail = json!({
        "status": sent.status,
        "segments": told.unwrap_or(own.count),
        "alphabet": own.alphabet.name(),
    });
    Receipt { provider: PROVIDER, provider_ref: Some(sent.sid), detail: Some(detail) }
}
