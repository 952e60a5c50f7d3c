//! Where a recording or a picture lies: files never travel inside a job.

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use url::Url;

use super::webhook::MAX_URL;
use crate::payload::Invalid;

/// Longest path, in bytes.
const MAX_PATH: usize = 1_024;
/// Longest id of media at WhatsApp; real ones have 15 to 17 digits.
const MAX_MEDIA_ID: usize = 32;

/// A file for a worker to read: at a URL, in the directory that workers share (`FLOTA_FILES_DIR`), or at WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MediaSource {
    /// Where it can be downloaded without a login, for example a signed URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its path inside the workers' directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Id of media at WhatsApp, as the webhook of an incoming message gives it. It lasts 7 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whatsapp: Option<String>,
}

impl MediaSource {
    /// A file at a URL.
    pub fn url(url: impl Into<String>) -> Self {
        Self { url: Some(url.into()), file: None, whatsapp: None }
    }

    /// A file in the workers' directory.
    pub fn file(path: impl Into<String>) -> Self {
        Self { url: None, file: Some(path.into()), whatsapp: None }
    }

    /// Media at WhatsApp.
    pub fn whatsapp(id: impl Into<String>) -> Self {
        Self { url: None, file: None, whatsapp: Some(id.into()) }
    }

    /// `field` is the name of this source in its payload.
    pub(super) fn validate(&self, field: &str) -> Result<(), Invalid> {
        match (&self.url, &self.file, &self.whatsapp) {
            (Some(url), None, None) => check_url(&format!("{field}.url"), url),
            (None, Some(path), None) => {
                let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
                let inside = Path::new(path).components().all(plain) && !path.contains('\0');
                let fits = (1..=MAX_PATH).contains(&path.len());
                let problem =
                    "must be a path inside the workers' directory, without `..` and without a leading `/`";
                Invalid::unless(inside && fits, &format!("{field}.file"), problem)
            }
            (None, None, Some(id)) => {
                let digits =
                    (1..=MAX_MEDIA_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit());
                Invalid::unless(digits, &format!("{field}.whatsapp"), "must be the digits of a media id")
            }
            _ => Err(Invalid::new(field, "must have `url`, `file` or `whatsapp`, and only one of them")),
        }
    }
}

/// Checks the form of a URL that a worker will call. Whether its host may be called is decided there, when it is
/// dialled: fleets may allow networks of their own.
pub(super) fn check_url(field: &str, text: &str) -> Result<(), Invalid> {
    let problem = |problem: String| Err(Invalid::new(field, problem));
    if MAX_URL < text.len() {
        return problem(format!("must not be longer than {MAX_URL} bytes"));
    }
    match Url::parse(text) {
        Err(error) => problem(format!("is not a URL: {error}")),
        Ok(url) if !matches!(url.scheme(), "https" | "http") => {
            problem(format!("must start with https://, not {}://", url.scheme()))
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            problem("must not hold a user name or password".to_owned())
        }
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_directory() {
        for path in ["a.ogg", "calls/2026/a.ogg", "señal.ogg"] {
            assert_eq!(MediaSource::file(path).validate("audio"), Ok(()), "{path}");
        }
        for path in ["", "/etc/passwd", "../a.ogg", "a/../../b", "./../a", "a\0b"] {
            assert_eq!(
                MediaSource::file(path).validate("audio").unwrap_err().field,
                "audio.file",
                "{path:?}"
            );
        }
    }

    #[test]
    fn a_source_is_one_of_three() {
        let both = MediaSource { file: Some("a".into()), ..MediaSource::url("https://example.com/a") };
        let other = MediaSource { file: Some("a".into()), ..MediaSource::whatsapp("42") };
        let none = MediaSource { url: None, file: None, whatsapp: None };

        for source in [both, other, none] {
            assert_eq!(source.validate("image").unwrap_err().field, "image");
        }
        assert_eq!(MediaSource::url("file:///etc/passwd").validate("image").unwrap_err().field, "image.url");
        assert_eq!(MediaSource::whatsapp("../me").validate("image").unwrap_err().field, "image.whatsapp");
        assert_eq!(MediaSource::whatsapp("1234567890123456").validate("image"), Ok(()));
    }
}
