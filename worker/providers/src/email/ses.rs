//! E-mail through Amazon SES, API v2 `SendEmail`
//! (<https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html>).
//!
//! Every message is sent as `Raw`: the bytes that SMTP would send, from the one composer that is held to hostile input.
//! `Simple` would be a second way to write the same message, with rules of its own for names beyond ASCII. SES puts its
//! own Message-ID and Date in the place of ours, whatever the form (<https://docs.aws.amazon.com/ses/latest/dg/header-fields.html>),
//! so the receipt names SES's id and the tag `job_id` carries ours into events. There is no idempotency token: an answer
//! that was lost is ambiguous.

mod answers;

use std::fmt;

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use url::{Position, Url};

use self::answers::{classify, is_about_the_clock, kind};
use super::{
    Mailer,
    message::{Email, Sender, compose},
    recipients::Recipients,
    size,
};
use crate::{
    ErrorClass, ProviderError, Receipt,
    api::{Api, ApiSettings, advice},
    content::{Pieces, Sending, json},
    error::{BLOCKED_FILE, TOO_LARGE},
    exchange::{HttpAnswer, Repeat},
    pipeline::{Answer, Client, Target},
    probe::{PROBE, Probe, Probed},
    sigv4::{PathStyle, Signer, Unsigned, amz_date, sha256},
};

/// The name of this provider in receipts, errors and metrics.
pub const PROVIDER: &str = "ses";
const SEND: &str = "send";
const PATH: &str = "/v2/email/outbound-emails";
/// `GetAccount` (<https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetAccount.html>).
const ACCOUNT: &str = "/v2/email/account";
/// Largest request: SES takes 40 MB after base64 (<https://docs.aws.amazon.com/ses/latest/dg/quotas.html>).
const MOST_BYTES: u64 = 40_000_000;
/// Longest value of a tag (API reference of `MessageTag`).
const MOST_TAG_BYTES: usize = 256;

/// Ends of file names that SES refuses, in order
/// (<https://docs.aws.amazon.com/ses/latest/dg/mime-types.html>).
const BLOCKED: &[&str] = &[
    "ade", "adp", "app", "asp", "bas", "bat", "cer", "chm", "cmd", "com", "cpl", "crt", "csh", "der", "exe",
    "fxp", "gadget", "hlp", "hta", "inf", "ins", "isp", "its", "js", "jse", "ksh", "lib", "lnk", "mad",
    "maf", "mag", "mam", "maq", "mar", "mas", "mat", "mau", "mav", "maw", "mda", "mdb", "mde", "mdt", "mdw",
    "mdz", "msc", "msh", "msh1", "msh1xml", "msh2", "msh2xml", "mshxml", "msi", "msp", "mst", "ops", "pcd",
    "pif", "plg", "prf", "prg", "ps1", "ps1xml", "ps2", "ps2xml", "psc1", "psc2", "reg", "scf", "scr", "sct",
    "shb", "shs", "sys", "tmp", "url", "vb", "vbe", "vbs", "vps", "vsmacros", "vss", "vst", "vsw", "vxd",
    "ws", "wsc", "wsf", "wsh", "xnk",
];

/// The account that sends.
#[derive(Debug, Clone)]
pub struct SesSettings {
    /// Where the API is, see [`base_url`].
    pub api: ApiSettings,
    /// `AKIA…`.
    pub access_key_id: String,
    /// The secret that goes with it.
    pub secret_access_key: SecretString,
    /// The region that requests are signed for.
    pub region: String,
    /// Who the messages come from: a verified identity.
    pub sender: Sender,
}

/// Where the API of a region is.
pub fn base_url(region: &str) -> String {
    format!("https://email.{region}.amazonaws.com")
}

/// Sends e-mail through one account.
pub struct SesClient {
    api: Api,
    signer: Signer,
    sender: Sender,
    host: String,
    /// What stands before every path of the API.
    folder: String,
}

impl fmt::Debug for SesClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SesClient").field("host", &self.host).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Sent {
    #[serde(rename = "MessageId")]
    message_id: String,
}

#[derive(Deserialize)]
struct Refused {
    #[serde(rename = "__type", default)]
    kind: String,
    #[serde(alias = "Message", default)]
    message: String,
}

/// What may be sent from an account.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Account {
    sending_enabled: bool,
    production_access_enabled: bool,
}

