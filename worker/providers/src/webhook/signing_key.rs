//! The keys that sign for one endpoint, of either scheme of Standard Webhooks 1.0.0.
//!
//! `v1` shares a secret with the receiver; `v1a` (ed25519) lets the receiver verify without being able to sign, which
//! suits receivers whose configuration others can read. During a rotation several keys, of either scheme, sign
//! one message.
//! Source: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#signature-scheme>

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    rand,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use base64::Engine;
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use super::signature::{
    BASE64, MOST_SIGNATURES, SecretError, SigningSecret, VerifyError, check_timestamp, content, sign,
};

/// What begins a private key; behind it the seed, or the seed and the public key.
const PRIVATE: &str = "whsk_";
/// What begins a public key.
const PUBLIC: &str = "whpk_";
/// Bytes of a seed, and of a public key (RFC 8032 section 5.1.5).
const SEED_BYTES: usize = 32;

/// A signature scheme of Standard Webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HMAC-SHA256 with a shared secret.
    V1,
    /// ed25519 with a key pair.
    V1a,
}

impl Scheme {
    /// The word in the header, in commands and in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1a => "v1a",
        }
    }
}

/// One key that signs.
#[derive(Debug, Clone)]
pub enum SigningKey {
    /// Makes `v1,…`.
    Shared(SigningSecret),
    /// Makes `v1a,…`.
    Pair(SigningPair),
}

impl SigningKey {
    /// Reads `whsec_…` or `whsk_…`.
    ///
    /// # Errors
    /// What is wrong with the text, without repeating it.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if text.trim().starts_with(PRIVATE) {
            SigningPair::parse(text).map(Self::Pair)
        } else {
            SigningSecret::parse(text).map(Self::Shared)
        }
    }

    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// [`SecretError::NoRandomness`].
    pub fn generate(scheme: Scheme) -> Result<Self, SecretError> {
        match scheme {
            Scheme::V1 => SigningSecret::generate().map(Self::Shared),
            Scheme::V1a => SigningPair::generate().map(Self::Pair),
        }
    }

    /// Which signatures it makes.
    pub const fn scheme(&self) -> Scheme {
        match self {
            Self::Shared(_) => Scheme::V1,
            Self::Pair(_) => Scheme::V1a,
        }
    }

    /// The text to keep, `whsec_…` or `whsk_…`.
    pub fn to_text(&self) -> SecretString {
        match self {
            Self::Shared(secret) => secret.to_text(),
            Self::Pair(pair) => pair.to_text(),
        }
    }

    /// The text that the receiver verifies with: the shared secret, or the public key.
    pub fn receivers_text(&self) -> SecretString {
        match self {
            Self::Shared(secret) => secret.to_text(),
            Self::Pair(pair) => pair.public_text().into(),
        }
    }
}

impl From<SigningSecret> for SigningKey {
    fn from(secret: SigningSecret) -> Self {
        Self::Shared(secret)
    }
}

/// An ed25519 key pair.
#[derive(Clone)]
pub struct SigningPair {
    pair: Arc<Ed25519KeyPair>,
    seed: SecretSlice<u8>,
}

impl SigningPair {
    /// Reads `whsk_…`: base64 of the seed, or of the seed and its public key, which must belong together.
    ///
    /// # Errors
    /// [`SecretError::MalformedPair`].
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.trim().strip_prefix(PRIVATE).ok_or(SecretError::MalformedPair)?;
        let bytes = BASE64.decode(encoded).map_err(|_| SecretError::MalformedPair)?;
        let bytes = SecretSlice::from(bytes);
        let (seed, public) = bytes
            .expose_secret()
            .split_at_checked(SEED_BYTES)
            .filter(|(_, public)| public.is_empty() || public.len() == SEED_BYTES)
            .ok_or(SecretError::MalformedPair)?;
        let pair = if public.is_empty() {
            Ed25519KeyPair::from_seed_unchecked(seed)
        } else {
            Ed25519KeyPair::from_seed_and_public_key(seed, public)
        };
        let pair = Arc::new(pair.map_err(|_| SecretError::MalformedPair)?);
        Ok(Self { pair, seed: seed.to_vec().into() })
    }

    /// A new pair from the operating system's randomness.
    ///
    /// # Errors
    /// [`SecretError::NoRandomness`].
    pub fn generate() -> Result<Self, SecretError> {
        let mut seed = vec![0; SEED_BYTES];
        rand::fill(&mut seed).map_err(|_| SecretError::NoRandomness)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| SecretError::MalformedPair)?;
        Ok(Self { pair: Arc::new(pair), seed: seed.into() })
    }

    /// The text to keep, `whsk_` and base64 of seed and public key.
    pub fn to_text(&self) -> SecretString {
        let both = SecretSlice::from([self.seed.expose_secret(), self.pair.public_key().as_ref()].concat());
        format!("{PRIVATE}{}", BASE64.encode(both.expose_secret())).into()
    }

    /// The text for the receiver, `whpk_` and base64 of the public key. Not secret.
    pub fn public_text(&self) -> String {
        format!("{PUBLIC}{}", BASE64.encode(self.pair.public_key().as_ref()))
    }

    fn sign(&self, content: &[u8]) -> String {
        format!("v1a,{}", BASE64.encode(self.pair.sign(content)))
    }
}

impl fmt::Debug for SigningPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningPair").field("public", &self.public_text()).finish_non_exhaustive()
    }
}

