//! Text messages through Twilio's Messages API.
//!
//! Refusals carry a number of their own (<https://www.twilio.com/docs/api/errors>), which says more than the HTTP
//! status. There is no idempotency key, so an answer that was lost is ambiguous.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use crate::{
    ErrorClass, ProviderError, Receipt,
    api::{Api, ApiSettings, advice},
    exchange::{HttpAnswer, Repeat},
    pipeline::{Client, Target},
};

/// The name of this provider in receipts, errors and metrics.
pub const PROVIDER: &str = "twilio";
/// Where the API is.
pub const BASE_URL: &str = "https://api.twilio.com/2010-04-01";
const SEND: &str = "send";

/// The account that sends.
#[derive(Debug, Clone)]
pub struct SmsSettings {
    /// Where the API is.
    pub api: ApiSettings,
    /// Id of the account, `AC…`.
    pub account_sid: String,
    /// Its token.
    pub auth_token: SecretString,
    /// The number that messages come from, E.164.
    pub from: String,
}

/// Sends text messages from one number.
#[derive(Debug)]
pub struct SmsClient {
    api: Api,
    path: String,
    account_sid: String,
    auth_token: SecretString,
    from: String,
}

#[derive(Deserialize)]
struct Sent {
    sid: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    num_segments: Option<String>,
}

#[derive(Deserialize)]
struct Refused {
    code: i64,
    #[serde(default)]
    message: String,
}

impl SmsClient {
    /// Builds the client.
    ///
    /// # Errors
    /// When the TLS stack cannot be set up.
    pub fn new(settings: SmsSettings) -> Result<Self, ProviderError> {
        let SmsSettings { api, account_sid, auth_token, from } = settings;
        let api = Api::new(PROVIDER, api, auth_token.clone())?;
        Ok(Self {
            api,
            path: format!("/Accounts/{account_sid}/Messages.json"),
            account_sid,
            auth_token,
            from,
        })
    }

    /// Sends one message. `to` is a number in E.164 form.
    ///
    /// The receipt's `provider_ref` is the `SM…`. Success means queued at Twilio, not delivered.
    pub async fn send(&self, to: &str, text: &str, now_unix: i64) -> Result<Receipt, ProviderError> {
        let form = [("To", to), ("From", self.from.as_str()), ("Body", text)];
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self
            .api
            .post(&self.path)
            .basic_auth(&self.account_sid, Some(self.auth_token.expose_secret()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let answer = self.api.call(SEND, request, Repeat::MayDouble).await?;
        match answer.is_success().then(|| answer.json::<Sent>()).flatten() {
            Some(sent) => Ok(Receipt {
                provider: PROVIDER,
                provider_ref: Some(sent.sid),
                detail: Some(json!({ "status": sent.status, "segments": sent.num_segments })),
            }),
            None => Err(self.refused(&answer, now_unix)),
        }
    }

    fn refused(&self, answer: &HttpAnswer, now_unix: i64) -> ProviderError {
        let wait = answer.wait(now_unix);
        let refused: Option<Refused> = answer.json();
        let code = refused.as_ref().map_or(0, |refused| refused.code);
        let class = match classify(code, answer.status) {
            ErrorClass::RateLimited { .. } => ErrorClass::RateLimited { retry_after: wait },
            other => other,
        };
        let said = refused
            .map_or_else(|| String::from_utf8_lossy(&answer.body).into_owned(), |refused| refused.message);
        let code = if code == 0 { i64::from(answer.status) } else { code };
        self.api.error(SEND, class, advice(class), &said).with_code(code.to_string()).with_server_wait(wait)
    }
}

impl Client for SmsClient {
    fn target(&self) -> Target {
        self.api.target(SEND, Repeat::MayDouble)
    }
}

/// What a code and a status mean. Pure; the wait is added by the caller.
fn classify(code: i64, status: u16) -> ErrorClass {
    match (code, status) {
        // Credentials, a closed account, or a sender that is not ours: every job would fail alike.
        (20_003 | 20_005 | 21_212 | 21_606 | 21_659 | 21_660 | 30_002, _) => ErrorClass::Auth,
        (63_038 | 30_037, _) => ErrorClass::Quota,
        (14_107 | 20_429 | 21_611 | 30_001, _) => ErrorClass::RateLimited { retry_after: None },
        // The recipient said STOP.
        (21_610, _) => ErrorClass::Gone,
        // A success that cannot be read was probably carried out.
        (_, 200..=299) => ErrorClass::Ambiguous,
        (_, 401 | 403) => ErrorClass::Auth,
        (_, 402) => ErrorClass::Quota,
        (_, 429) => ErrorClass::RateLimited { retry_after: None },
        (_, 408 | 409 | 425 | 500..) => ErrorClass::ServerError,
        _ => ErrorClass::Permanent,
    }
}
