//! The subject as a header field that fits its lines.
//!
//! lettre folds a subject between words and encodes what is not ASCII, but writes an ASCII word of a thousand letters into
//! one line, which servers refuse (RFC 5321 4.5.3.1.6: 998 bytes). Such a subject is encoded here (RFC 2047).

use base64::{Engine, prelude::BASE64_STANDARD};
use lettre::message::header::{self, Header, HeaderName, HeaderValue};

/// A word above this could leave no room on its line for the name of the field.
const LONGEST_WORD: usize = 900;
/// Most bytes in one encoded word, so that it stays below RFC 2047's 75 letters.
const PER_WORD: usize = 45;

/// The header field.
#[derive(Debug, Clone)]
pub(super) struct Subject(String);

impl Subject {
    pub(super) fn of(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Header for Subject {
    fn name() -> HeaderName {
        header::Subject::name()
    }

    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self::of(text))
    }

    fn display(&self) -> HeaderValue {
        let text = &self.0;
        if text.split(' ').all(|word| word.len() <= LONGEST_WORD) {
            return header::Subject::from(text.clone()).display();
        }
        HeaderValue::dangerous_new_pre_encoded(Self::name(), text.clone(), encoded(text))
    }
}

/// Encoded words, each on a line of its own.
fn encoded(text: &str) -> String {
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (word, left) = rest.split_at(rest.floor_char_boundary(PER_WORD));
        words.push(format!("=?utf-8?b?{}?=", BASE64_STANDARD.encode(word)));
        rest = left;
    }
    words.join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_fits_no_line_is_encoded_and_nothing_of_it_is_lost() {
        let text = format!("ñ{}", "x".repeat(2_000));

        let value = encoded(&text);

        let words = value
            .split("\r\n ")
            .map(|word| word.strip_prefix("=?utf-8?b?").unwrap().strip_suffix("?=").unwrap());
        let bytes: Vec<u8> = words.flat_map(|word| BASE64_STANDARD.decode(word).unwrap()).collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), text);
        assert!(value.split("\r\n").all(|line| line.len() <= 76));
    }
}
