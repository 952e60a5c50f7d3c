//! The content encoding `aes128gcm` (RFC 8188) under the key agreement of Web Push (RFC 8291): both directions.
//!
//! The crate `web-push` would encrypt as well, but takes 3,052 bytes where the standards leave room for 3,993, and cannot
//! be given the salt and key of a test vector. Both directions are held to the vectors of the standards, and the sealed
//! form to another library as well.

use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree},
    hkdf::{HKDF_SHA256, KeyType, Salt},
    rand,
};

use super::browser::Unopened;

/// Salt, record size and length of the key's name, which is the sender's public key (RFC 8188 section 2.1).
const HEADER: usize = SALT + 4 + 1;
const SALT: usize = 16;
/// An uncompressed point on P-256.
const POINT: usize = 65;
/// What encryption adds to a record.
const TAG: usize = 16;
/// The one record of a push message, in bytes: what every push service takes (RFC 8030 section 7.2).
const RECORD: usize = 4_096;
/// Lengths are rounded up to a multiple of this, so that they say less of the content.
const ROUND: usize = 128;
/// Longest content that fits into such a body, in bytes: without header, public key, tag and the end mark.
pub(super) const MOST_CONTENT: usize = RECORD - HEADER - POINT - TAG - 1;
/// The secret that is shared with the browser, in bytes (RFC 8291 section 3.2).
pub(super) const AUTH: usize = 16;

/// What is new with every message.
pub(super) struct Fresh {
    key: PrivateKey,
    salt: [u8; SALT],
}

impl Fresh {
    /// From the system's randomness.
    pub(super) fn new() -> Option<Self> {
        let mut salt = [0; SALT];
        rand::fill(&mut salt).ok()?;
        Some(Self { key: PrivateKey::generate(&ECDH_P256).ok()?, salt })
    }
}

/// The zeros that bring a content to a round length, as far as there is room.
pub(super) fn padding(length: usize) -> usize {
    length.next_multiple_of(ROUND).min(MOST_CONTENT).saturating_sub(length)
}

/// Encrypts a content of at most [`MOST_CONTENT`] bytes, padding included, for the browser with this public key. `None`
/// when the key is no point of the curve.
pub(super) fn seal(
    content: &[u8],
    padding: usize,
    browser: &[u8],
    auth: &[u8],
    fresh: &Fresh,
) -> Option<Vec<u8>> {
    let sender = fresh.key.compute_public_key().ok()?;
    let ikm = input_key(&fresh.key, browser, auth, browser, sender.as_ref()).ok()?;
    let mut record = content.to_vec();
    record.push(2);
    record.resize(record.len() + padding, 0);
    let (key, nonce) = key_and_nonce(&fresh.salt, &ikm, 0).ok()?;
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut record).ok()?;
    let size = (RECORD as u32).to_be_bytes();
    Some([&fresh.salt[..], &size, &[POINT as u8], sender.as_ref(), &record].concat())
}

/// The sender's public key in the header of a body.
pub(super) fn sender(body: &[u8]) -> Result<&[u8], Unopened> {
    let name = parts(body)?.name;
    if name.len() == POINT { Ok(name) } else { Err(Unopened("the name of the key is no public key")) }
}

/// True when the body is one record, as a push message has to be (RFC 8291 section 4).
pub(super) fn is_one_record(body: &[u8]) -> Result<bool, Unopened> {
    parts(body).map(|parts| parts.records.len() <= parts.size)
}

/// Decrypts a body of any number of records.
pub(super) fn open(body: &[u8], ikm: &[u8]) -> Result<Vec<u8>, Unopened> {
    let Parts { salt, size, records, .. } = parts(body)?;
    let last = records.len().div_ceil(size).saturating_sub(1);
    let mut content = Vec::new();
    for (number, record) in records.chunks(size).enumerate() {
        let (key, nonce) = key_and_nonce(salt, ikm, number as u32)?;
        let mut record = record.to_vec();
        let plain = key
            .open_in_place(nonce, Aad::empty(), &mut record)
            .map_err(|_| Unopened("not for this browser, or changed on its way"))?;
        // A record ends with 1, the last one with 2, and zeros.
        let mark = if number == last { 2 } else { 1 };
        let end = plain.iter().rposition(|byte| *byte != 0).filter(|end| plain[*end] == mark);
        content.extend_from_slice(&plain[..end.ok_or(Unopened("no end of a record"))?]);
    }
    Ok(content)
}

/// The input keying material of RFC 8188, from both key pairs and the shared secret (RFC 8291 section 3.4).
pub(super) fn input_key(
    own: &PrivateKey,
    peer: &[u8],
    auth: &[u8],
    browser: &[u8],
    sender: &[u8],
) -> Result<Vec<u8>, Unopened> {
    let peer = UnparsedPublicKey::new(&ECDH_P256, peer);
    agree(own, peer, Unopened("no shared secret"), |shared| {
        expand(auth, shared, &[b"WebPush: info\0", browser, sender], 32)
    })
}

