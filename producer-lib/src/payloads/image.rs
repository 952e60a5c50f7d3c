//! `read_image`: text, labels, barcodes and prices on pictures.

use serde::{Deserialize, Serialize};

use super::{
    language::{self, MAX_TAG},
    media::MediaSource,
};
use crate::payload::{Invalid, Payload, SecretFields};

/// Most languages that may be named.
const MAX_LANGUAGES: usize = 10;
/// Most pictures of one job: as many as one call of Google Vision takes.
const MAX_IMAGES: usize = 16;

/// Reads one picture, or up to sixteen: JPEG, PNG, GIF, BMP, WebP, TIFF or ICO of at most 20 MB and 75 million pixels;
/// text by Google Vision of at most 7.3 MB. Barcodes are read in the worker, so a job that asks for nothing else needs no
/// account.
///
/// ```
/// use flota_producer::{MediaSource, Payload, ReadImage};
///
/// let receipt = ReadImage::new(MediaSource::file("receipts/42.jpg"));
/// let shelf = ReadImage::several(vec![MediaSource::file("shelf/1.jpg"), MediaSource::file("shelf/2.jpg")]);
/// let codes = ReadImage { text: false, barcodes: true, ..receipt.clone() };
///
/// assert!(receipt.validate().is_ok() && shelf.validate().is_ok() && codes.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReadImage {
    /// The picture; this or `images`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<MediaSource>,
    /// Several pictures, each with a result or an error of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_IMAGES)))]
    pub images: Vec<MediaSource>,
    /// False to leave the text out, for example when only barcodes are wanted.
    #[serde(default = "wanted")]
    pub text: bool,
    /// True for a few words on a photo instead of a page.
    #[serde(default)]
    pub sparse: bool,
    /// True to name what is on it, too.
    #[serde(default)]
    pub labels: bool,
    /// True to read barcodes, too.
    #[serde(default)]
    pub barcodes: bool,
    /// True to find product name and prices in the text, as on a shelf tag.
    #[serde(default)]
    pub price_tag: bool,
    /// Languages of the text, BCP 47 such as `es` or `pt-BR`; found out unless given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_LANGUAGES), inner(length(min = 2, max = MAX_TAG))))]
    pub languages: Vec<String>,
}

fn wanted() -> bool {
    true
}

impl ReadImage {
    /// A page of text.
    pub fn new(image: MediaSource) -> Self {
        Self {
            image: Some(image),
            images: Vec::new(),
            text: true,
            sparse: false,
            labels: false,
            barcodes: false,
            price_tag: false,
            languages: Vec::new(),
        }
    }

    /// Pages of text.
    pub fn several(images: Vec<MediaSource>) -> Self {
        Self { images, image: None, ..Self::new(MediaSource::file("")) }
    }

    /// The pictures in their order.
    pub fn sources(&self) -> impl Iterator<Item = &MediaSource> {
        self.image.iter().chain(&self.images)
    }
}

impl Payload for ReadImage {
    const KIND: &'static str = "read_image";
    const QUEUE: &'static str = "ocr";
    const SECRET: SecretFields = SecretFields {
        payload: &["image.url", "images.url"],
        result: &["text", "labels", "barcodes", "price_tag", "images"],
    };

    #[cfg(feature = "schema")]
    fn schema() -> Option<serde_json::Value> {
        Some(crate::payload::schema_of::<Self>())
    }

    fn validate(&self) -> Result<(), Invalid> {
        let is_one_of_two = self.image.is_some() == self.images.is_empty();
        Invalid::unless(is_one_of_two, "image", "must be given, or `images`, and only one of them")?;
        Invalid::unless(self.images.len() <= MAX_IMAGES, "images", "must be at most 16 pictures")?;
        if let Some(image) = &self.image {
            image.validate("image")?;
        }
        for (at, image) in self.images.iter().enumerate() {
            image.validate(&format!("images[{at}]"))?;
        }
        let asks = self.text || self.labels || self.barcodes;
        Invalid::unless(asks, "text", "must be true, or labels or barcodes, or there is nothing to do")?;
        let has_text = self.text || !self.price_tag;
        Invalid::unless(has_text, "price_tag", "is found in the text; leave `text` true")?;
        Invalid::unless(self.languages.len() <= MAX_LANGUAGES, "languages", "must be at most 10")?;
        check_languages(&self.languages)
    }
}

