//! A file that goes along with an e-mail: where it lies and what it is called, never its content.

use serde::{Deserialize, Serialize};

use super::{email::one_line, media::MediaSource};
use crate::payload::Invalid;

/// Most files of one message. Providers limit bytes only; this keeps a slip from downloading for minutes.
pub(super) const MAX_FILES: usize = 20;
/// Longest name, in bytes (the lowest limit of the providers: SES, 255).
const MAX_NAME: usize = 255;
/// Longest content type and content id, in bytes (the lowest limit of the providers: SES, 78).
const MAX_TOKEN: usize = 78;

/// A file for an e-mail, read by the worker when it sends.
///
/// ```
/// use flota_producer::{EmailAttachment, EmailBody, MediaSource, Payload, SendEmail};
///
/// let invoice = EmailAttachment::new(MediaSource::file("invoices/42.pdf"), "Invoice 42.pdf");
/// let mail = SendEmail::new("ana@example.com", EmailBody::text("Invoice 42", "See the file.")).attach(invoice);
/// assert!(mail.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EmailAttachment {
    /// Where it lies.
    pub source: MediaSource,
    /// What the reader sees it called, for example `Invoice 42.pdf`; no path.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_NAME)))]
    pub name: String,
    /// `type/subtype`; by the end of the name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_TOKEN)))]
    pub content_type: Option<String>,
    /// Makes it part of the HTML, which shows it as `<img src="cid:…">` with this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_TOKEN)))]
    pub content_id: Option<String>,
}

impl EmailAttachment {
    /// A file that is listed below the message.
    pub fn new(source: MediaSource, name: impl Into<String>) -> Self {
        Self { source, name: name.into(), content_type: None, content_id: None }
    }

    /// A picture that the HTML shows as `cid:` and this id.
    pub fn inline(source: MediaSource, name: impl Into<String>, content_id: impl Into<String>) -> Self {
        Self { content_id: Some(content_id.into()), ..Self::new(source, name) }
    }

    fn validate(&self, field: &str) -> Result<(), Invalid> {
        self.source.validate(&format!("{field}.source"))?;
        one_line(&format!("{field}.name"), &self.name)?;
        let plain = (1..=MAX_NAME).contains(&self.name.len()) && !self.name.contains(['/', '\\']);
        Invalid::unless(
            plain,
            &format!("{field}.name"),
            "must be a file name of 1 to 255 bytes without a path",
        )?;
        let is_type = self.content_type.as_deref().is_none_or(is_content_type);
        Invalid::unless(is_type, &format!("{field}.content_type"), "must be of the form `type/subtype`")?;
        let is_id = self.content_id.as_deref().is_none_or(|id| is_token(id, b"._@-"));
        let problem = "must be 1 to 78 letters, digits, dots, hyphens, underscores or @";
        Invalid::unless(is_id, &format!("{field}.content_id"), problem)
    }
}

/// Checks the files of one message.
pub(super) fn check_attachments(files: &[EmailAttachment]) -> Result<(), Invalid> {
    Invalid::unless(files.len() <= MAX_FILES, "attachments", "has more than 20 files")?;
    for (n, file) in files.iter().enumerate() {
        file.validate(&format!("attachments[{n}]"))?;
        let is_known = |other: &EmailAttachment| other.content_id == file.content_id;
        let twice = file.content_id.is_some() && files[..n].iter().any(is_known);
        let field = format!("attachments[{n}].content_id");
        Invalid::unless(!twice, &field, "is the id of another file of this message")?;
    }
    Ok(())
}

fn is_content_type(text: &str) -> bool {
    let (kind, subtype) = text.split_once('/').unwrap_or_default();
    text.len() <= MAX_TOKEN && is_token(kind, b"+.-") && is_token(subtype, b"+.-")
}

fn is_token(text: &str, more: &[u8]) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || more.contains(&byte);
    (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> EmailAttachment {
        EmailAttachment::new(MediaSource::file("a"), name)
    }

    fn refused(file: EmailAttachment) -> String {
        check_attachments(&[file]).unwrap_err().field
    }

    #[test]
    fn ordinary_files_pass() {
        let logo =
            EmailAttachment::inline(MediaSource::url("https://example.com/a"), "logo.png", "logo@acme");
        let typed = EmailAttachment { content_type: Some("image/svg+xml".into()), ..named("Señal 4.svg") };

        assert_eq!(check_attachments(&[logo, typed, named("F-42.pdf")]), Ok(()));
    }

    #[test]
    fn what_could_leave_its_header_field_or_its_folder_is_refused_by_field() {
        for name in ["", "../a", "a\\b", "a\r\nBcc: eve@example.com", "a\0b", &"x".repeat(256)] {
            assert_eq!(refused(named(name)), "attachments[0].name", "{name:?}");
        }
        for content_type in ["", "pdf", "a/", "/b", "a/b; name=x", "a/b\r\nX: y", "a/b/c"] {
            let file = EmailAttachment { content_type: Some(content_type.into()), ..named("a") };
            assert_eq!(refused(file), "attachments[0].content_type", "{content_type:?}");
        }
        for id in ["", "a b", "<a>", "a\r\nb"] {
            let file = EmailAttachment::inline(MediaSource::file("a"), "a", id);
            assert_eq!(refused(file), "attachments[0].content_id", "{id:?}");
        }
        let outside = EmailAttachment::new(MediaSource::file("../a"), "a");
        assert_eq!(refused(outside), "attachments[0].source.file");
    }

    #[test]
    fn too_many_files_and_one_id_twice_are_refused() {
        let logo = EmailAttachment::inline(MediaSource::file("a"), "a.png", "logo");

        assert_eq!(check_attachments(&vec![named("a"); 21]).unwrap_err().field, "attachments");
        assert_eq!(check_attachments(&[logo.clone(), logo]).unwrap_err().field, "attachments[1].content_id");
    }
}
