//! How a token is written: `flota_`, 52 characters of secret, 6 of checksum.
//!
//! The prefix lets scanners of repositories and logs find one. The checksum tells a token that was cut or mistyped from
//! one that is not known, without asking Postgres. No character is easily taken for another, and a double click marks
//! all of it.

use std::fmt;

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand,
};
use secrecy::{ExposeSecret, SecretString};

/// What every token begins with.
pub const PREFIX: &str = "flota_";

/// 32 letters and digits without `l`, `o`, `0` and `1`: five bits each.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Characters of 256 bits, five in each.
const SECRET: usize = 52;
/// Characters of the checksum: 30 bits.
const CHECKSUM: usize = 6;

/// A token whose form has been checked. It is never shown by accident.
#[derive(Clone)]
pub struct TokenText(SecretString);

impl TokenText {
    /// A new one, of 256 random bits.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn mint() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut random = [0; 32];
        rand::fill(&mut random)?;
        let secret = letters(&random, SECRET);
        Ok(Self(format!("{PREFIX}{secret}{}", checksum(&secret)).into()))
    }

    /// Reads one. `None` when it was not made by [`Self::mint`]: cut, mistyped, or something else.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX).filter(|rest| rest.is_ascii())?;
        let (secret, sum) = (rest.len() == SECRET + CHECKSUM).then(|| rest.split_at(SECRET))?;
        (checksum(secret) == sum).then(|| Self(text.into()))
    }

    /// What is kept of it.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, self.0.expose_secret().as_bytes()).as_ref());
        hash
    }

    /// The text itself, to be shown once.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}[redacted]")
    }
}

fn checksum(secret: &str) -> String {
    letters(digest(&SHA256, format!("{PREFIX}{secret}").as_bytes()).as_ref(), CHECKSUM)
}

/// The first bits of these bytes, five to a character; zeros follow the last byte.
fn letters(bytes: &[u8], count: usize) -> String {
    let bit = |n: usize| bytes.get(n / 8).map_or(0, |byte| usize::from(byte >> (7 - n % 8) & 1));
    let letter = |n: usize| (0..5).fold(0, |value, offset| value << 1 | bit(n * 5 + offset));
    (0..count).map(|n| char::from(ALPHABET[letter(n)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_is_unlike_any_other() {
        let (one, other) = (TokenText::mint().unwrap(), TokenText::mint().unwrap());

        assert_eq!(one.reveal().len(), 64);
        assert_eq!(TokenText::parse(one.reveal()).unwrap().hash(), one.hash());
        assert_ne!(one.hash(), other.hash());
        assert_eq!(format!("{one:?}"), "flota_[redacted]");
    }

    #[test]
    fn a_slip_is_known_without_asking_anybody() {
        let token = TokenText::mint().unwrap();
        let text = token.reveal();
        let swapped = if text.ends_with('a') { "b" } else { "a" };

        let slips = [
            String::new(),
            "flota_".to_owned(),
            text[..63].to_owned(),
            format!("{text}a"),
            format!("{}{swapped}", &text[..63]),
            text.to_uppercase(),
            text.replacen("flota_", "ghp_", 1),
            format!("{} ", &text[..63]),
            format!("flota_{}", "é".repeat(29)),
        ];

        for slip in slips {
            assert!(TokenText::parse(&slip).is_none(), "{slip}");
        }
    }
}