/// Tells all that are none, as far as they can be shown: what else stands there may be anything.
fn check_languages(languages: &[String]) -> Result<(), Invalid> {
    let unknown = |tag: &&String| !language::is_tag_of_text(tag);
    let shown =
        |tag: &String| if is_plain(tag) { format!("`{tag}`") } else { "a code that is none".to_owned() };
    let wrong: Vec<String> = languages.iter().filter(unknown).map(shown).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let problem = format!(
        "must be codes such as `es` or `pt-BR` (BCP 47, as Google Vision and Tesseract know them), not {}; correct them, or \
         leave them out, and the language is found out",
        wrong.join(", ")
    );
    Err(Invalid::new("languages", problem))
}

/// Short enough, and of letters, to be repeated in a message.
fn is_plain(tag: &str) -> bool {
    let is_shown = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=MAX_TAG).contains(&tag.len()) && tag.bytes().all(is_shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(payload: &str) -> Result<(), String> {
        let payload: ReadImage = serde_json::from_str(payload).map_err(|error| error.to_string())?;
        payload.validate().map_err(|invalid| invalid.field)
    }

    #[test]
    fn jobs_of_before_are_read_as_before() {
        let old = r#"{"image":{"file":"a.png"},"sparse":true,"languages":["es"]}"#;

        let payload: ReadImage = serde_json::from_str(old).unwrap();

        assert_eq!((payload.text, payload.barcodes, payload.sources().count()), (true, false, 1));
        assert_eq!(payload.validate(), Ok(()));
    }

    #[test]
    fn a_job_names_pictures_one_way_and_asks_for_something() {
        let seventeen = vec![r#"{"file":"a"}"#; 17].join(",");
        let rows = [
            (r#"{"images":[{"file":"a"},{"file":"b"}],"barcodes":true}"#.to_owned(), Ok(())),
            (r#"{"image":{"file":"a"},"text":false,"barcodes":true}"#.to_owned(), Ok(())),
            ("{}".to_owned(), Err("image")),
            (r#"{"image":{"file":"a"},"images":[{"file":"b"}]}"#.to_owned(), Err("image")),
            (format!(r#"{{"images":[{seventeen}]}}"#), Err("images")),
            (r#"{"images":[{"file":"a"},{"file":"../b"}]}"#.to_owned(), Err("images[1].file")),
            (r#"{"image":{"file":"a"},"text":false}"#.to_owned(), Err("text")),
            (
                r#"{"image":{"file":"a"},"text":false,"labels":true,"price_tag":true}"#.to_owned(),
                Err("price_tag"),
            ),
        ];

        for (payload, expected) in rows {
            assert_eq!(field(&payload), expected.map_err(str::to_owned), "{payload}");
        }
    }

    #[test]
    fn languages_that_there_are_none_of_are_named() {
        let with = |languages: &[&str]| {
            let languages = languages.iter().map(|tag| (*tag).to_owned()).collect();
            ReadImage { languages, ..ReadImage::new(MediaSource::file("a.png")) }.validate()
        };

        let wrong = with(&["es", "xx", "spanish", "es\u{1b}[31m"]).unwrap_err();

        assert_eq!((with(&["es-MX", "en", "fil"]), with(&[])), (Ok(()), Ok(())));
        assert_eq!(wrong.field, "languages");
        assert!(wrong.problem.contains("not `xx`, `spanish`, a code that is none;"), "{wrong}");
        assert_eq!(with(&["es"; 11]).unwrap_err().problem, "must be at most 10");
    }
}
