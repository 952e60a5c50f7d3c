//! A file that goes along with an e-mail.
//!
//! Names and types end up in header fields, so they are held to what a header may carry; the content is never looked at.

use super::message::{invalid, refuse_control_characters};
use crate::{ProviderError, content::Content};

/// Longest name, in bytes (SES model: `FileName` 255).
const MOST_NAME_BYTES: usize = 255;
/// Longest content type and content id, in bytes (SES model: 78).
const MOST_TOKEN_BYTES: usize = 78;
/// What a file is when nobody knows better (RFC 2046 section 4.5.1).
const UNKNOWN: &str = "application/octet-stream";

/// Types by the end of a name: what businesses send, after the registry of IANA.
const BY_EXTENSION: [(&str, &str); 19] = [
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("gif", "image/gif"),
    ("html", "text/html"),
    ("ics", "text/calendar"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("mp3", "audio/mpeg"),
    ("ogg", "audio/ogg"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("txt", "text/plain"),
    ("webp", "image/webp"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "application/xml"),
    ("zip", "application/zip"),
];

/// A file with its content.
#[derive(Debug, Clone, Default)]
pub struct Attachment {
    /// What the reader sees it called; no path.
    pub name: String,
    /// `type/subtype`; guessed by the end of the name when absent.
    pub content_type: Option<String>,
    /// Under which `cid:` the HTML part shows it. With one the file is inline.
    pub content_id: Option<String>,
    /// What is in it. It is read while the message is sent, and should stay as it is meanwhile.
    pub content: Content,
}

impl Attachment {
    /// Its type, given or guessed.
    pub fn content_type(&self) -> String {
        self.content_type.clone().unwrap_or_else(|| {
            let extension = self.extension();
            let known = BY_EXTENSION.iter().find(|(end, _)| *end == extension);
            known.map_or(UNKNOWN, |(_, content_type)| content_type).to_owned()
        })
    }

    /// What is behind the last dot of its name, in small letters.
    pub(super) fn extension(&self) -> String {
        self.name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).unwrap_or_default()
    }

    /// Refuses what a header field cannot hold.
    pub(super) fn check(&self) -> Result<(), ProviderError> {
        refuse_control_characters("attachments", &self.name)?;
        if !(1..=MOST_NAME_BYTES).contains(&self.name.len()) || self.name.contains(['/', '\\']) {
            return Err(invalid("attachments", "a name must have 1 to 255 bytes and no path"));
        }
        let is_token = |text: &str, more: &[u8]| {
            (1..=MOST_TOKEN_BYTES).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
        };
        if !is_token(&self.content_type(), b"/.+-_") {
            return Err(invalid("attachments", "a content type must be of the form `type/subtype`"));
        }
        if self.content_id.as_deref().is_some_and(|id| !is_token(id, b"._@-")) {
            return Err(invalid(
                "attachments",
                "a content id must be 1 to 78 letters, digits, dots, hyphens, underscores or @",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Attachment {
        Attachment { name: name.to_owned(), ..Attachment::default() }
    }

    #[test]
    fn a_type_is_guessed_by_the_end_of_the_name_unless_it_is_given() {
        assert_eq!(named("Factura F-42.PDF").content_type(), "application/pdf");
        assert_eq!(named("notes").content_type(), UNKNOWN);
        let given = Attachment { content_type: Some("text/x-log".to_owned()), ..named("a.txt") };
        assert_eq!(given.content_type(), "text/x-log");
    }

    #[test]
    fn what_could_end_a_header_field_is_refused() {
        let id = |id: &str| Attachment { content_id: Some(id.to_owned()), ..named("a.png") };
        let kind = |kind: &str| Attachment { content_type: Some(kind.to_owned()), ..named("a.png") };

        assert!(named("señal.ogg").check().is_ok() && id("logo@acme").check().is_ok());
        for bad in [
            named("a\r\nBcc: eve@example.com"),
            named("../etc/passwd"),
            named(""),
            id("x>\r\nBcc: eve"),
            id(""),
            kind("text/html; charset=x\r\nBcc: eve"),
            kind("text/html\""),
        ] {
            assert_eq!(bad.check().unwrap_err().code.as_deref(), Some("invalid_message"), "{bad:?}");
        }
    }
}
