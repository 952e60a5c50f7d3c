//! The browser's end of Web Push: makes a subscription and opens what arrives for it (RFC 8291 section 3, RFC 8188).
//!
//! For tests and demonstrations. Written on other cryptography than the sender's, so that both agreeing means something.

use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree},
    hkdf::{HKDF_SHA256, KeyType, Salt},
    rand,
    signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey as VerifyingKey},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// Salt, record size and length of the key's name, which is the sender's public key (RFC 8188 section 2.1).
const HEADER: usize = 16 + 4 + 1;
/// An uncompressed point on P-256.
const POINT: usize = 65;

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

    /// Opens a message of one record.
    ///
    /// # Errors
    /// Which step failed.
    pub fn open(&self, body: &[u8]) -> Result<Vec<u8>, Unopened> {
        let salt = body.get(..16).ok_or(Unopened("too short"))?;
        let sender = body.get(HEADER..HEADER + POINT).ok_or(Unopened("too short"))?;
        let peer = UnparsedPublicKey::new(&ECDH_P256, sender);
        let ikm = agree(&self.key, peer, Unopened("no shared secret"), |shared| {
            let info: [&[u8]; 3] = [b"WebPush: info\0", &self.public_key(), sender];
            expand(&self.auth, shared, &info, 32)
        })?;
        let key = expand(salt, &ikm, &[b"Content-Encoding: aes128gcm\0"], 16)?;
        let nonce = expand(salt, &ikm, &[b"Content-Encoding: nonce\0"], 12)?;
        let key = UnboundKey::new(&AES_128_GCM, &key).map_err(|_| Unopened("no content key"))?;
        let nonce = Nonce::try_assume_unique_for_key(&nonce).map_err(|_| Unopened("no nonce"))?;
        let mut record = body[HEADER + POINT..].to_vec();
        let plain = LessSafeKey::new(key)
            .open_in_place(nonce, Aad::empty(), &mut record)
            .map_err(|_| Unopened("not for this browser, or changed on its way"))?;
        // The last record ends with 2 and zeros.
        let end = plain.iter().rposition(|byte| *byte != 0).filter(|end| plain[*end] == 2);
        Ok(plain[..end.ok_or(Unopened("no end of the last record"))?].to_vec())
    }
}

/// HKDF with SHA-256 (RFC 5869).
fn expand(salt: &[u8], secret: &[u8], info: &[&[u8]], length: usize) -> Result<Vec<u8>, Unopened> {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let failed = |_| Unopened("no derived key");
    let mut key = vec![0; length];
    let derived = Salt::new(HKDF_SHA256, salt).extract(secret);
    derived.expand(info, Length(length)).map_err(failed)?.fill(&mut key).map_err(failed)?;
    Ok(key)
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
