//! A receiver of webhooks that trusts nobody: Standard Webhooks 1.0.0, `v1` and, where the sender's key is known, `v1a`.
//!
//! It knows the secrets that it has been told. Any path below `/webhooks/` is a receiver.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use flota_providers::webhook::{SigningSecret, VerifyError, verify};
use serde_json::{Value, json};

use super::{
    call::{Answer, Call, Done, Outcome, Refusal},
    house::lock,
};

/// What begins a public key.
const PUBLIC: &str = "whpk_";

/// The secrets and public keys that deliveries may be signed with.
#[derive(Default)]
pub(super) struct Receivers {
    secrets: Vec<SigningSecret>,
    public_keys: Vec<Vec<u8>>,
}

/// Why a secret cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the secret must be whsec_ and base64 of 24 to 64 bytes, or whpk_ and base64 of a public key of 32 bytes"
)]
pub(super) struct BadSecret;

impl Receivers {
    /// Takes `whsec_…` or `whpk_…`.
    pub(super) fn trust(&mut self, text: &str) -> Result<(), BadSecret> {
        if let Some(encoded) = text.strip_prefix(PUBLIC) {
            let key = STANDARD.decode(encoded).ok().filter(|key| key.len() == 32).ok_or(BadSecret)?;
            self.public_keys.push(key);
        } else {
            self.secrets.push(SigningSecret::parse(text).map_err(|_| BadSecret)?);
        }
        Ok(())
    }
}

/// `POST` to a receiver.
pub(super) fn deliver(call: &Call<'_>) -> Outcome {
    let (id, timestamp, signatures) =
        (call.header("webhook-id"), call.header("webhook-timestamp"), call.header("webhook-signature"));
    if id.is_empty() || timestamp.is_empty() || signatures.is_empty() {
        return Err(refuse(
            400,
            "Missing required headers: webhook-id, webhook-timestamp, webhook-signature.",
        ));
    }
    if id.contains('.') {
        return Err(refuse(400, "webhook-id holds a dot, which separates the signed parts."));
    }
    let event: Value =
        serde_json::from_slice(&call.request.body).map_err(|_| refuse(400, "The body is no JSON."))?;
    let schemes = check(call, id, timestamp, signatures)?;
    let summary = json!({ "type": event["type"], "schemes": schemes });
    Ok(Done::new(Answer::empty(204), summary))
}

/// The schemes that verified. A `v1a` that could be checked must hold, even beside a good `v1`.
fn check(call: &Call<'_>, id: &str, timestamp: &str, signatures: &str) -> Result<Vec<&'static str>, Refusal> {
    let receivers = lock(&call.house.receivers);
    let body = &call.request.body;
    let symmetric = verify(&receivers.secrets, id, timestamp, signatures, body, call.now_unix);
    if let Err(VerifyError::MalformedTimestamp | VerifyError::OutsideTolerance(_)) = symmetric {
        return Err(refuse(401, "The timestamp is no number of seconds, or more than 5 minutes from now."));
    }
    let signed = [id.as_bytes(), timestamp.as_bytes(), body].join(&b'.');
    let asymmetric: Vec<Vec<u8>> = signatures
        .split(' ')
        .filter_map(|one| one.strip_prefix("v1a,"))
        .filter_map(|encoded| STANDARD.decode(encoded).ok())
        .collect();
    let is_good = |signature: &Vec<u8>| {
        let holds = |key: &Vec<u8>| UnparsedPublicKey::new(&ED25519, key).verify(&signed, signature).is_ok();
        receivers.public_keys.iter().any(holds)
    };
    let has_asymmetric = signatures.split(' ').any(|one| one.starts_with("v1a,"));
    let checked = has_asymmetric && !receivers.public_keys.is_empty();
    match (symmetric.is_ok(), checked, checked && asymmetric.iter().any(is_good)) {
        (_, true, false) => {
            Err(refuse(401, "No v1a signature matches any public key that this receiver knows."))
        }
        (true, _, true) => Ok(vec!["v1", "v1a"]),
        (true, ..) => Ok(vec!["v1"]),
        (false, _, true) => Ok(vec!["v1a"]),
        (false, ..) => Err(refuse(
            401,
            "No signature matches any secret that this receiver knows; tell it the endpoint's secret with POST /__webhooks.",
        )),
    }
}

fn refuse(status: u16, message: &str) -> Refusal {
    Refusal::new(Answer::json(status, &json!({ "error": message })), message)
}

/// A receiver's body for a status.
pub(super) fn error(status: u16) -> Answer {
    Answer::json(status, &json!({ "error": "ordered" }))
}

/// A 200 with an error inside: a receiver that swallows its own trouble. The delivery counts as done.
pub(super) fn ok_with_error() -> Answer {
    Answer { status: 200, ..error(200) }
}
