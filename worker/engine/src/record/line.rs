//! Writing a record as one line of JSON.
//!
//! Every run writes one, and nearly all tell of an ordinary success. So what every record has is copied as it stands, which is a
//! third of the work of a serializer that looks into every name; what few have is left to `serde_json`.

use flota_producer::JobId;
use serde::Serialize;
use uuid::Uuid;

/// Room for the line of an ordinary success.
const ROOM: usize = 192;

/// A line under way, always complete up to the brace at its end.
pub(super) struct Line(Vec<u8>);

impl Line {
    /// A line about this job.
    pub(super) fn about(id: JobId) -> Self {
        let mut line = Self(Vec::with_capacity(ROOM));
        line.0.push(b'{');
        line.0.extend_from_slice(br#""id":""#);
        line.0.extend_from_slice(id.uuid().hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
        line.0.push(b'"');
        line
    }

    fn name(&mut self, name: &'static str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    /// A member that is text.
    pub(super) fn text(&mut self, name: &'static str, text: &str) {
        // Looked at to its end in any case: many bytes at once are less work than one after the other.
        let is_plain = |byte: u8| 0x20 <= byte && byte != b'"' && byte != b'\\';
        if !text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
            return self.json(name, text);
        }
        self.name(name);
        self.0.push(b'"');
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
    }

    /// Any other member.
    pub(super) fn json(&mut self, name: &'static str, value: impl Serialize) {
        self.name(name);
        serde_json::to_writer(&mut self.0, &value).expect("a record has only texts, numbers and JSON");
    }

    /// A member that is left out when there is none.
    pub(super) fn some(&mut self, name: &'static str, value: Option<impl Serialize>) {
        if let Some(value) = value {
            self.json(name, value);
        }
    }

    pub(super) fn end(mut self) -> String {
        self.0.push(b'}');
        String::from_utf8(self.0).expect("JSON is UTF-8")
    }
}
