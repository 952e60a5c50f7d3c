//! E-mail through SendGrid's v3 mail send (<https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send>).
//!
//! There is no idempotency key, so an answer that was lost is ambiguous. The Message-ID is ours, and `custom_args` carry
//! the job's id into every event. They stand in the personalization: at the top the specification wants a text where
//! the API wants an object.

use futures_util::future::BoxFuture;
use lettre::message::Mailbox;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Mailer,
    attachment::Attachment,
    message::{Email, Sender, invalid, refuse_control_characters},
    recipients::Recipients,
    size,
};
use crate::{
    ErrorClass, ProviderError, Receipt,
    api::{Api, ApiSettings, advice},
    content::{Pieces, Sending, json},
    error::TOO_LARGE,
    exchange::{HttpAnswer, Repeat},
    pipeline::{Answer, Client, Target},
    probe::{PROBE, Probe, Probed},
};

/// The name of this provider in receipts, errors and metrics.
pub const PROVIDER: &str = "sendgrid";
/// Where the API is; accounts in the European Union have `https://api.eu.sendgrid.com`.
pub const BASE_URL: &str = "https://api.sendgrid.com";
const SEND: &str = "send";
/// What a key must be allowed to do.
const MAY_SEND: &str = "mail.send";
/// Largest request: 30 MB with everything in it (the reference's "Limitations"); the megabyte that is surely meant.
const MOST_BYTES: u64 = 30_000_000;
/// What a 401 says when the key is good and the plan is used up.
const NO_CREDITS: &str = "maximum credits exceeded";

/// The account that sends.
#[derive(Debug, Clone)]
pub struct SendgridSettings {
    /// Where the API is.
    pub api: ApiSettings,
    /// `SG.…`.
    pub api_key: SecretString,
    /// Who the messages come from: a verified sender, or an address of an authenticated domain.
    pub sender: Sender,
    /// SendGrid's own sandbox mode: everything is checked, nothing is sent or charged.
    pub sandbox_mode: bool,
}

/// Sends e-mail through one account.
#[derive(Debug)]
pub struct SendgridClient {
    api: Api,
    api_key: SecretString,
    sender: Sender,
    sandbox_mode: bool,
}

#[derive(Deserialize)]
struct Refused {
    #[serde(default)]
    errors: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    message: String,
    #[serde(default)]
    field: Option<String>,
}

/// What a key may do.
#[derive(Deserialize)]
struct Scopes {
    scopes: Vec<String>,
}

impl SendgridClient {
    /// Builds the client.
    ///
    /// # Errors
    /// When the TLS stack cannot be set up.
    pub fn new(settings: SendgridSettings) -> Result<Self, ProviderError> {
        let SendgridSettings { api, api_key, sender, sandbox_mode } = settings;
        let api = Api::new(PROVIDER, api, api_key.clone())?;
        Ok(Self { api, api_key, sender, sandbox_mode })
    }

    /// Sends one message. `now_unix` (Unix seconds) is the base of a wish to wait.
    ///
    /// The receipt's `provider_ref` is SendGrid's `X-Message-Id`. Success means taken over by SendGrid, not delivered.
    pub async fn send(&self, email: &Email, now_unix: i64) -> Answer {
        let message_id = self.sender.message_id(email)?;
        let body = self.mail(email, &message_id)?;
        size::check(PROVIDER, body.length(), MOST_BYTES)?;
        let request = self
            .api
            .post("/v3/mail/send")
            .bearer_auth(self.api_key.expose_secret())
            .header("content-type", "application/json");
        let Sending { body, broke_off } = body.sending(None);
        let answer = self.api.call_with(SEND, request.body(body), &broke_off, Repeat::MayDouble).await?;
        let refused = refusal(&answer);
        // A success has no body; one with errors inside is what proxies in front of an API make of its failures.
        if !matches!(answer.status, 200 | 202) || refused.is_some() {
            return Err(self.refused(SEND, &answer, refused, now_unix));
        }
        let provider_ref = answer.header("x-message-id").map(str::to_owned);
        let detail = json!({ "message_id": message_id, "sandbox_mode": self.sandbox_mode });
        Ok(Receipt { provider: PROVIDER, provider_ref, detail: Some(detail) })
    }

