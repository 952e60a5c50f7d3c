//! Text from outside, made safe to keep and to show.
//!
//! Answers of servers end up in records and on terminals. Bytes that move the cursor, hide text or reorder it are
//! replaced, and the length is bounded, so that no reader needs to do it again. Some servers quote what they were sent:
//! our own credentials are taken out before a text is cut, since half of one is one too.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use secrecy::{ExposeSecret, SecretString};

/// What stands in place of a credential.
const HIDDEN: &str = "***";
/// Shortest credential that is looked for inside base64; ordinary words could hold the letters of a shorter one.
const LEAST_ENCODED: usize = 6;

/// What was said, on one line of at most `most_bytes` bytes, without this secret.
pub(crate) fn quoted(text: &str, secret: &SecretString, most_bytes: usize) -> String {
    one_line(without(text, secret).as_bytes(), most_bytes)
}

/// A text without this secret: as it is, as a query has it, and as the login that it is part of has it (base64).
pub(crate) fn without(text: &str, secret: &SecretString) -> String {
    let secret = secret.expose_secret();
    if secret.is_empty() {
        return text.to_owned();
    }
    let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let mut text = text.replace(secret, HIDDEN).replace(&encoded, HIDDEN);
    if LEAST_ENCODED <= secret.len() {
        for core in inside_base64(secret.as_bytes()) {
            while let Some(found) = text.find(&core) {
                let begin = text[..found].trim_end_matches(is_of_base64).len();
                let behind = &text[found..];
                let end = found + behind.find(|letter| !is_of_base64(letter)).unwrap_or(behind.len());
                text.replace_range(begin..end, HIDDEN);
            }
        }
    }
    text
}

/// The letters that bytes become inside longer base64, wherever they begin in it. Letters that share bits with what
/// stands before or behind them are left out.
fn inside_base64(bytes: &[u8]) -> impl Iterator<Item = String> {
    (0..3).flat_map(move |shift| {
        let shifted = [&[0; 2][..shift], bytes].concat();
        let (first, last) = ((shift * 8).div_ceil(6), shifted.len() * 8 / 6);
        [BASE64_STANDARD_NO_PAD.encode(&shifted), BASE64_URL_SAFE_NO_PAD.encode(&shifted)]
            .map(|encoded| encoded[first..last].to_owned())
    })
}

const fn is_of_base64(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '+' | '/' | '-' | '_' | '=')
}

/// One line of at most `most_bytes` bytes; control and reordering characters become spaces or `\u{fffd}`.
pub(crate) fn one_line(bytes: &[u8], most_bytes: usize) -> String {
    let mut line = String::new();
    for character in String::from_utf8_lossy(bytes).chars() {
        let shown = shown(character);
        if line.len() + shown.len_utf8() > most_bytes {
            break;
        }
        line.push(shown);
    }
    line.trim().to_owned()
}

const fn shown(character: char) -> char {
    match character {
        '\n' | '\r' | '\t' => ' ',
        // Zero-width and bidirectional marks can make a line read as something else.
        '\u{0}'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => char::REPLACEMENT_CHARACTER,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_codes_and_hidden_characters_do_not_survive() {
        let line = one_line("\u{1b}[31mred\u{202e}\r\nnext\0".as_bytes(), 100);

        assert_eq!(line, "\u{fffd}[31mred\u{fffd}  next\u{fffd}");
    }

    #[test]
    fn a_secret_is_taken_out_in_every_form_that_it_was_sent_in() {
        let secret = SecretString::from("hunter2/and+more");
        let basic = BASE64_STANDARD_NO_PAD.encode("AC01:hunter2/and+more");
        let plain = BASE64_STANDARD_NO_PAD.encode("\0flota\0hunter2/and+more");

        for text in ["hunter2/and+more", "hunter2%2Fand%2Bmore", &basic, &plain] {
            assert_eq!(without(&format!("We got <{text}>."), &secret), "We got <***>.");
        }
        assert_eq!(without("We got hunter3.", &secret), "We got hunter3.");
    }

    #[test]
    fn a_secret_at_the_cut_is_not_shown_in_part() {
        let secret = SecretString::from("hunter2-and-more");

        let line = quoted(&format!("{} hunter2-and-more", "x".repeat(90)), &secret, 100);

        assert!(line.ends_with("x ***"), "{line}");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let line = one_line("ñññ".as_bytes(), 5);

        assert_eq!(line, "ññ");
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_replaced() {
        let line = one_line(b"a\xffb", 100);

        assert_eq!(line, "a\u{fffd}b");
    }
}
