//! Who we are to Google: an API key, or tokens made from a service account's key.
//!
//! A service account signs a claim (RFC 7523) and exchanges it for a token that is good for an hour. The token is kept
//! until five minutes before its end; callers that need one at the same time wait for a single exchange, also when it fails.

use std::{
    fmt,
    ops::Range,
    time::{Duration, Instant},
};

use aws_lc_rs::{rand::SystemRandom, rsa::KeyPair, signature::RSA_PKCS1_SHA256};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::BoxFuture;
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use url::form_urlencoded;

use crate::{
    ErrorClass, ProviderError,
    api::{Api, ApiSettings},
    error::code_of,
    exchange::Repeat,
};

/// The name of this provider in errors and metrics.
pub const PROVIDER: &str = "google_token";
const EXCHANGE: &str = "exchange";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-vision";
/// Whom the claim is for: this constant, even when `token_uri` says otherwise, as google-auth sends it.
const AUDIENCE: &str = "https://oauth2.googleapis.com/token";
/// Longest life of a claim that Google accepts.
const CLAIM_SECONDS: i64 = 3_600;
/// A failed exchange is the answer to everybody for this long: those who waited for it, and those who come right after.
const FAILED_SECONDS: i64 = 5;
/// A token is renewed this long before its end, so that no call starts with one that ends on its way.
const MARGIN_SECONDS: i64 = 300;

/// What goes with a call.
#[derive(Debug, Clone)]
pub enum Credential {
    /// `X-Goog-Api-Key`.
    ApiKey(SecretString),
    /// `Authorization: Bearer`.
    Bearer(SecretString),
}

impl Credential {
    /// The secret in it.
    pub fn secret(&self) -> &SecretString {
        match self {
            Self::ApiKey(secret) | Self::Bearer(secret) => secret,
        }
    }
}

/// Gives credentials for calls.
pub trait TokenSource: Send + Sync {
    /// A credential that is good now.
    fn credential(&self, now_unix: i64) -> BoxFuture<'_, Result<Credential, ProviderError>>;

    /// Forgets this credential, because it was refused; one that has been renewed meanwhile stays. Answers whether a new one
    /// could differ.
    fn forget<'a>(&'a self, refused: &'a Credential) -> BoxFuture<'a, bool>;
}

/// An API key, always the same.
#[derive(Debug, Clone)]
pub struct ApiKey(pub SecretString);

impl TokenSource for ApiKey {
    fn credential(&self, _: i64) -> BoxFuture<'_, Result<Credential, ProviderError>> {
        Box::pin(async { Ok(Credential::ApiKey(self.0.clone())) })
    }

    fn forget<'a>(&'a self, _: &'a Credential) -> BoxFuture<'a, bool> {
        Box::pin(async { false })
    }
}

/// Exchanges claims of a service account for tokens.
pub struct ServiceAccount {
    api: Api,
    email: String,
    key_id: String,
    key: KeyPair,
    last: Mutex<Last>,
}

/// How the last exchange ended.
#[derive(Default)]
enum Last {
    #[default]
    None,
    Kept(Kept),
    Failed(Failed),
}

struct Kept {
    token: SecretString,
    ends: i64,
}

/// A failure that others are told too; errors underneath cannot be told twice.
struct Failed {
    operation: &'static str,
    class: ErrorClass,
    code: Option<Box<str>>,
    message: Box<str>,
    /// Unix seconds: who asked then is told, before and after included, and nobody else should the clock jump.
    told_at: Range<i64>,
}

impl Failed {
    /// Of an exchange that began at this Unix time and took so long.
    fn new(error: &ProviderError, began: i64, took: Duration) -> Self {
        let ProviderError { operation, class, code, message, .. } = error;
        let told_at = began - FAILED_SECONDS..began + took.as_secs() as i64 + FAILED_SECONDS;
        Self { operation, class: *class, code: code.clone(), message: message.clone(), told_at }
    }