    fn mail(&self, email: &Email, message_id: &str) -> Result<Pieces, ProviderError> {
        refuse_control_characters("subject", &email.subject)?;
        let recipients = Recipients::read(email)?;
        let mut mail = json!({
            "personalizations": [personalization(email, &recipients)],
            "from": address(&self.sender.mailbox),
            "subject": email.subject,
            "content": content(email)?,
            "headers": { "Message-ID": message_id },
        });
        if let Some(reply_to) = &recipients.reply_to {
            mail["reply_to"] = address(reply_to);
        }
        if self.sandbox_mode {
            mail["mail_settings"] = json!({ "sandbox_mode": { "enable": true } });
        }
        if email.attachments.is_empty() {
            return Ok(mail.to_string().into());
        }
        let files = email.attachments.iter().map(attachment).collect::<Result<Vec<_>, _>>()?;
        Ok(json::with_field(&mail, "attachments", json::list(files)).joined())
    }

    fn refused(
        &self,
        operation: &'static str,
        answer: &HttpAnswer,
        refused: Option<Refused>,
        now_unix: i64,
    ) -> ProviderError {
        let said = refused.map_or_else(|| String::from_utf8_lossy(&answer.body).into_owned(), said);
        let wait = answer.wait(now_unix);
        let class = match classify(answer.status, &said) {
            ErrorClass::RateLimited { .. } => ErrorClass::RateLimited { retry_after: wait },
            other => other,
        };
        let code = if answer.status == 413 { TOO_LARGE.to_owned() } else { answer.status.to_string() };
        let advice = advice(operation, class);
        self.api.error(operation, class, advice, &said).with_code(code).with_server_wait(wait)
    }
}

impl Client for SendgridClient {
    /// Without a deadline: files may have to be fetched first, and the exchange has its own.
    fn target(&self) -> Target {
        Target { deadline: None, ..self.api.target(SEND, Repeat::MayDouble) }
    }
}

impl Probe for SendgridClient {
    /// Reads what the key may do (<https://www.twilio.com/docs/sendgrid/api-reference/api-key-permissions>).
    fn probe(&self, now_unix: i64) -> BoxFuture<'_, Result<Probed, ProviderError>> {
        Box::pin(async move {
            let request = self.api.get("/v3/scopes").bearer_auth(self.api_key.expose_secret());
            let answer = self.api.probe(request).await?;
            let Some(Scopes { scopes }) = answer.is_success().then(|| answer.json()).flatten() else {
                return Err(self.refused(PROBE, &answer, refusal(&answer), now_unix));
            };
            if scopes.iter().any(|scope| scope == MAY_SEND) {
                return Ok(Probed::works("the key is accepted and may send"));
            }
            let advice =
                "The key is accepted but may not send; give it the permission Mail Send, or use another.";
            Err(self.api.error(PROBE, ErrorClass::Auth, advice, "").with_code(MAY_SEND))
        })
    }
}

impl Mailer for SendgridClient {
    fn carry<'a>(&'a self, email: &'a Email, now_unix: i64) -> BoxFuture<'a, Answer> {
        Box::pin(self.send(email, now_unix))
    }
}

fn personalization(email: &Email, recipients: &Recipients) -> Value {
    let list = |mailboxes: &[Mailbox]| -> Value { mailboxes.iter().map(address).collect() };
    let mut whom = json!({ "to": list(&recipients.to), "custom_args": { "job_id": email.message_key } });
    if let Some(tenant) = &email.tenant {
        whom["custom_args"]["tenant_id"] = json!(tenant);
    }
    for (name, mailboxes) in [("cc", &recipients.cc), ("bcc", &recipients.bcc)] {
        if !mailboxes.is_empty() {
            whom[name] = list(mailboxes);
        }
    }
    whom
}

fn address(mailbox: &Mailbox) -> Value {
    let mut address = json!({ "email": mailbox.email.to_string() });
    if let Some(name) = &mailbox.name {
        address["name"] = json!(name);
    }
    address
}

