//! Standard Webhooks 1.0.0, scheme `v1`: HMAC-SHA256 over `{id}.{timestamp}.{body}`.
//!
//! The sender signs with every secret that is valid at the moment, so that a receiver can change its secret without
//! losing a message; the receiver accepts any match. Asymmetric signatures (`v1a`) are made in `signing_key.rs`; the
//! verifier here skips them. Stripe's `whsec_…` secrets look alike but are used undecoded: do not parse them here.
//! Source: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use std::fmt;

use aws_lc_rs::{hmac, rand};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use secrecy::{ExposeSecret, SecretSlice, SecretString};

/// How far a timestamp may be from the receiver's clock, both ways, in seconds: the reference libraries' value.
pub const TOLERANCE_SECONDS: i64 = 300;

const PREFIX: &str = "whsec_";
/// Smallest and largest secret of the specification, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes of a new secret: the block of the hash's output.
const NEW_SECRET_BYTES: usize = 32;
/// Most signatures that are looked at in one header, so that a long header cannot buy computing time.
pub(super) const MOST_SIGNATURES: usize = 16;

/// Standard alphabet; written padded, read either way, as the reference libraries do.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a text is not a signing secret. Never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Not of the form `whsec_` and base64.
    #[error("The signing secret must be `whsec_` followed by base64; create one with `flota keys webhook`.")]
    Malformed,
    /// Too short to be safe, or too long.
    #[error(
        "The signing secret holds {0} bytes; Standard Webhooks asks for 24 to 64. Create one with `flota keys webhook`."
    )]
    Length(usize),
    /// Not of the form `whsk_` and base64 of an ed25519 key.
    #[error(
        "The private key must be `whsk_` followed by base64 of 32 bytes, or of 64 with its own public key; \
         leave it out to have a pair made."
    )]
    MalformedPair,
    /// The operating system gave no randomness.
    #[error("The operating system gave no random bytes, so no secret was made; try again.")]
    NoRandomness,
}

/// The key shared with one receiver.
#[derive(Clone)]
pub struct SigningSecret(SecretSlice<u8>);

impl SigningSecret {
    /// Reads `whsec_…`. Base64 without padding is accepted, as in the reference libraries.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(SecretError::Malformed)?;
        Self::from_bytes(BASE64.decode(encoded).map_err(|_| SecretError::Malformed)?)
    }

    /// Takes 24 to 64 bytes as they are.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, SecretError> {
        let secret = SecretSlice::from(bytes);
        let length = secret.expose_secret().len();
        if SECRET_BYTES.contains(&length) { Ok(Self(secret)) } else { Err(SecretError::Length(length)) }
    }

    /// A new secret from the operating system's randomness.
    pub fn generate() -> Result<Self, SecretError> {
        let mut bytes = vec![0; NEW_SECRET_BYTES];
        rand::fill(&mut bytes).map_err(|_| SecretError::NoRandomness)?;
        Self::from_bytes(bytes)
    }

    /// The text to hand to the receiver, `whsec_…`.
    pub fn to_text(&self) -> SecretString {
        format!("{PREFIX}{}", BASE64.encode(self.0.expose_secret())).into()
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.0.expose_secret())
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningSecret([redacted])")
    }
}

/// The value of `webhook-signature`: one `v1,…` for each secret, separated by spaces. Empty without secrets.
///
/// `timestamp` is the Unix second of this attempt; `body` must be the exact bytes that are sent.
pub fn sign(secrets: &[SigningSecret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let content = content(id, &timestamp.to_string(), body);
    let signed =
        |secret: &SigningSecret| format!("v1,{}", BASE64.encode(hmac::sign(&secret.key(), &content)));
    secrets.iter().map(signed).collect::<Vec<_>>().join(" ")
}

/// Why a received message is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// `webhook-timestamp` is not a whole number of seconds.
    #[error("The webhook-timestamp header is not a whole number of Unix seconds; refuse the message.")]
    MalformedTimestamp,
    /// The message is too old, or claims to come from the future.
    #[error(
        "The message was signed {0} seconds away from now and 300 are allowed; check both clocks, or it is a replay."
    )]
    OutsideTolerance(i64),
    /// No signature matches any of the secrets.
    #[error("No signature matches; the body was changed on its way or the secret is another one.")]
    NoMatch,
}

/// Checks a received message against every secret that is valid at the moment, in constant time for each.
///
/// The arguments are the raw headers `webhook-id`, `webhook-timestamp`, `webhook-signature` and the raw body.
pub fn verify(
    secrets: &[SigningSecret],
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    now_unix: i64,
) -> Result<(), VerifyError> {
    check_timestamp(timestamp, now_unix)?;
    let candidates: Vec<Vec<u8>> = signatures
        .split(' ')
        .filter_map(|signature| signature.strip_prefix("v1,"))
        .take(MOST_SIGNATURES)
        .filter_map(|encoded| BASE64.decode(encoded).ok())
        .collect();
    let content = content(id, timestamp, body);
    let matches = |secret: &SigningSecret| {
        let key = secret.key();
        candidates.iter().any(|candidate| hmac::verify(&key, &content, candidate).is_ok())
    };
    if secrets.iter().any(matches) { Ok(()) } else { Err(VerifyError::NoMatch) }
}

/// Refuses a message that was signed too long ago or comes from the future.
pub(super) fn check_timestamp(timestamp: &str, now_unix: i64) -> Result<(), VerifyError> {
    let signed_at: i64 = timestamp.parse().map_err(|_| VerifyError::MalformedTimestamp)?;
    let distance = now_unix.saturating_sub(signed_at);
    if (-TOLERANCE_SECONDS..=TOLERANCE_SECONDS).contains(&distance) {
        Ok(())
    } else {
        Err(VerifyError::OutsideTolerance(distance.saturating_abs()))
    }
}

