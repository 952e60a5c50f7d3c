//! The browser's end of Web Push: makes a subscription and opens what arrives for it.
//!
//! For tests and demonstrations. It checks signatures with other cryptography than the sender signs them with; how
//! messages are encrypted is held to the vectors of the standards.

use aws_lc_rs::{
    agreement::{ECDH_P256, PrivateKey},
    rand,
    signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey as VerifyingKey},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::encoding;

/// A browser that has subscribed.
pub struct Browser {
    key: PrivateKey,
    auth: Vec<u8>,
}

/// A message that the browser cannot open, with the step that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the push message cannot be opened: {0}")]
pub struct Unopened(pub &'static str);

impl Browser {
    /// A new subscription.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new() -> Result<Self, Unopened> {
        let key = PrivateKey::generate(&ECDH_P256).map_err(|_| Unopened("no key"))?;
        let mut auth = vec![0; 16];
        rand::fill(&mut auth).map_err(|_| Unopened("no randomness"))?;
        Ok(Self { key, auth })
    }

    /// A subscription with known secrets.
    ///
    /// # Errors
    /// When the key is none.
    pub fn with(private_key: &[u8], auth: &[u8]) -> Result<Self, Unopened> {
        let key = PrivateKey::from_private_key(&ECDH_P256, private_key).map_err(|_| Unopened("no key"))?;
        Ok(Self { key, auth: auth.to_vec() })
    }

    /// What it tells the application: `p256dh`.
    pub fn p256dh(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.public_key())
    }

    /// What it tells the application: `auth`.
    pub fn auth(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.auth)
    }

    fn public_key(&self) -> Vec<u8> {
        self.key.compute_public_key().map(|key| key.as_ref().to_vec()).unwrap_or_default()
    }

    /// Opens a message, which is one record.
    ///
    /// # Errors
    /// Which step failed.
    pub fn open(&self, body: &[u8]) -> Result<Vec<u8>, Unopened> {
        if !encoding::is_one_record(body)? {
            return Err(Unopened("more than one record"));
        }
        let sender = encoding::sender(body)?;
        let ikm = encoding::input_key(&self.key, sender, &self.auth, &self.public_key(), sender)?;
        encoding::open(body, &ikm)
    }
}

/// Checks `Authorization: vapid t=…, k=…` as a push service does, and answers the claims as JSON text.
///
/// # Errors
/// Which part is wrong.
pub fn check_vapid(authorization: &str, public_key: &str) -> Result<String, Unopened> {
    let rest = authorization.strip_prefix("vapid t=").ok_or(Unopened("not a vapid header"))?;
    let (token, key) = rest.split_once(", k=").ok_or(Unopened("no key"))?;
    if key != public_key {
        return Err(Unopened("signed with another key"));
    }
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| Unopened("not base64url"));
    let (signed, signature) = token.rsplit_once('.').ok_or(Unopened("not a token"))?;
    VerifyingKey::new(&ECDSA_P256_SHA256_FIXED, decode(key)?)
        .verify(signed.as_bytes(), &decode(signature)?)
        .map_err(|_| Unopened("the signature is wrong"))?;
    let claims = signed.split_once('.').ok_or(Unopened("not a token"))?.1;
    String::from_utf8(decode(claims)?).map_err(|_| Unopened("claims are not text"))
}