struct Parts<'a> {
    salt: &'a [u8],
    /// Of a record, in bytes.
    size: usize,
    /// Of the key.
    name: &'a [u8],
    records: &'a [u8],
}

fn parts(body: &[u8]) -> Result<Parts<'_>, Unopened> {
    let short = Unopened("too short");
    let (header, rest) = body.split_at_checked(HEADER).ok_or(short)?;
    let (name, records) = rest.split_at_checked(header[HEADER - 1].into()).ok_or(short)?;
    let size = header[SALT..SALT + 4].try_into().map(u32::from_be_bytes).map_err(|_| short)? as usize;
    if size <= TAG + 1 || records.is_empty() {
        return Err(short);
    }
    Ok(Parts { salt: &header[..SALT], size, name, records })
}

fn key_and_nonce(salt: &[u8], ikm: &[u8], number: u32) -> Result<(LessSafeKey, Nonce), Unopened> {
    let key = expand(salt, ikm, &[b"Content-Encoding: aes128gcm\0"], 16)?;
    let mut nonce = expand(salt, ikm, &[b"Content-Encoding: nonce\0"], NONCE_LEN)?;
    // The number of the record is the end of a big-endian number as long as the nonce.
    for (byte, digit) in nonce[NONCE_LEN - 4..].iter_mut().zip(number.to_be_bytes()) {
        *byte ^= digit;
    }
    let key = UnboundKey::new(&AES_128_GCM, &key).map_err(|_| Unopened("no content key"))?;
    let nonce = Nonce::try_assume_unique_for_key(&nonce).map_err(|_| Unopened("no nonce"))?;
    Ok((LessSafeKey::new(key), nonce))
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
    derived.expand(info, Length(length)).and_then(|okm| okm.fill(&mut key)).map_err(failed)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::Value;

    use super::*;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../tests/data/webpush_vectors.json")).unwrap()
    }

    fn bytes(value: &Value) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
    }

    #[test]
    fn the_message_of_rfc_8291_is_sealed_byte_for_byte() {
        let vector = &vectors()["rfc8291"];
        let key = PrivateKey::from_private_key(&ECDH_P256, &bytes(&vector["as_private"])).unwrap();
        let fresh = Fresh { key, salt: bytes(&vector["salt"]).try_into().unwrap() };
        let content = vector["plaintext"].as_str().unwrap().as_bytes();
        let (browser, auth) = (bytes(&vector["ua_public"]), bytes(&vector["auth_secret"]));

        let sealed = seal(content, 0, &browser, &auth, &fresh).unwrap();

        let sender = bytes(&vector["as_public"]);
        assert_eq!(input_key(&fresh.key, &browser, &auth, &browser, &sender).unwrap(), bytes(&vector["ikm"]));
        assert_eq!(sealed, bytes(&vector["body"]));
    }

    #[test]
    fn both_messages_of_rfc_8188_are_opened_also_the_one_of_two_records() {
        for vector in vectors()["rfc8188"].as_array().unwrap() {
            let opened = open(&bytes(&vector["body"]), &bytes(&vector["key"])).unwrap();

            assert_eq!(opened, vector["plaintext"].as_str().unwrap().as_bytes(), "{}", vector["section"]);
        }
        let two = bytes(&vectors()["rfc8188"][1]["body"]);
        assert_eq!(is_one_record(&two), Ok(false));
        assert!(open(&two[..two.len() - 1], &bytes(&vectors()["rfc8188"][1]["key"])).is_err());
    }

    #[test]
    fn the_longest_content_fills_the_body_that_every_push_service_takes() {
        let browser = PrivateKey::generate(&ECDH_P256).unwrap();
        let public = browser.compute_public_key().unwrap();
        let seal = |length: usize| {
            let content = vec![b'x'; length];
            seal(&content, padding(length), public.as_ref(), &[7; 16], &Fresh::new().unwrap()).unwrap().len()
        };

        assert_eq!((MOST_CONTENT, seal(MOST_CONTENT)), (3_993, 4_096));
        assert_eq!((seal(1), seal(128)), (seal(128), 128 + 103));
    }

    #[test]
    fn another_library_opens_what_is_sealed_here() {
        let (pair, auth) = ece::generate_keypair_and_auth_secret().unwrap();
        let raw = pair.raw_components().unwrap();

        let sealed = seal("ñandú".as_bytes(), 100, raw.public_key(), &auth, &Fresh::new().unwrap()).unwrap();

        assert_eq!(ece::decrypt(&raw, &auth, &sealed).unwrap(), "ñandú".as_bytes());
    }

    #[test]
    fn what_is_too_short_or_names_no_key_is_not_opened() {
        for body in [&[][..], &[0; 20], &[0; 21], &[9; 200]] {
            assert!(open(body, &[0; 32]).is_err());
        }
    }
}