    fn told(&self) -> ProviderError {
        let mut error = ProviderError::new(PROVIDER, self.operation, self.class, self.message.clone());
        error.code.clone_from(&self.code);
        error
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ServiceAccount").field("email", &self.email).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: SecretString,
    #[serde(default)]
    private_key_id: String,
    token_uri: String,
}

#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    expires_in: i64,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl ServiceAccount {
    /// From the JSON file that Google Cloud hands out.
    ///
    /// # Errors
    /// `Permanent` with what is wrong with the file.
    pub fn from_json(text: &str, timeout: Duration) -> Result<Self, ProviderError> {
        let bad = |message: &str| ProviderError::new(PROVIDER, "set up", ErrorClass::Permanent, message);
        let file: KeyFile = serde_json::from_str(text)
            .map_err(|_| bad("The file is not the key of a service account; download it again as JSON."))?;
        let unreadable = "The private_key of the service account cannot be read; download the file again.";
        let der = PrivatePkcs8KeyDer::from_pem_slice(file.private_key.expose_secret().as_bytes())
            .map_err(|_| bad(unreadable))?;
        let key = KeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| bad(unreadable))?;
        let api = Api::new(PROVIDER, ApiSettings::new(file.token_uri, timeout), SecretString::default())?;
        Ok(Self { api, email: file.client_email, key_id: file.private_key_id, key, last: Mutex::default() })
    }

    /// The signed claim.
    fn claim(&self, now_unix: i64) -> Result<String, ProviderError> {
        let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = encode(json!({ "alg": "RS256", "typ": "JWT", "kid": self.key_id }));
        let claims = encode(json!({
            "iss": self.email, "scope": SCOPE, "aud": AUDIENCE, "iat": now_unix, "exp": now_unix + CLAIM_SECONDS,
        }));
        let signed = format!("{header}.{claims}");
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| ProviderError::new(PROVIDER, "sign", ErrorClass::Auth, "The key cannot sign."))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    async fn exchange(&self, now_unix: i64) -> Result<Kept, ProviderError> {
        let claim = self.claim(now_unix)?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .append_pair("assertion", &claim)
            .finish();
        let request =
            self.api.post("").header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer = self.api.call(EXCHANGE, request, Repeat::Safe).await?;
        if let Some(granted) = answer.is_success().then(|| answer.json::<Granted>()).flatten() {
            return Ok(Kept { token: granted.access_token, ends: now_unix + granted.expires_in });
        }
        let refused = answer.json::<Refused>();
        // The error's own word, RFC 6749 section 5.2: every refusal of an account is a 400.
        let word = refused.as_ref().map_or("", |refused| refused.error.as_str());
        let class = classify(word, answer.status);
        let said = refused.as_ref().map_or_else(String::new, |refused| {
            format!("{} {}", refused.error, refused.error_description).replace(&claim, "***")
        });
        let advice = advice(class, &said);
        Err(self.api.error(EXCHANGE, class, advice, &said).with_code(code_of(word, answer.status)))
    }
}

impl TokenSource for ServiceAccount {
    fn credential(&self, now_unix: i64) -> BoxFuture<'_, Result<Credential, ProviderError>> {
        Box::pin(async move {
            let mut last = self.last.lock().await;
            match &*last {
                Last::Kept(kept) if now_unix < kept.ends - MARGIN_SECONDS => {
                    return Ok(Credential::Bearer(kept.token.clone()));
                }
                Last::Failed(failed) if failed.told_at.contains(&now_unix) => return Err(failed.told()),
                _ => {}
            }
            let began = Instant::now();
            let exchanged = self.exchange(now_unix).await;
            *last = match &exchanged {
                Ok(Kept { token, ends }) => Last::Kept(Kept { token: token.clone(), ends: *ends }),
                Err(error) => Last::Failed(Failed::new(error, now_unix, began.elapsed())),
            };
            exchanged.map(|kept| Credential::Bearer(kept.token))
        })
    }

    fn forget<'a>(&'a self, refused: &'a Credential) -> BoxFuture<'a, bool> {
        Box::pin(async {
            let mut last = self.last.lock().await;
            let refused = refused.secret().expose_secret();
            if matches!(&*last, Last::Kept(kept) if kept.token.expose_secret() == refused) {
                *last = Last::None;
            }
            true
        })
    }
}

/// What helps, by Google's own sentences. Pure.
fn advice(class: ErrorClass, said: &str) -> &'static str {
    if class != ErrorClass::Auth {
        return "Google cannot give a token right now; the job is repeated later.";
    }
    let said = said.to_ascii_lowercase();
    if said.contains("reasonable timeframe") || said.contains("iat and exp") {
        "The clock of this machine is wrong by more than five minutes, so Google refuses what it signs; set the clock."
    } else if said.contains("account not found") || said.contains("disabled") || said.contains("deleted") {
        "The service account was disabled or deleted; enable it, or use another."
    } else if said.contains("signature") {
        "The key of the service account was revoked; make a new one and put it in its place."
    } else {
        "Google does not accept the service account; check its key, and the clock of this machine."
    }
}

/// What a refusal of the token endpoint means, as google-auth sorts them. Pure.
fn classify(word: &str, status: u16) -> ErrorClass {
    match (word, status) {
        (_, 429) => ErrorClass::RateLimited { retry_after: None },
        ("internal_failure" | "server_error" | "temporarily_unavailable", _)
        | (_, 200..=299 | 408 | 500..) => ErrorClass::ServerError,
        _ => ErrorClass::Auth,
    }
}
