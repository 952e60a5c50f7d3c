//! Our signature towards push services: VAPID (RFC 8292).
//!
//! A token says to which push service it goes and until when it holds, and nothing of the message. So one is signed per
//! push service and used again until shortly before its end; whoever needs a new one signs it under the lock, which
//! takes less time than anybody would wait for.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::{
    agreement::{ECDH_P256, PrivateKey},
    encoding::{AsBigEndian, EcPrivateKeyBin},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use web_push::{PartialVapidSignatureBuilder, SubscriptionInfo, VapidSignatureBuilder, WebPushError};

/// How long a token holds, in seconds. Push services refuse more than 24 hours (RFC 8292 section 2); half of it leaves
/// room for clocks that differ.
const LIFETIME: i64 = 12 * 3_600;
/// How long before its end a token is replaced, in seconds.
const RENEWED_BEFORE: i64 = 3_600;
/// Push services that are remembered. A handful exist; subscriptions come from users, who may invent more.
const MOST_TOKENS: usize = 1_000;

/// Our key pair towards push services.
pub struct VapidKey {
    signer: PartialVapidSignatureBuilder,
    subject: String,
    public: String,
    tokens: Mutex<HashMap<Box<str>, Token>>,
}

/// The value of `Authorization` for one push service.
struct Token {
    authorization: Arc<str>,
    ends: i64,
}

/// A pair that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VapidError {
    /// The private key is not one.
    #[error("the private key is not 32 bytes in base64url; make a pair with `flota keys vapid`")]
    Private,
    /// The system has no randomness.
    #[error("no key pair could be made: the system gives no randomness")]
    Randomness,
    /// The public key belongs to another private key.
    #[error("the public key does not belong to the private key; make a pair with `flota keys vapid`")]
    Mismatch,
}

impl fmt::Debug for VapidKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("VapidKey").field("subject", &self.subject).finish_non_exhaustive()
    }
}

impl VapidKey {
    /// Both keys in base64url without padding, as browsers and other libraries write them. `subject` says whom a push
    /// service may ask about us: `mailto:…` or an https URL.
    ///
    /// # Errors
    /// See [`VapidError`].
    pub fn new(public: &str, private: &SecretString, subject: &str) -> Result<Self, VapidError> {
        let private = private.expose_secret().trim_end_matches('=');
        let is_key = URL_SAFE_NO_PAD.decode(private).is_ok_and(|bytes| bytes.len() == 32);
        if !is_key {
            return Err(VapidError::Private);
        }
        let signer = VapidSignatureBuilder::from_base64_no_sub(private).map_err(|_| VapidError::Private)?;
        let own = signer.get_public_key();
        if URL_SAFE_NO_PAD.decode(public.trim_end_matches('=')).as_ref() != Ok(&own) {
            return Err(VapidError::Mismatch);
        }
        let public = URL_SAFE_NO_PAD.encode(own);
        Ok(Self { signer, subject: subject.to_owned(), public, tokens: Mutex::default() })
    }

    /// The value of `Authorization` for a push service of this origin.
    pub(super) fn authorization(&self, origin: &str, now_unix: i64) -> Result<Arc<str>, WebPushError> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = tokens.get(origin).filter(|token| token.holds(now_unix)) {
            return Ok(Arc::clone(&token.authorization));
        }
        let ends = now_unix + LIFETIME;
        let authorization: Arc<str> = self.sign(origin, ends)?.into();
        if MOST_TOKENS <= tokens.len() {
            tokens.clear();
        }
        tokens.insert(origin.into(), Token { authorization: Arc::clone(&authorization), ends });
        Ok(authorization)
    }

    fn sign(&self, origin: &str, ends: i64) -> Result<String, WebPushError> {
        let subscription = SubscriptionInfo::new(origin, "", "");
        let mut token = self.signer.clone().add_sub_info(&subscription);
        // The crate leaves the port out of the audience, and a push service on another port would refuse that.
        token.add_claim("aud", origin);
        token.add_claim("exp", ends);
        token.add_claim("sub", self.subject.as_str());
        Ok(format!("vapid t={}, k={}", token.build()?.auth_t, self.public))
    }
}

impl Token {
    /// A clock that was set back makes a token last longer than push services allow; it is replaced as well.
    fn holds(&self, now_unix: i64) -> bool {
        (RENEWED_BEFORE..=LIFETIME).contains(&(self.ends - now_unix))
    }
}

/// A new pair for [`VapidKey`]: public and private key in base64url.
///
/// # Errors
/// When the system has no randomness.
pub fn new_vapid_pair() -> Result<(String, SecretString), VapidError> {
    let failed = |_| VapidError::Randomness;
    let key = PrivateKey::generate(&ECDH_P256).map_err(failed)?;
    let public = key.compute_public_key().map_err(failed)?;
    let private: EcPrivateKeyBin<'_> = key.as_be_bytes().map_err(failed)?;
    Ok((URL_SAFE_NO_PAD.encode(public.as_ref()), URL_SAFE_NO_PAD.encode(private.as_ref()).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "https://push.example.net";

    fn key() -> VapidKey {
        let (public, private) = new_vapid_pair().unwrap();
        VapidKey::new(&public, &private, "mailto:admin@example.com").unwrap()
    }

    #[test]
    fn a_token_is_used_again_until_an_hour_before_its_end() {
        let key = key();
        let first = key.authorization(ORIGIN, 1_000).unwrap();

        for (now, same) in [(1_000 + LIFETIME - RENEWED_BEFORE, true), (1_001, true), (999, false)] {
            assert_eq!(key.authorization(ORIGIN, now).unwrap() == first, same, "at {now}");
        }
        let late = 1_000 + LIFETIME - RENEWED_BEFORE + 1;
        assert_ne!(key.authorization(ORIGIN, late).unwrap(), first);
    }

    #[test]
    fn every_push_service_has_a_token_of_its_own_and_so_has_every_key() {
        let key = key();
        let first = key.authorization(ORIGIN, 1_000).unwrap();

        assert_ne!(key.authorization("https://push.example.net:8443", 1_000).unwrap(), first);
        assert_ne!(self::key().authorization(ORIGIN, 1_000).unwrap(), first);
    }

    #[test]
    fn invented_push_services_do_not_fill_the_memory() {
        let key = key();

        for number in 0..=MOST_TOKENS {
            key.tokens
                .lock()
                .unwrap()
                .insert(format!("https://{number}").into(), Token { authorization: "".into(), ends: 0 });
        }
        key.authorization(ORIGIN, 1_000).unwrap();

        assert_eq!(key.tokens.lock().unwrap().len(), 1);
    }

    #[test]
    fn twenty_callers_at_once_get_one_token() {
        let key = key();

        let tokens = std::thread::scope(|scope| {
            let callers: Vec<_> =
                (0..20).map(|_| scope.spawn(|| key.authorization(ORIGIN, 1_000).unwrap())).collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).collect::<Vec<_>>()
        });

        assert!(tokens.iter().all(|token| *token == tokens[0]));
    }
}
