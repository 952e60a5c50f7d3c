//! The fields of a span as members of a JSON object, each followed by a comma.
//!
//! Every run has a span and hardly any is ever part of a line, so the members are written straight away: no map, no
//! value of its own for each. What is recorded later follows behind, as tracing-subscriber does it by itself.

use std::fmt::{self, Write};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FormatFields, format::Writer},
};

/// Room for the fields of a run.
const ROOM: usize = 256;

pub(super) struct SpanFields;

impl<'writer> FormatFields<'writer> for SpanFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut members = Members(String::with_capacity(ROOM));
        fields.record(&mut members);
        writer.write_str(&members.0)
    }
}

/// The object that these members make. Of a name that was recorded twice the later value counts.
pub(super) fn object(members: &str) -> Map<String, Value> {
    serde_json::from_str(&format!("{{{}}}", members.trim_end_matches(','))).unwrap_or_default()
}

struct Members(String);

impl Members {
    fn name(&mut self, field: &Field) {
        // A name that is a word of Rust stands in its code as `r#type`.
        let name = field.name();
        self.0.push('"');
        self.0.push_str(name.strip_prefix("r#").unwrap_or(name));
        self.0.push_str("\":");
    }

    fn put(&mut self, field: &Field, value: impl fmt::Display) {
        self.name(field);
        // Writing into memory does not fail.
        let _ = write!(self.0, "{value},");
    }

    fn put_text(&mut self, field: &Field, text: impl FnOnce(&mut Escaped<'_>) -> fmt::Result) {
        self.name(field);
        self.0.push('"');
        let _ = text(&mut Escaped(&mut self.0));
        self.0.push_str("\",");
    }
}

impl Visit for Members {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON knows no infinities.
        if value.is_finite() {
            self.put(field, value);
        } else {
            self.put_text(field, |text| write!(text, "{value}"));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        self.0.push_str(itoa::Buffer::new().format(value));
        self.0.push(',');
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, |text| text.write_str(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, |text| write!(text, "{value:?}"));
    }
}

/// Writes text as it stands between the quotes of JSON (RFC 8259, section 7).
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Looked at to its end in any case: many bytes at once are less work than one after the other.
        let is_plain = |byte: u8| 0x20 <= byte && byte != b'"' && byte != b'\\';
        if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
            self.0.push_str(text);
            return Ok(());
        }
        for c in text.chars() {
            match c {
                '"' | '\\' => self.0.extend(['\\', c]),
                c if u32::from(c) < 0x20 => write!(self.0, "\\u{:04x}", u32::from(c))?,
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}