impl SesClient {
    /// Builds the client.
    ///
    /// # Errors
    /// When the address is none, or the TLS stack cannot be set up.
    pub fn new(settings: SesSettings) -> Result<Self, ProviderError> {
        let SesSettings { api, access_key_id, secret_access_key, region, sender } = settings;
        let api = Api::new(PROVIDER, api, secret_access_key.clone())?;
        let url = Url::parse(&api.url("")).map_err(|error| {
            let message = "The address of the API is no URL; correct it.";
            ProviderError::new(PROVIDER, "set up", ErrorClass::Permanent, message).with_source(error)
        })?;
        let host = url[Position::BeforeHost..Position::AfterPort].to_owned();
        let path_style = PathStyle::Normalized;
        let signer = Signer { access_key_id, secret_access_key, region, service: "ses", path_style };
        let folder = url.path().trim_end_matches('/').to_owned();
        Ok(Self { api, signer, sender, host, folder })
    }

    /// Sends one message, dated and signed `now_unix` (Unix seconds).
    ///
    /// The receipt's `provider_ref` is SES's `MessageId`. Success means taken over by SES, not delivered.
    pub async fn send(&self, email: &Email, now_unix: i64) -> Answer {
        refuse_blocked(email)?;
        let body = self.request(email, now_unix)?;
        size::check(PROVIDER, body.length(), MOST_BYTES)?;
        // Read twice rather than held: to be signed, and to be sent.
        let digest = body.sha256().await.map_err(|error| ProviderError::unread(PROVIDER, SEND, error))?;
        let [authorization, date] = self.signed("POST", PATH, &digest, now_unix);
        let request = self
            .api
            .post(PATH)
            .header("authorization", authorization)
            .header("x-amz-date", date)
            .header("content-type", "application/json");
        let Sending { body, broke_off } = body.sending(Some(digest));
        let answer = self.api.call_with(SEND, request.body(body), &broke_off, Repeat::MayDouble).await?;
        match answer.is_success().then(|| answer.json::<Sent>()).flatten() {
            Some(sent) => {
                Ok(Receipt { provider: PROVIDER, provider_ref: Some(sent.message_id), detail: None })
            }
            None => Err(self.refused(SEND, &answer)),
        }
    }

    /// The values of `Authorization` and of `X-Amz-Date`.
    fn signed(&self, method: &str, path: &str, body_sha256: &[u8], now_unix: i64) -> [String; 2] {
        let date = amz_date(now_unix);
        let headers = [("host", &*self.host), ("x-amz-date", &*date)];
        let path = format!("{}{path}", self.folder);
        let unsigned = Unsigned { method, path: &path, query: "", headers: &headers, body_sha256 };
        [self.signer.authorization(&unsigned, &date), date]
    }

    fn request(&self, email: &Email, now_unix: i64) -> Result<Pieces, ProviderError> {
        let outgoing = compose(email, &self.sender, now_unix)?;
        let Recipients { to, cc, bcc, .. } = Recipients::read(email)?;
        let addresses = |list: &[lettre::message::Mailbox]| -> Value {
            list.iter().map(|mailbox| mailbox.email.to_string()).collect()
        };
        let request = json!({
            "FromEmailAddress": self.sender.mailbox.email.to_string(),
            "Destination": {
                "ToAddresses": addresses(&to),
                "CcAddresses": addresses(&cc),
                // Nowhere in the message itself.
                "BccAddresses": addresses(&bcc),
            },
            "EmailTags": tags(email),
        });
        let raw = json::with_field(&json!({}), "Data", json::base64(outgoing.message));
        let content = json::with_field(&json!({}), "Raw", raw);
        Ok(json::with_field(&request, "Content", content).joined())
    }

    fn refused(&self, operation: &'static str, answer: &HttpAnswer) -> ProviderError {
        let refused: Option<Refused> = answer.json();
        let named = answer.header("x-amzn-errortype").map(str::to_owned);
        let (in_body, said) = refused.map_or_else(
            || (String::new(), String::from_utf8_lossy(&answer.body).into_owned()),
            |refused| (refused.kind, refused.message),
        );
        let named = named.unwrap_or(in_body);
        let kind = kind(&named);
        let class = classify(kind, answer.status, &said);
        let advice = if is_about_the_clock(kind, &said) {
            "The signature was too old or too new; set this machine's clock by NTP. Jobs wait until it is mended."
        } else {
            advice(operation, class)
        };
        let code = match (kind, answer.status) {
            ("", 413) => TOO_LARGE.to_owned(),
            ("", status) => status.to_string(),
            (kind, _) => kind.to_owned(),
        };
        self.api.error(operation, class, advice, &said).with_code(code)
    }
}

