//! Where a recording or a picture lies: files never travel inside a job.

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use url::Url;

use super::webhook::MAX_URL;
use crate::payload::Invalid;

/// Longest path, in bytes.
const MAX_PATH: usize = 1_024;

/// A file for a worker to read: at a URL, or in the directory that workers share (`FLOTA_FILES_DIR`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaSource {
    /// Where it can be downloaded without a login, for example a signed URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its path inside the workers' directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl MediaSource {
    /// A file at a URL.
    pub fn url(url: impl Into<String>) -> Self {
        Self { url: Some(url.into()), file: None }
    }

    /// A file in the workers' directory.
    pub fn file(path: impl Into<String>) -> Self {
        Self { url: None, file: Some(path.into()) }
    }

    /// `field` is the name of this source in its payload.
    pub(super) fn validate(&self, field: &str) -> Result<(), Invalid> {
        match (&self.url, &self.file) {
            (Some(url), None) => check_url(&format!("{field}.url"), url),
            (None, Some(path)) => {
                let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
                let inside = Path::new(path).components().all(plain) && !path.contains('\0');
                let fits = (1..=MAX_PATH).contains(&path.len());
                let problem =
                    "must be a path inside the workers' directory, without `..` and without a leading `/`";
                Invalid::unless(inside && fits, &format!("{field}.file"), problem)
            }
            _ => Err(Invalid::new(field, "must have `url` or `file`, and only one of them")),
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
    fn a_source_is_one_of_two() {
        let both = MediaSource { file: Some("a".into()), ..MediaSource::url("https://example.com/a") };
        let none = MediaSource { url: None, file: None };

        for source in [both, none] {
            assert_eq!(source.validate("image").unwrap_err().field, "image");
        }
        assert_eq!(MediaSource::url("file:///etc/passwd").validate("image").unwrap_err().field, "image.url");
    }
}
