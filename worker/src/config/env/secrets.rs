//! Secrets that have a form: the signing secret of webhooks and the keys that encrypt credentials.
//!
//! The form is checked here, so that a slip is told at start with all others; what they are used for is not known here.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use secrecy::SecretString;

/// Bytes of an encryption key: AES-256.
const KEY_BYTES: usize = 32;
/// Longest id of a key: it is stored beside everything that the key encrypted.
const MOST_ID: usize = 64;
/// Bytes of a signing secret: Standard Webhooks, "Signature scheme".
const SIGNING_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Standard alphabet with or without padding, as Standard Webhooks secrets come.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Checks the form of a signing secret, and keeps it as it is.
pub(super) fn signing_secret(text: &str) -> Result<SecretString, String> {
    let remedy = "make one with `flota keys webhook`";
    let encoded = text.strip_prefix("whsec_").ok_or(format!("it does not begin with whsec_; {remedy}"))?;
    let bytes =
        BASE64.decode(encoded).map_err(|_| format!("what follows whsec_ is not base64; {remedy}"))?.len();
    if SIGNING_BYTES.contains(&bytes) {
        Ok(text.into())
    } else {
        Err(format!("it holds {bytes} bytes, but 24 to 64 are needed; {remedy}"))
    }
}

/// Checks `id:base64key[,id:base64key]`. Problems name a key by its position: what stands where its id belongs may be
/// the key itself.
pub(super) fn encryption_keys(text: &str) -> Result<SecretString, String> {
    let parts = text.split(',').map(str::trim).enumerate();
    let ids = parts.map(|(n, part)| encryption_key(n + 1, part)).collect::<Result<Vec<_>, _>>()?;
    match (0..ids.len()).find(|n| ids[..*n].contains(&ids[*n])) {
        Some(again) => Err(format!("key {} has the id of an earlier one; give each its own", again + 1)),
        None => Ok(text.into()),
    }
}

/// Checks one key and answers its id.
fn encryption_key(position: usize, part: &str) -> Result<&str, String> {
    let remedy = "make one with `flota keys encryption`";
    let (id, encoded) =
        part.split_once(':').ok_or(format!("key {position} is not of the form id:base64key; {remedy}"))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if id.is_empty() || MOST_ID < id.len() || !id.chars().all(plain) {
        return Err(format!(
            "the id of key {position} is not usable; write 1 to {MOST_ID} letters, digits, `_`, `-` or `.` before the colon"
        ));
    }
    let bytes =
        STANDARD.decode(encoded).map_err(|_| format!("key {position} is not base64; {remedy}"))?.len();
    if bytes == KEY_BYTES {
        Ok(id)
    } else {
        Err(format!("key {position} holds {bytes} bytes, but {KEY_BYTES} are needed; {remedy}"))
    }
}
