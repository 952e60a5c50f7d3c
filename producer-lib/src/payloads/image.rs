//! `read_image`: the text on a picture, and what is on it.

use serde::{Deserialize, Serialize};

use super::media::MediaSource;
use crate::payload::{Invalid, Payload};

/// Most languages that may be named.
const MAX_LANGUAGES: usize = 10;

/// Reads one picture of at most 7.3 MB: JPEG, PNG, GIF, BMP, WebP, TIFF or ICO.
///
/// ```
/// use flota_producer::{MediaSource, Payload, ReadImage};
///
/// assert!(ReadImage::new(MediaSource::file("receipts/42.jpg")).validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadImage {
    /// The picture.
    pub image: MediaSource,
    /// True for a few words on a photo instead of a page.
    #[serde(default)]
    pub sparse: bool,
    /// True to name what is on it, too.
    #[serde(default)]
    pub labels: bool,
    /// Languages of the text, BCP 47; found out unless given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
}

impl ReadImage {
    /// A page of text.
    pub fn new(image: MediaSource) -> Self {
        Self { image, sparse: false, labels: false, languages: Vec::new() }
    }
}

impl Payload for ReadImage {
    const KIND: &'static str = "read_image";
    const QUEUE: &'static str = "ocr";

    fn validate(&self) -> Result<(), Invalid> {
        self.image.validate("image")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let code = |code: &String| (2..=35).contains(&code.len()) && code.chars().all(plain);
        let languages = self.languages.len() <= MAX_LANGUAGES && self.languages.iter().all(code);
        Invalid::unless(languages, "languages", "must be at most 10 codes such as `es` or `pt-BR`")
    }
}
