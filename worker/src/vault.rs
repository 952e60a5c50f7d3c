//! Secrets at rest: AES-256-GCM with a ring of keys.
//!
//! Each sealed secret names the key that sealed it, so keys can be rotated: the first of the ring seals, all of them
//! open. The owner (tenant, row, purpose) is authenticated with it, so a secret copied to another row does not open.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey},
    rand,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};

/// Bytes of a key.
const KEY_BYTES: usize = 32;
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
    /// The ring cannot be read.
    #[error(
        "FLOTA_ENCRYPTION_KEYS: {0}; write `id:base64key[,id:base64key]`, made by `flota keys encryption`"
    )]
    BadRing(&'static str),
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
    /// Reads a ring of keys: `id:base64key`, separated by commas, the first one for new secrets.
    pub fn parse(ring: &SecretString) -> Result<Self, VaultError> {
        let mut keys = Vec::new();
        for entry in ring.expose_secret().split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (id, key) = entry.split_once(':').ok_or(VaultError::BadRing("an entry has no `:`"))?;
            let key = STANDARD.decode(key).map_err(|_| VaultError::BadRing("a key is not base64"))?;
            if id.is_empty() || key.len() != KEY_BYTES {
                return Err(VaultError::BadRing("a key needs an id and 32 bytes"));
            }
            let key = RandomizedNonceKey::new(&AES_256_GCM, &key)
                .map_err(|_| VaultError::BadRing("a key is not usable"))?;
            keys.push((id.to_owned(), key));
        }
        if keys.is_empty() {
            return Err(VaultError::BadRing("it is empty"));
        }
        Ok(Self { keys })
    }

    /// A new key in the form that the ring wants.
    pub fn generate(id: &str) -> Result<String, VaultError> {
        let mut key = [0; KEY_BYTES];
        rand::fill(&mut key).map_err(|_| VaultError::NoRandom)?;
        Ok(format!("{id}:{}", STANDARD.encode(key)))
    }

    /// Seals a secret for its owner.
    pub fn seal(&self, owner: &str, secret: &[u8]) -> Result<Sealed, VaultError> {
        let (key_id, key) = self.keys.first().ok_or(VaultError::BadRing("it is empty"))?;
        let mut sealed = secret.to_vec();
        let nonce = key
            .seal_in_place_append_tag(Aad::from(owner.as_bytes()), &mut sealed)
            .map_err(|_| VaultError::NoRandom)?;
        Ok(Sealed { key_id: key_id.clone(), bytes: [nonce.as_ref().as_slice(), &sealed].concat() })
    }

    /// True when a key with this id is in the ring.
    pub fn holds(&self, key_id: &str) -> bool {
        self.keys.iter().any(|(id, _)| id == key_id)
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

    fn ring(entries: &[&str]) -> Vault {
        Vault::parse(&entries.join(",").into()).unwrap()
    }

    #[test]
    fn a_secret_opens_for_its_owner_only() {
        let vault = ring(&[&Vault::generate("a").unwrap()]);
        let sealed = vault.seal("acme/ep_1/webhook", b"whsec").unwrap();

        assert_eq!(vault.open("acme/ep_1/webhook", &sealed).unwrap(), b"whsec");
        assert!(matches!(vault.open("acme/ep_2/webhook", &sealed), Err(VaultError::Forged)));
    }

    #[test]
    fn a_rotated_ring_still_opens_old_secrets() {
        let (old, new) = (Vault::generate("old").unwrap(), Vault::generate("new").unwrap());
        let sealed = ring(&[&old]).seal("x", b"s").unwrap();

        assert_eq!(ring(&[&new, &old]).open("x", &sealed).unwrap(), b"s");
        assert_eq!(ring(&[&new, &old]).seal("x", b"s").unwrap().key_id, "new");
        assert!(matches!(ring(&[&new]).open("x", &sealed), Err(VaultError::UnknownKey(id)) if id == "old"));
    }

    #[test]
    fn a_changed_bit_anywhere_is_noticed() {
        let vault = ring(&[&Vault::generate("a").unwrap()]);
        let sealed = vault.seal("x", b"secret").unwrap();
        for position in 0..sealed.bytes.len() {
            let mut forged = sealed.clone();
            forged.bytes[position] ^= 1;
            assert!(vault.open("x", &forged).is_err(), "byte {position}");
        }
    }

    #[test]
    fn a_ring_that_cannot_work_says_how_to_make_one() {
        for text in ["", "abc", "a:***", "a:AAAA", ":AAAA"] {
            let Err(error) = Vault::parse(&text.to_owned().into()) else { panic!("{text:?} was accepted") };
            assert!(error.to_string().contains("flota keys encryption"));
        }
    }
}
