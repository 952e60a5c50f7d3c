//! Forms as HTML sends them: `application/x-www-form-urlencoded` and `multipart/form-data` (RFC 7578).

use std::io::BufRead;

use axum::body::Bytes;
use serde_json::{Map, Value};

/// One part of a multipart form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) file_name: Option<String>,
    pub(super) media_type: Option<String>,
    pub(super) content: Bytes,
}

impl Part {
    /// The content as text; bytes that are not UTF-8 are replaced.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}

/// The fields of a urlencoded form. A name that comes twice, or that `lists` names, is a list.
pub(super) fn fields(body: &[u8], lists: &[&str]) -> Map<String, Value> {
    let mut fields = Map::new();
    for (name, value) in url::form_urlencoded::parse(body) {
        let value = Value::from(value.into_owned());
        match fields.get_mut(&*name) {
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
            None if lists.contains(&&*name) => {
                drop(fields.insert(name.into_owned(), Value::Array(vec![value])));
            }
            None => drop(fields.insert(name.into_owned(), value)),
        }
    }
    fields
}

/// The parts of a multipart body; `None` when it is not written as RFC 2046 section 5.1.1 says.
pub(super) fn parts(content_type: &str, body: &Bytes) -> Option<Vec<Part>> {
    let boundary = parameter(content_type, "boundary").filter(|boundary| !boundary.is_empty())?;
    let delimiter = format!("\r\n--{boundary}");
    // The first delimiter may stand at the very start, without a line break before it.
    let mut at = if body.starts_with(&delimiter.as_bytes()[2..]) {
        delimiter.len() - 2
    } else {
        find(body, delimiter.as_bytes(), 0)? + delimiter.len()
    };
    let mut parts = Vec::new();
    while !body[at..].starts_with(b"--") {
        let start = at + body[at..].starts_with(b"\r\n").then_some(2)?;
        let end = find(body, delimiter.as_bytes(), start)?;
        parts.push(part(&body.slice(start..end))?);
        at = end + delimiter.len();
    }
    Some(parts)
}

fn part(text: &Bytes) -> Option<Part> {
    let head_end = find(text, b"\r\n\r\n", 0)?;
    let head = String::from_utf8_lossy(&text[..head_end]).into_owned();
    let field = |wanted: &str| {
        let fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
        fields
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.trim().to_owned())
    };
    let disposition = field("content-disposition").filter(|value| value.starts_with("form-data"))?;
    Some(Part {
        name: parameter(&disposition, "name")?,
        file_name: parameter(&disposition, "filename"),
        media_type: field("content-type"),
        content: text.slice(head_end + 4..),
    })
}

/// The value of a parameter behind a `;`, quoted or not.
fn parameter(header: &str, wanted: &str) -> Option<String> {
    header.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// Where a text is found from this place on. Goes from one first byte of it to the next, because films are large.
fn find(text: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let first = *wanted.first()?;
    let mut rest = text.get(from..)?;
    loop {
        // Reading from memory does not fail.
        rest.skip_until(first).ok().filter(|skipped| 0 < *skipped)?;
        let at = text.len() - rest.len() - 1;
        if text[at..].starts_with(wanted) {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_urlencoded_form_is_read_with_its_lists() {
        let fields = fields(b"To=%2B1+2&MediaUrl=a&Tag=x&Tag=y", &["MediaUrl"]);

        assert_eq!(Value::Object(fields), json!({ "To": "+1 2", "MediaUrl": ["a"], "Tag": ["x", "y"] }));
    }

    #[test]
    fn the_parts_of_a_multipart_form_come_out_byte_for_byte() {
        let body = Bytes::from_static(
            b"--x\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n\
              --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.ogg\"\r\nContent-Type: audio/ogg\r\n\r\nOggS\r\n\0--y\r\n--x--\r\n",
        );

        let parts = parts("multipart/form-data; boundary=\"x\"", &body).unwrap();

        assert_eq!((parts[0].name.as_str(), parts[0].text().as_str()), ("model", "whisper-1"));
        assert_eq!(parts[1].file_name.as_deref(), Some("a.ogg"));
        assert_eq!(parts[1].media_type.as_deref(), Some("audio/ogg"));
        assert_eq!(parts[1].content, b"OggS\r\n\0--y".as_slice());
    }

    #[test]
    fn a_body_that_is_no_multipart_form_is_none() {
        let cases: [(&str, &[u8]); 4] = [
            ("multipart/form-data", b"--x--"),
            ("multipart/form-data; boundary=x", b""),
            (
                "multipart/form-data; boundary=x",
                b"--x\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\ncut",
            ),
            ("multipart/form-data; boundary=x", b"--xno line break"),
        ];

        for (content_type, body) in cases {
            assert_eq!(parts(content_type, &Bytes::from_static(body)), None, "{content_type} {body:?}");
        }
    }
}