/// Text before HTML, as SendGrid demands. An empty part counts as absent: SendGrid refuses it.
fn content(email: &Email) -> Result<Vec<Value>, ProviderError> {
    let parts = [("text/plain", &email.text), ("text/html", &email.html)];
    let content: Vec<Value> = parts
        .into_iter()
        .filter_map(|(kind, text)| Some((kind, text.as_deref().filter(|text| !text.is_empty())?)))
        .map(|(kind, text)| json!({ "type": kind, "value": text }))
        .collect();
    if content.is_empty() {
        return Err(invalid("text", "there is neither text nor HTML; give at least one"));
    }
    Ok(content)
}

fn attachment(file: &Attachment) -> Result<Pieces, ProviderError> {
    file.check()?;
    let mut part = json!({
        "type": file.content_type(),
        "filename": file.name,
        "disposition": if file.content_id.is_some() { "inline" } else { "attachment" },
    });
    if let Some(id) = &file.content_id {
        part["content_id"] = json!(id);
    }
    Ok(json::with_field(&part, "content", json::base64(file.content.clone())))
}

/// The reasons that an answer gives. Any other body, also an object without reasons, is none: taken mail stays taken.
fn refusal(answer: &HttpAnswer) -> Option<Refused> {
    answer.json().filter(|refused: &Refused| !refused.errors.is_empty())
}

fn said(refused: Refused) -> String {
    let reasons = refused.errors.into_iter().map(|reason| match reason.field {
        Some(field) => format!("{field}: {}", reason.message),
        None => reason.message,
    });
    reasons.collect::<Vec<_>>().join("; ")
}

/// What a status means, and what was said with it. Pure; the wait is added by the caller.
fn classify(status: u16, said: &str) -> ErrorClass {
    match status {
        401 if said.to_ascii_lowercase().contains(NO_CREDITS) => ErrorClass::Quota,
        // 403 is also a sender that has not been verified: every message would be refused alike.
        401 | 403 => ErrorClass::Auth,
        402 => ErrorClass::Quota,
        429 => ErrorClass::RateLimited { retry_after: None },
        // A success that cannot be read was probably carried out, and a gateway that gave up does not know.
        200..=299 | 502 | 504 => ErrorClass::Ambiguous,
        408 | 500.. => ErrorClass::ServerError,
        _ => ErrorClass::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use reqwest::header::HeaderMap;

    use super::*;

    #[test]
    fn only_an_answer_with_reasons_is_a_refusal() {
        let answer = |body: &'static str| HttpAnswer {
            status: 202,
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
        };

        for taken in ["", "{}", r#"{"message":"queued"}"#, r#"{"errors":[]}"#, r#"{"errors":null}"#, "<html>"]
        {
            assert!(refusal(&answer(taken)).is_none(), "{taken}");
        }
        let refused = refusal(&answer(r#"{"errors":[{"message":"Internal Server Error"}]}"#));
        assert_eq!(refused.map(said).as_deref(), Some("Internal Server Error"));
    }

    #[test]
    fn every_status_of_the_reference_has_its_class() {
        let limited = ErrorClass::RateLimited { retry_after: None };
        let table = [
            (400, "personalizations: required", ErrorClass::Permanent),
            (401, "The provided authorization grant is invalid, expired, or revoked", ErrorClass::Auth),
            (401, "Maximum credits exceeded", ErrorClass::Quota),
            (403, "The from address does not match a verified Sender Identity.", ErrorClass::Auth),
            (404, "", ErrorClass::Permanent),
            (405, "method not allowed", ErrorClass::Permanent),
            (413, "payload too large", ErrorClass::Permanent),
            (429, "too many requests", limited),
            (500, "", ErrorClass::ServerError),
            (502, "Bad Gateway", ErrorClass::Ambiguous),
            (503, "", ErrorClass::ServerError),
            (504, "Gateway Timeout", ErrorClass::Ambiguous),
            (202, "Internal Server Error", ErrorClass::Ambiguous),
        ];

        for (status, said, class) in table {
            assert_eq!(classify(status, said), class, "{status} {said}");
        }
    }
}
