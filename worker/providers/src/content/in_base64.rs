//! Base64 of what comes chunk by chunk (RFC 4648 section 4, with padding), on one line or on lines as mails have them.

use std::{io, mem};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;

use super::pieces::Chunks;

/// How many bytes make a full line of a mail: 76 characters (RFC 2045 section 6.8).
const LINE: usize = 57;
/// Between two lines. The last one has none.
const BREAK: &str = "\r\n";

/// How it is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// All on one line: JSON.
    One,
    /// Lines of 76 characters: MIME.
    OfMail,
}

impl Lines {
    /// How long the base64 of so many bytes is.
    pub(super) const fn length(self, bytes: u64) -> u64 {
        let letters = bytes.div_ceil(3) * 4;
        match self {
            Self::One => letters,
            Self::OfMail => letters + bytes.div_ceil(LINE as u64).saturating_sub(1) * BREAK.len() as u64,
        }
    }

    /// How many bytes can be encoded without those that follow.
    const fn group(self) -> usize {
        match self {
            Self::One => 3,
            Self::OfMail => LINE,
        }
    }
}

/// Encodes chunks as they come.
#[derive(Debug)]
pub(super) struct InBase64 {
    of: Chunks,
    lines: Lines,
    /// Less than a group that has not been encoded yet.
    rest: Vec<u8>,
    has_begun: bool,
}

impl InBase64 {
    pub(super) const fn new(of: Chunks, lines: Lines) -> Self {
        Self { of, lines, rest: Vec::new(), has_begun: false }
    }

    /// The next part of it, which may be empty; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut text = String::new();
        match self.of.next().transpose()? {
            Some(chunk) => {
                text.reserve(self.lines.length(chunk.len() as u64 + LINE as u64) as usize);
                self.add(&chunk, &mut text);
            }
            None if self.rest.is_empty() => return Ok(None),
            None => {
                let rest = mem::take(&mut self.rest);
                self.write(&rest, &mut text);
            }
        }
        Ok(Some(text.into()))
    }

    fn add(&mut self, chunk: &[u8], text: &mut String) {
        let group = self.lines.group();
        let missing = if self.rest.is_empty() { 0 } else { group - self.rest.len() };
        let (first, others) = chunk.split_at(missing.min(chunk.len()));
        self.rest.extend_from_slice(first);
        if self.rest.len() == group {
            let rest = mem::take(&mut self.rest);
            self.write(&rest, text);
        }
        let (groups, rest) = others.split_at(others.len() / group * group);
        self.write(groups, text);
        self.rest.extend_from_slice(rest);
    }

    /// Writes whole groups, or the end.
    fn write(&mut self, bytes: &[u8], text: &mut String) {
        if self.lines == Lines::One {
            return BASE64_STANDARD.encode_string(bytes, text);
        }
        for line in bytes.chunks(LINE) {
            if mem::replace(&mut self.has_begun, true) {
                text.push_str(BREAK);
            }
            BASE64_STANDARD.encode_string(line, text);
        }
    }
}
