//! A credential in all the forms in which it could be written down, and the search for them.

use std::fmt::Write;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// A credential.
pub(super) struct Canary {
    /// The variable that holds it.
    pub(super) name: String,
    forms: Vec<String>,
}

/// Something that was written down: where, and what.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) text: String,
}

impl Canary {
    /// The text, and where it is base64 behind a prefix the bytes in it.
    pub(super) fn of(name: &str, text: &str) -> Self {
        let mut forms = vec![text.to_owned(), in_url(text)];
        // What is left of it where a text was cut off.
        forms.extend(text.get(..text.len() * 3 / 4).filter(|part| 16 <= part.len()).map(str::to_owned));
        forms.extend(forms_of(text.as_bytes()));
        let inner = text.strip_prefix("whsec_").or(text.split_once(':').map(|(_, key)| key)).unwrap_or(text);
        let decoded = STANDARD.decode(inner).or_else(|_| URL_SAFE_NO_PAD.decode(inner));
        if let Some(bytes) = decoded.ok().filter(|bytes| 24 <= bytes.len()) {
            forms.push(inner.to_owned());
            forms.extend(forms_of(&bytes));
        }
        forms.sort_unstable();
        forms.dedup();
        Self { name: name.to_owned(), forms }
    }

    /// What was found in a place, with a little of what stands around it.
    pub(super) fn find_all(canaries: &[Self], place: &Place) -> Vec<String> {
        let found = canaries.iter().filter_map(|canary| {
            let (form, at) = canary.forms.iter().find_map(|form| Some((form, place.text.find(form)?)))?;
            let before: String = place.text[..at].chars().rev().take(300).collect();
            let before: String = before.chars().rev().collect();
            let after: String = place.text[at + form.len()..].chars().take(100).collect();
            Some(format!("{} in {}: …{before}>>>{form}<<<{after}…", canary.name, place.name))
        });
        found.collect()
    }
}

/// As it would stand in a query or a form.
pub(super) fn in_url(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// As a login has it whose user is not known here.
pub(super) fn in_a_login(text: &str) -> String {
    STANDARD.encode(format!("somebody:{text}"))
}

/// Bytes in hexadecimal, as a list of numbers, and inside base64 wherever they begin in it.
fn forms_of(bytes: &[u8]) -> Vec<String> {
    let lower = bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    let mut forms = vec![lower.to_uppercase(), lower, numbers.join(", "), numbers.join(",")];
    for shift in 0..3 {
        let shifted = [&vec![0; shift], bytes].concat();
        // Letters that share bits with what stands before or behind are left out.
        let (first, last) = ((shift * 8).div_ceil(6), shifted.len() * 8 / 6);
        for encoded in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            forms.push(encoded[first..last].to_owned());
        }
    }
    forms
}

#[test]
fn a_canary_is_found_in_every_form() {
    let canary = [Canary::of("X", "flota_sandbox_canary/x+1")];
    let around = |text: &str| Place { name: "log".to_owned(), text: format!("…{text}…") };
    let basic = STANDARD.encode("ACsandbox01:flota_sandbox_canary/x+1 and more");
    for text in [
        "flota_sandbox_canary/x+1",
        "flota_sandbox_canary%2Fx%2B1",
        "666c6f74615f73616e64626f785f63616e6172792f782b31",
        "[102, 108, 111, 116, 97, 95, 115, 97, 110, 100, 98, 111, 120, 95, 99, 97, 110, 97, 114, 121, 47, 120, 43, 49]",
        &basic,
    ] {
        assert_eq!(Canary::find_all(&canary, &around(text)).len(), 1, "{text}");
    }
    assert_eq!(Canary::find_all(&canary, &around("flota_sandbox_canar")).len(), 1, "most of it");
    assert!(Canary::find_all(&canary, &around("flota_sandbox_ca")).is_empty());
    let key = [Canary::of("K", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz")];
    assert_eq!(
        Canary::find_all(&key, &around("012345678901234567890123")).len(),
        0,
        "raw bytes are text only by chance"
    );
    assert_eq!(Canary::find_all(&key, &around("303132333435363738393031323334353637383930313233")).len(), 1);
}
