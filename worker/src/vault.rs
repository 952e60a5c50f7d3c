//! Secrets at rest: AES-256-GCM with a ring of keys.
//!
//! Each sealed secret names the key that sealed it, so keys can be rotated: the first of the ring seals, all of them
//! open. The owner (tenant, row, purpose) is authenticated with it, so a secret copied to another row does not open.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey},
    rand,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::ExposeSecret;

use crate::config::env::{EncryptionKey, KEY_BYTES};

/// Bytes of a nonce (NIST SP 800-38D).
const NONCE_BYTES: usize = 12;

/// The ring of keys.
pub struct Vault {
    keys: Vec<(String, RandomizedNonceKey)>,
}

/// A secret as it lies in Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which key sealed it.
    pub key_id: String,
    /// Nonce, ciphertext and tag.
    pub bytes: Vec<u8>,
}

/// Why the vault cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// There is no key at all.
    #[error("there is no key that seals secrets: set FLOTA_ENCRYPTION_KEYS, made by `flota keys encryption`")]
    NoKey,
    /// The key that sealed it is not in the ring.
    #[error("the secret was sealed with key `{0}`, which FLOTA_ENCRYPTION_KEYS does not hold; add it back")]
    UnknownKey(String),
    /// It was changed, or belongs to another owner.
    #[error("the secret does not open: it was changed, or belongs to another row")]
    Forged,
    /// The random number generator failed.
    #[error("this machine gives no random numbers")]
    NoRandom,
}

impl Vault {
    /// A vault with these keys, the first one for new secrets.
    pub fn new(ring: &[EncryptionKey]) -> Result<Self, VaultError> {
        let key = |entry: &EncryptionKey| {
            let key = RandomizedNonceKey::new(&AES_256_GCM, entry.key.expose_secret());
            key.map(|key| (entry.id.clone(), key)).map_err(|_| VaultError::NoKey)
        };
        let keys = ring.iter().map(key).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(VaultError::NoKey) } else { Ok(Self { keys }) }
    }

    /// A new key in the form that the ring wants.
    pub fn generate(id: &str) -> Result<String, VaultError> {
        let mut key = [0; KEY_BYTES];
        rand::fill(&mut key).map_err(|_| VaultError::NoRandom)?;
        Ok(format!("{id}:{}", STANDARD.encode(key)))
    }

    /// Seals a secret for its owner.
    pub fn seal(&self, owner: &str, secret: &[u8]) -> Result<Sealed, VaultError> {
        let (key_id, key) = self.keys.first().ok_or(VaultError::NoKey)?;
        let mut sealed = secret.to_vec();
        let nonce = key
            .seal_in_place_append_tag(Aad::from(owner.as_bytes()), &mut sealed)
            .map_err(|_| VaultError::NoRandom)?;
        Ok(Sealed { key_id: key_id.clone(), bytes: [nonce.as_ref().as_slice(), &sealed].concat() })
    }

    /// Opens a secret of this owner.
    pub fn open(&self, owner: &str, sealed: &Sealed) -> Result<Vec<u8>, VaultError> {
        let key = self.keys.iter().find(|(id, _)| *id == sealed.key_id);
        let (_, key) = key.ok_or_else(|| VaultError::UnknownKey(sealed.key_id.clone()))?;
        let (nonce, secret) = sealed.bytes.split_at_checked(NONCE_BYTES).ok_or(VaultError::Forged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::Forged)?;
        let mut secret = secret.to_vec();
        let opened = key.open_in_place(nonce, Aad::from(owner.as_bytes()), &mut secret);
        opened.map(|secret| secret.to_vec()).map_err(|_| VaultError::Forged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, byte: u8) -> EncryptionKey {
        EncryptionKey { id: id.to_owned(), key: vec![byte; KEY_BYTES].into() }
    }

    fn ring(entries: &[EncryptionKey]) -> Vault {
        Vault::new(entries).unwrap()
    }

    #[test]
    fn a_secret_opens_for_its_owner_only() {
        let vault = ring(&[key("a", 1)]);
        let sealed = vault.seal("acme/ep_1/webhook", b"whsec").unwrap();

        assert_eq!(vault.open("acme/ep_1/webhook", &sealed).unwrap(), b"whsec");
        assert!(matches!(vault.open("acme/ep_2/webhook", &sealed), Err(VaultError::Forged)));
    }

    #[test]
    fn a_rotated_ring_still_opens_old_secrets() {
        let (old, new) = (key("old", 1), key("new", 2));
        let sealed = ring(std::slice::from_ref(&old)).seal("x", b"s").unwrap();

        assert_eq!(ring(&[new.clone(), old.clone()]).open("x", &sealed).unwrap(), b"s");
        assert_eq!(ring(&[new.clone(), old.clone()]).seal("x", b"s").unwrap().key_id, "new");
        assert!(matches!(ring(&[new]).open("x", &sealed), Err(VaultError::UnknownKey(id)) if id == "old"));
    }

    #[test]
    fn a_changed_bit_anywhere_is_noticed() {
        let vault = ring(&[key("a", 1)]);
        let sealed = vault.seal("x", b"secret").unwrap();
        for position in 0..sealed.bytes.len() {
            let mut forged = sealed.clone();
            forged.bytes[position] ^= 1;
            assert!(vault.open("x", &forged).is_err(), "byte {position}");
        }
    }

    #[test]
    fn no_key_at_all_says_how_to_make_one() {
        let Err(error) = Vault::new(&[]) else { panic!("an empty ring was accepted") };

        assert!(error.to_string().contains("flota keys encryption"));
    }
}