/// The value of `webhook-signature`: one signature per key, in their order, separated by spaces.
pub fn sign_with(keys: &[SigningKey], id: &str, timestamp: i64, body: &[u8]) -> String {
    let content = content(id, &timestamp.to_string(), body);
    let signed = |key: &SigningKey| match key {
        SigningKey::Shared(secret) => sign(std::slice::from_ref(secret), id, timestamp, body),
        SigningKey::Pair(pair) => pair.sign(&content),
    };
    keys.iter().map(signed).collect::<Vec<_>>().join(" ")
}

/// Checks the `v1a` signatures of a received message against `whpk_…`; the arguments are those of [`super::verify`].
///
/// # Errors
/// Why the message is not trusted; a public key that cannot be read matches nothing.
pub fn verify_public(
    public_key: &str,
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    now_unix: i64,
) -> Result<(), VerifyError> {
    check_timestamp(timestamp, now_unix)?;
    let key = public_key.strip_prefix(PUBLIC).and_then(|encoded| BASE64.decode(encoded).ok());
    let key = UnparsedPublicKey::new(&ED25519, key.ok_or(VerifyError::NoMatch)?);
    let content = content(id, timestamp, body);
    let mut candidates = signatures
        .split(' ')
        .filter_map(|signature| signature.strip_prefix("v1a,"))
        .take(MOST_SIGNATURES)
        .filter_map(|encoded| BASE64.decode(encoded).ok());
    let holds = candidates.any(|candidate| key.verify(&content, &candidate).is_ok());
    if holds { Ok(()) } else { Err(VerifyError::NoMatch) }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const VECTORS: &str = include_str!("../../tests/data/standard_webhooks_vectors.json");

    fn text(name: &str) -> String {
        let all: Value = serde_json::from_str(VECTORS).unwrap();
        all[name].as_str().unwrap().to_owned()
    }

    fn timestamp() -> i64 {
        serde_json::from_str::<Value>(VECTORS).unwrap()["timestamp"].as_i64().unwrap()
    }

    #[test]
    fn the_vector_of_v1a_is_signed_and_verified_by_either_spelling_of_the_key() {
        for name in ["whsk", "whsk_seed_only"] {
            let key = SigningKey::parse(&text(name)).unwrap();
            let header =
                sign_with(std::slice::from_ref(&key), &text("id"), timestamp(), text("body").as_bytes());

            assert_eq!(header, text("v1a"), "{name}");
            assert_eq!(key.receivers_text().expose_secret(), text("whpk"));
            assert_eq!(key.to_text().expose_secret(), text("whsk"));
        }
        let said = timestamp().to_string();
        let verdict = verify_public(
            &text("whpk"),
            &text("id"),
            &said,
            &text("v1a"),
            text("body").as_bytes(),
            timestamp(),
        );
        assert_eq!(verdict, Ok(()));
    }

    #[test]
    fn keys_of_both_schemes_sign_one_message_the_first_first() {
        let keys = [SigningKey::parse(&text("whsk")).unwrap(), SigningKey::parse(&text("secret")).unwrap()];

        let header = sign_with(&keys, &text("id"), timestamp(), text("body").as_bytes());

        assert_eq!(header, format!("{} {}", text("v1a"), text("v1")));
    }

    #[test]
    fn a_changed_message_a_foreign_key_and_an_old_timestamp_are_refused() {
        let pair = SigningPair::generate().unwrap();
        let header = sign_with(&[SigningKey::Pair(pair.clone())], "msg_1", 100, b"{}");
        let other = SigningPair::generate().unwrap().public_text();
        let check = |key: &str, id: &str, body: &[u8], now| verify_public(key, id, "100", &header, body, now);

        assert_eq!(check(&pair.public_text(), "msg_1", b"{}", 100), Ok(()));
        assert_eq!(check(&pair.public_text(), "msg_2", b"{}", 100), Err(VerifyError::NoMatch));
        assert_eq!(check(&pair.public_text(), "msg_1", b"[]", 100), Err(VerifyError::NoMatch));
        assert_eq!(check(&other, "msg_1", b"{}", 100), Err(VerifyError::NoMatch));
        assert_eq!(check("whpk_AAAA", "msg_1", b"{}", 100), Err(VerifyError::NoMatch));
        assert_eq!(check(&pair.public_text(), "msg_1", b"{}", 401), Err(VerifyError::OutsideTolerance(301)));
    }

    #[test]
    fn a_new_pair_reads_back_and_its_private_part_never_shows_itself() {
        let pair = SigningPair::generate().unwrap();
        let text = pair.to_text();

        let again = SigningPair::parse(text.expose_secret()).unwrap();

        assert_eq!(again.public_text(), pair.public_text());
        let shown = format!("{pair:?} {:?}", SigningKey::Pair(again));
        assert!(!shown.contains(&text.expose_secret()[PRIVATE.len()..20]), "{shown}");
    }

    #[test]
    fn texts_that_are_no_pair_are_refused() {
        let swapped = format!("{PRIVATE}{}", BASE64.encode([7_u8; 64]));

        for text in ["whsk_", "whsk_AAAA", "whsk_*", swapped.as_str()] {
            assert_eq!(SigningKey::parse(text).unwrap_err(), SecretError::MalformedPair, "for {text:?}");
        }
        assert_eq!(SigningKey::parse("whpk_AAAA").unwrap_err(), SecretError::Malformed);
    }
}