pub(super) fn content(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), timestamp.as_bytes(), body].join(&b'.')
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const VECTORS: &str = include_str!("../../tests/data/standard_webhooks_vectors.json");

    struct Vector {
        secret: SigningSecret,
        id: String,
        timestamp: i64,
        body: String,
        signature: String,
    }

    fn vector() -> Vector {
        let all: Value = serde_json::from_str(VECTORS).unwrap();
        let text = |name: &str| all[name].as_str().unwrap().to_owned();
        Vector {
            secret: SigningSecret::parse(&text("secret")).unwrap(),
            id: text("id"),
            timestamp: all["timestamp"].as_i64().unwrap(),
            body: text("body"),
            signature: text("v1"),
        }
    }

    fn check(vector: &Vector, signatures: &str, now_unix: i64) -> Result<(), VerifyError> {
        let timestamp = vector.timestamp.to_string();
        let secrets = [vector.secret.clone()];
        verify(&secrets, &vector.id, &timestamp, signatures, vector.body.as_bytes(), now_unix)
    }

    #[test]
    fn the_published_vector_is_signed_and_verified() {
        let vector = vector();

        let signature =
            sign(std::slice::from_ref(&vector.secret), &vector.id, vector.timestamp, vector.body.as_bytes());

        assert_eq!(signature, vector.signature);
        assert_eq!(check(&vector, &signature, vector.timestamp), Ok(()));
    }

    #[test]
    fn during_rotation_either_secret_of_the_sender_is_enough() {
        let vector = vector();
        let new = SigningSecret::from_bytes(vec![7; 24]).unwrap();
        let both = [vector.secret.clone(), new.clone()];

        let header = sign(&both, "msg_1", 100, b"{}");

        assert_eq!(header.split(' ').count(), 2);
        assert_eq!(verify(&[vector.secret], "msg_1", "100", &header, b"{}", 100), Ok(()));
        assert_eq!(verify(&[new], "msg_1", "100", &header, b"{}", 100), Ok(()));
    }

    #[test]
    fn a_verifier_skips_schemes_it_does_not_know() {
        let vector = vector();
        let header = format!("v1a,AAAA v2,zzzz garbage {}", vector.signature);

        let verdict = check(&vector, &header, vector.timestamp);

        assert_eq!(verdict, Ok(()));
    }

    #[test]
    fn only_timestamps_within_five_minutes_are_accepted() {
        let vector = vector();
        let cases =
            [(-300, true), (300, true), (-301, false), (301, false), (i64::MAX - vector.timestamp, false)];

        for (distance, accepted) in cases {
            let verdict = check(&vector, &vector.signature, vector.timestamp + distance);

            assert_eq!(verdict.is_ok(), accepted, "{distance} s away");
        }
    }

    #[test]
    fn a_timestamp_that_is_no_number_is_refused() {
        let vector = vector();
        let secrets = [vector.secret];

        for timestamp in ["", "soon", "1.5", "99999999999999999999999"] {
            let verdict =
                verify(&secrets, &vector.id, timestamp, &vector.signature, vector.body.as_bytes(), 0);

            assert_eq!(verdict, Err(VerifyError::MalformedTimestamp), "for {timestamp:?}");
        }
    }

    #[test]
    fn any_flipped_bit_of_the_body_breaks_the_signature() {
        let vector = vector();
        let timestamp = vector.timestamp.to_string();
        let secrets = [vector.secret];

        for bit in 0..vector.body.len() * 8 {
            let mut body = vector.body.clone().into_bytes();
            body[bit / 8] ^= 1 << (bit % 8);
            let verdict =
                verify(&secrets, &vector.id, &timestamp, &vector.signature, &body, vector.timestamp);

            assert_eq!(verdict, Err(VerifyError::NoMatch), "bit {bit}");
        }
    }

    #[test]
    fn an_empty_or_cut_signature_never_matches() {
        let vector = vector();

        for signatures in ["", "v1,", "v1", &vector.signature[..20], "V1,AAAA"] {
            let verdict = check(&vector, signatures, vector.timestamp);

            assert_eq!(verdict, Err(VerifyError::NoMatch), "for {signatures:?}");
        }
    }

    #[test]
    fn secrets_are_read_with_or_without_padding_and_bad_ones_are_refused() {
        let padded = format!("whsec_{}", BASE64.encode([1_u8; 32]));
        let unpadded = padded.trim_end_matches('=');
        let short = format!("whsec_{}", BASE64.encode([1_u8; 23]));
        let long = format!("whsec_{}", BASE64.encode([1_u8; 65]));

        assert!(padded.ends_with('=') && SigningSecret::parse(&padded).is_ok());
        assert!(SigningSecret::parse(unpadded).is_ok());
        assert_eq!(SigningSecret::parse("whsec_").unwrap_err(), SecretError::Length(0));
        assert_eq!(SigningSecret::parse(&short).unwrap_err(), SecretError::Length(23));
        assert_eq!(SigningSecret::parse(&long).unwrap_err(), SecretError::Length(65));
        for text in ["", "whsec_*", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsk_AAAA"] {
            assert_eq!(SigningSecret::parse(text).unwrap_err(), SecretError::Malformed, "for {text:?}");
        }
    }

    #[test]
    fn a_generated_secret_reads_back_and_never_shows_itself() {
        let secret = SigningSecret::generate().unwrap();
        let text = secret.to_text();

        let again = SigningSecret::parse(text.expose_secret()).unwrap();

        assert_eq!(sign(std::slice::from_ref(&secret), "a", 1, b"b"), sign(&[again], "a", 1, b"b"));
        assert_eq!(format!("{secret:?}"), "SigningSecret([redacted])");
    }
}
