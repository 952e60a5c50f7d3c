//! Reading JSON that is written in one exact form, to the letter.
//!
//! Nearly every envelope and every record is written by this library, with the same members in the same order. A reader of any
//! JSON takes two to eight times as long for them. What differs in anything, be it a space, is left to that reader, which
//! therefore decides what is well-formed.

/// What is not read yet.
#[derive(Debug, Clone, Copy)]
pub struct Exact<'a>(pub &'a [u8]);

impl<'a> Exact<'a> {
    /// Steps over these bytes, if they come next.
    pub fn skip(&mut self, bytes: &[u8]) -> bool {
        let rest = self.0.strip_prefix(bytes);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Steps over these bytes, or there is nothing to be read.
    pub fn expect(&mut self, bytes: &[u8]) -> Option<()> {
        self.skip(bytes).then_some(())
    }

    /// So many bytes, whatever they are.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Text up to its quote, and over that. None in which a character is escaped, or should be.
    pub fn text(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20))?;
        let text = self.take(end)?;
        self.expect(b"\"")?;
        std::str::from_utf8(text).ok()
    }

    /// A whole number as JSON has it: without a sign, or zeros before it. Something has to follow.
    pub fn number(&mut self) -> Option<u64> {
        let end = self.0.iter().position(|byte| !byte.is_ascii_digit())?;
        let digits = self.take(end)?;
        if digits.starts_with(b"0") && digits != b"0" {
            return None;
        }
        std::str::from_utf8(digits).ok()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_of_json_that_fits() {
        let number = |text: &str| Exact(text.as_bytes()).number();

        assert_eq!([number("0,"), number("18446744073709551615}")], [Some(0), Some(u64::MAX)]);
        for other in ["", "7", ",", "-1,", "01,", "00,", "18446744073709551616,", "+1,"] {
            assert_eq!(number(other), None, "{other}");
        }
    }

    #[test]
    fn a_text_has_nothing_that_is_escaped_or_should_be() {
        let text = |bytes: &'static [u8]| Exact(bytes).text();

        assert_eq!([text(b"\""), text("caf\u{e9}\",".as_bytes())], [Some(""), Some("caf\u{e9}")]);
        for other in [&b""[..], b"open", b"a\\n\"", b"a\n\"", b"\xff\""] {
            assert_eq!(text(other), None, "{}", other.escape_ascii());
        }
    }
}