impl Client for SesClient {
    /// Without a deadline: files may have to be fetched first, and the exchange has its own.
    fn target(&self) -> Target {
        Target { deadline: None, ..self.api.target(SEND, Repeat::MayDouble) }
    }
}

impl Probe for SesClient {
    /// Reads the account. A key that may do nothing but send is told apart from one that is refused.
    fn probe(&self, now_unix: i64) -> BoxFuture<'_, Result<Probed, ProviderError>> {
        Box::pin(async move {
            let [authorization, date] = self.signed("GET", ACCOUNT, &sha256(b""), now_unix);
            let request =
                self.api.get(ACCOUNT).header("authorization", authorization).header("x-amz-date", date);
            let answer = self.api.probe(request).await?;
            if let Some(account) = answer.is_success().then(|| answer.json::<Account>()).flatten() {
                return account.told(&self.api);
            }
            let error = self.refused(PROBE, &answer);
            if matches!(error.code.as_deref(), Some("AccessDenied" | "AccessDeniedException")) {
                let found =
                    "the key is accepted, but may not read the account, so nobody knows whether it may send";
                return Ok(Probed::doubtful(found, "allow it ses:GetAccount, or see one mail through"));
            }
            Err(error)
        })
    }
}

impl Account {
    fn told(&self, api: &Api) -> Result<Probed, ProviderError> {
        if !self.sending_enabled {
            let advice = "The key is accepted, but sending is switched off for this account; see why in the console of SES.";
            return Err(api.error(PROBE, ErrorClass::Quota, advice, "").with_code("SendingPausedException"));
        }
        if !self.production_access_enabled {
            let found = "the key is accepted, but the account is in SES's sandbox: mails go to verified addresses only";
            return Ok(Probed::doubtful(
                found,
                "ask AWS for production access in the region of AWS_SES_REGION",
            ));
        }
        Ok(Probed::works("the key is accepted, and the account may send"))
    }
}

impl Mailer for SesClient {
    fn carry<'a>(&'a self, email: &'a Email, now_unix: i64) -> BoxFuture<'a, Answer> {
        Box::pin(self.send(email, now_unix))
    }
}

fn refuse_blocked(email: &Email) -> Result<(), ProviderError> {
    let is_blocked = |extension: &String| BLOCKED.contains(&extension.as_str());
    match email.attachments.iter().map(super::Attachment::extension).find(is_blocked) {
        Some(extension) => {
            let message = format!(
                "SES takes no files that end in .{extension}, so nothing was sent. Send it in an archive, or a link to it."
            );
            Err(ProviderError::new(PROVIDER, SEND, ErrorClass::Permanent, message).with_code(BLOCKED_FILE))
        }
        None => Ok(()),
    }
}

/// The job's id, and the tenant where its name is one that tags can hold.
fn tags(email: &Email) -> Value {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let job = email.message_key.replace(|letter: char| !letter.is_ascii() || !plain(letter as u8), "-");
    let mut tags = vec![json!({ "Name": "job_id", "Value": job })];
    let tenant = email.tenant.as_ref();
    if let Some(tenant) =
        tenant.filter(|tenant| (1..=MOST_TAG_BYTES).contains(&tenant.len()) && tenant.bytes().all(plain))
    {
        tags.push(json!({ "Name": "tenant_id", "Value": tenant }));
    }
    tags.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_hold_what_tags_can_hold() {
        let email = |key: &str, tenant: &str| Email {
            message_key: key.to_owned(),
            tenant: Some(tenant.to_owned()),
            ..Email::default()
        };

        assert_eq!(tags(&email("0198.a", "acme"))[0]["Value"], "0198-a");
        assert_eq!(tags(&email("1", "acme"))[1], json!({ "Name": "tenant_id", "Value": "acme" }));
        assert!(tags(&email("1", "a b"))[1].is_null());
        assert!(BLOCKED.is_sorted());
    }
}
