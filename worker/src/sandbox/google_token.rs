//! Google's token endpoint: a service account's claim (RFC 7523) is verified and exchanged for a token.
//!
//! The account's key pair is made when it is first asked for, so no private key stands in the repository.

use std::sync::{Mutex, OnceLock};

use aws_lc_rs::{
    encoding::AsDer,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use super::{
    call::{Answer, Call, Done, Outcome, Refusal},
    credential::{GOOGLE_ACCOUNT, MARK},
    form::fields,
    house::{lock, new_id},
};

/// Whom a claim is for, wherever the endpoint is.
const AUDIENCE: &str = "https://oauth2.googleapis.com/token";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const SCOPES: [&str; 2] =
    ["https://www.googleapis.com/auth/cloud-vision", "https://www.googleapis.com/auth/cloud-platform"];
/// Longest life of a claim, and life of a token, in seconds.
const HOUR: i64 = 3_600;
/// How far the clocks may be apart, in seconds.
const SKEW: i64 = 300;
/// The one key of the account.
const KEY_ID: &str = "flota-sandbox-key-1";

/// The service account, and the tokens that were given out.
#[derive(Default)]
pub(super) struct Accounts {
    key: OnceLock<Option<KeyPair>>,
    tokens: Mutex<Vec<(String, i64)>>,
}

impl Accounts {
    /// The key file of the service account, as Google hands it out; `None` when the system gives no randomness.
    pub(super) fn key_file(&self, origin: &str) -> Option<Value> {
        let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(self.key()?).ok()?;
        let encoded = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> =
            encoded.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
        Some(json!({
            "type": "service_account", "project_id": "flota-sandbox", "private_key_id": KEY_ID,
            "private_key": pem, "client_email": GOOGLE_ACCOUNT, "client_id": "100000000000000000001",
            "token_uri": format!("{origin}/google/token"),
        }))
    }

    /// True for a token that was given out and has not ended.
    pub(super) fn is_token(&self, token: &str, now_unix: i64) -> bool {
        lock(&self.tokens).iter().any(|(given, ends)| given == token && now_unix < *ends)
    }

    fn key(&self) -> Option<&KeyPair> {
        self.key.get_or_init(|| KeyPair::generate(KeySize::Rsa2048).ok()).as_ref()
    }

    fn give(&self, now_unix: i64) -> String {
        let token = format!("{MARK}token_{}", new_id());
        let mut tokens = lock(&self.tokens);
        tokens.retain(|(_, ends)| now_unix < *ends);
        tokens.push((token.clone(), now_unix + HOUR));
        token
    }
}

/// `POST` to the key file's `token_uri`.
pub(super) fn exchange(call: &Call<'_>) -> Outcome {
    if call.media_type() != "application/x-www-form-urlencoded" {
        return Err(refuse("invalid_request", "The body must be a form."));
    }
    let form = Value::Object(fields(&call.request.body, &[]));
    if form["grant_type"] != GRANT {
        return Err(refuse("unsupported_grant_type", "Invalid grant_type"));
    }
    let claims = verified(call, form["assertion"].as_str().unwrap_or_default())?;
    check_claims(&claims, call.now_unix)?;
    let token = call.house.google.give(call.now_unix);
    let body = json!({ "access_token": token, "expires_in": HOUR - 1, "token_type": "Bearer" });
    Ok(Done::plain(Answer::json(200, &body)))
}

/// The claims of an assertion whose signature holds.
fn verified(call: &Call<'_>, assertion: &str) -> Result<Value, Refusal> {
    let grant = |what: &str| refuse("invalid_grant", what);
    let (signed, signature) =
        assertion.rsplit_once('.').ok_or_else(|| grant("Invalid JWT: not three parts"))?;
    let (header, claims) = signed.split_once('.').ok_or_else(|| grant("Invalid JWT: not three parts"))?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| grant("Invalid JWT: not base64url"));
    let json = |text: &str| -> Result<Value, Refusal> {
        serde_json::from_slice(&decode(text)?).map_err(|_| grant("Invalid JWT: no JSON"))
    };
    if json(header)?["alg"] != "RS256" {
        return Err(grant("Invalid JWT: the algorithm must be RS256"));
    }
    let key = call.house.google.key().ok_or_else(|| grant("The sandbox has no key"))?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key())
        .verify(signed.as_bytes(), &decode(signature)?)
        .map_err(|_| grant("Invalid JWT Signature."))?;
    json(claims)
}

fn check_claims(claims: &Value, now_unix: i64) -> Result<(), Refusal> {
    let grant = |what: &str| Err(refuse("invalid_grant", what));
    let (begins, ends) =
        (claims["iat"].as_i64().unwrap_or(i64::MAX), claims["exp"].as_i64().unwrap_or_default());
    if claims["iss"] != GOOGLE_ACCOUNT {
        return grant("Invalid grant: account not found");
    }
    if claims["aud"] != AUDIENCE {
        return grant("Invalid JWT: Failed audience check.");
    }
    if now_unix + SKEW < begins || ends <= now_unix - SKEW || HOUR < ends - begins {
        return grant(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.",
        );
    }
    let scopes = claims["scope"].as_str().unwrap_or_default();
    if scopes.is_empty() || !scopes.split(' ').all(|scope| SCOPES.contains(&scope)) {
        return Err(refuse("invalid_scope", "Invalid OAuth scope or ID token audience provided."));
    }
    Ok(())
}

fn refuse(word: &str, description: &str) -> Refusal {
    let body = json!({ "error": word, "error_description": description });
    Refusal::new(Answer::json(400, &body), format!("{word}: {description}"))
}

/// The body of a status (RFC 6749 section 5.2, and the words that Google adds).
pub(super) fn error(status: u16) -> Answer {
    let word = match status {
        401 => "invalid_client",
        403 => "access_denied",
        429 => "rate_limit_exceeded",
        503 => "temporarily_unavailable",
        500.. => "internal_failure",
        _ => "invalid_grant",
    };
    Answer { status, ..refuse(word, "ordered").answer }
}

/// A 200 without a token.
pub(super) fn ok_with_error() -> Answer {
    Answer { status: 200, ..error(500) }
}
