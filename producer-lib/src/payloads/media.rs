//! Where a recording or a picture lies: files never travel inside a job.

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use url::Url;

use super::{storage_key::StorageKey, webhook::MAX_URL};
use crate::payload::Invalid;

/// Longest path, in bytes.
const MAX_PATH: usize = 1_024;
/// Longest id of media at WhatsApp; real ones have 15 to 17 digits.
const MAX_MEDIA_ID: usize = 32;

/// A file for a worker to read: at a URL, in the directory that workers share (`FLOTA_FILES_DIR`), at WhatsApp, or in the
/// bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MediaSource {
    /// Where it can be downloaded without a login, for example a signed URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_URL)))]
    pub url: Option<String>,
    /// Its path inside the workers' directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_PATH)))]
    pub file: Option<String>,
    /// Id of media at WhatsApp, as the webhook of an incoming message gives it. It lasts 7 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_MEDIA_ID)))]
    pub whatsapp: Option<String>,
    /// Its key in the bucket, as `flota storage put` answers it. A job reads only files of its own tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
}

impl MediaSource {
    /// A file at a URL.
    pub fn url(url: impl Into<String>) -> Self {
        Self { url: Some(url.into()), ..Self::nowhere() }
    }

    /// A file in the workers' directory.
    pub fn file(path: impl Into<String>) -> Self {
        Self { file: Some(path.into()), ..Self::nowhere() }
    }

    /// Media at WhatsApp.
    pub fn whatsapp(id: impl Into<String>) -> Self {
        Self { whatsapp: Some(id.into()), ..Self::nowhere() }
    }

    /// A file in the bucket.
    pub fn storage(key: impl Into<String>) -> Self {
        Self { storage: Some(key.into()), ..Self::nowhere() }
    }

    fn nowhere() -> Self {
        Self { url: None, file: None, whatsapp: None, storage: None }
    }

    /// `field` is the name of this source in its payload.
    pub(super) fn validate(&self, field: &str) -> Result<(), Invalid> {
        match (&self.url, &self.file, &self.whatsapp, &self.storage) {
            (Some(url), None, None, None) => check_url(&format!("{field}.url"), url),
            (None, Some(path), None, None) => {
                let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
                let inside = Path::new(path).components().all(plain) && !path.contains('\0');
                let fits = (1..=MAX_PATH).contains(&path.len());
                let problem =
                    "must be a path inside the workers' directory, without `..` and without a leading `/`";
                Invalid::unless(inside && fits, &format!("{field}.file"), problem)
            }
            (None, None, None, Some(key)) => {
                let field = |invalid: Invalid| Invalid::new(format!("{field}.storage"), invalid.problem);
                key.parse::<StorageKey>().map(|_| ()).map_err(field)
            }
            (None, None, Some(id), None) => {
                let digits =
                    (1..=MAX_MEDIA_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit());
                Invalid::unless(digits, &format!("{field}.whatsapp"), "must be the digits of a media id")
            }
            _ => Err(Invalid::new(
                field,
                "must have `url`, `file`, `whatsapp` or `storage`, and only one of them",
            )),
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
    fn a_source_is_one_of_four() {
        let both = MediaSource { file: Some("a".into()), ..MediaSource::url("https://example.com/a") };
        let other = MediaSource { file: Some("a".into()), ..MediaSource::whatsapp("42") };
        let stored = MediaSource { storage: Some("a".into()), ..MediaSource::file("a") };

        for source in [both, other, stored, MediaSource::nowhere()] {
            assert_eq!(source.validate("image").unwrap_err().field, "image");
        }
        assert_eq!(MediaSource::url("file:///etc/passwd").validate("image").unwrap_err().field, "image.url");
        assert_eq!(MediaSource::whatsapp("../me").validate("image").unwrap_err().field, "image.whatsapp");
        assert_eq!(MediaSource::whatsapp("1234567890123456").validate("image"), Ok(()));
        assert_eq!(MediaSource::storage("acme/a.png").validate("image").unwrap_err().field, "image.storage");
        let key = StorageKey::mint(Some("acme")).unwrap().to_string();
        assert_eq!(MediaSource::storage(key).validate("image"), Ok(()));
    }
}
