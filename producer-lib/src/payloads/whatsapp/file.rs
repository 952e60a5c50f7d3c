//! Pictures, recordings, films, documents and stickers: where the file is, and which files WhatsApp takes.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    payload::Invalid,
    payloads::{MediaSource, check_public_url},
};

/// Longest caption, in characters (Cloud API reference, media object).
const MAX_CAPTION: usize = 1_024;
/// Longest name that a document is shown with, in characters.
const MAX_NAME: usize = 240;
const KIB: usize = 1_024;
const MIB: usize = 1_024 * KIB;

/// A file to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WhatsappFile {
    /// What it is.
    pub media: WhatsappMedia,
    /// Where it is: a public https URL, which WhatsApp itself downloads; a file of the workers or of the bucket, which is
    /// uploaded first; or media that WhatsApp has already. What kind of file it is says the ending of its name, in the
    /// bucket the media type that it was stored with.
    pub source: MediaSource,
    /// Text below it; not for recordings and stickers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_CAPTION)))]
    pub caption: Option<String>,
    /// Name that a document is shown with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_NAME)))]
    pub filename: Option<String>,
}

/// What a file is, as WhatsApp shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum WhatsappMedia {
    /// JPEG or PNG.
    Image,
    /// AAC, AMR, MP3, MP4 or Ogg with Opus.
    Audio,
    /// MP4 or 3GP with H.264 and AAC.
    Video,
    /// PDF, text or a document of an office program.
    Document,
    /// WebP.
    Sticker,
}

/// Endings of file names, their media type, and what WhatsApp shows them as
/// (<https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media#supported-media-types>).
const TAKEN: [(&[&str], &str, WhatsappMedia); 18] = [
    (&["jpg", "jpeg"], "image/jpeg", WhatsappMedia::Image),
    (&["png"], "image/png", WhatsappMedia::Image),
    (&["aac"], "audio/aac", WhatsappMedia::Audio),
    (&["amr"], "audio/amr", WhatsappMedia::Audio),
    (&["mp3"], "audio/mpeg", WhatsappMedia::Audio),
    (&["m4a"], "audio/mp4", WhatsappMedia::Audio),
    (&["ogg", "opus"], "audio/ogg", WhatsappMedia::Audio),
    (&["mp4"], "video/mp4", WhatsappMedia::Video),
    (&["3gp"], "video/3gpp", WhatsappMedia::Video),
    (&["webp"], "image/webp", WhatsappMedia::Sticker),
    (&["pdf"], "application/pdf", WhatsappMedia::Document),
    (&["txt"], "text/plain", WhatsappMedia::Document),
    (&["doc"], "application/msword", WhatsappMedia::Document),
    (&["xls"], "application/vnd.ms-excel", WhatsappMedia::Document),
    (&["ppt"], "application/vnd.ms-powerpoint", WhatsappMedia::Document),
    (
        &["docx"],
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        WhatsappMedia::Document,
    ),
    (&["xlsx"], "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", WhatsappMedia::Document),
    (
        &["pptx"],
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        WhatsappMedia::Document,
    ),
];

impl WhatsappMedia {
    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Document => "document",
            Self::Sticker => "sticker",
        }
    }

    /// Largest file, in bytes; of stickers the one that moves.
    pub fn most_bytes(self) -> usize {
        match self {
            Self::Image => 5 * MIB,
            Self::Audio | Self::Video => 16 * MIB,
            Self::Document => 100 * MIB,
            Self::Sticker => 500 * KIB,
        }
    }

    /// The media type of a file by the ending of its name; `None` when WhatsApp does not take it as this.
    pub fn media_type(self, file: &str) -> Option<&'static str> {
        let ending = Path::new(file).extension()?.to_str()?.to_ascii_lowercase();
        let fits =
            |(endings, _, media): &&(&[&str], &str, Self)| *media == self && endings.contains(&&*ending);
        TAKEN.iter().find(fits).map(|(_, media_type, _)| *media_type)
    }

    /// The media type in our own words, and the usual ending, of a file of this media type; `None` when WhatsApp does not
    /// take it as this.
    pub fn of_type(self, media_type: &str) -> Option<(&'static str, &'static str)> {
        let bare = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let fits = |(_, known, media): &&(&[&str], &str, Self)| *media == self && *known == bare;
        TAKEN.iter().find(fits).map(|(endings, known, _)| (*known, endings[0]))
    }

    fn endings(self) -> String {
        let own = TAKEN.iter().filter(|(_, _, media)| *media == self).flat_map(|(endings, ..)| *endings);
        own.copied().collect::<Vec<_>>().join(", ")
    }
}

impl WhatsappFile {
    /// A file without caption and name.
    pub fn new(media: WhatsappMedia, source: MediaSource) -> Self {
        Self { media, source, caption: None, filename: None }
    }

    /// `field` is the name of this file in its payload.
    pub(super) fn validate(&self, field: &str) -> Result<(), Invalid> {
        let Self { media, source, caption, filename } = self;
        let at = |name: &str| format!("{field}.{name}");
        source.validate(&at("source"))?;
        if let Some(url) = &source.url {
            // WhatsApp downloads it, so it has to be where everybody can, and nothing of ours.
            check_public_url(url).map_err(|problem| Invalid::new(at("source.url"), problem))?;
        }
        if let Some(file) = &source.file {
            let problem = format!("must end with one of {}, which are what WhatsApp takes", media.endings());
            Invalid::unless(media.media_type(file).is_some(), &at("source.file"), &problem)?;
        }
        if let Some(caption) = caption {
            let bare = matches!(media, WhatsappMedia::Audio | WhatsappMedia::Sticker);
            Invalid::unless(!bare, &at("caption"), "is not shown with recordings and stickers")?;
            let fits = (1..=MAX_CAPTION).contains(&caption.chars().count());
            Invalid::unless(fits, &at("caption"), "must have 1 to 1,024 characters")?;
        }
        let Some(name) = filename else { return Ok(()) };
        Invalid::unless(*media == WhatsappMedia::Document, &at("filename"), "is only for documents")?;
        let plain = !name.contains(['/', '\\']) && !name.chars().any(char::is_control);
        let fits = plain && (1..=MAX_NAME).contains(&name.chars().count());
        Invalid::unless(fits, &at("filename"), "must be a name of 1 to 240 characters without slashes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(media: WhatsappMedia, path: &str) -> WhatsappFile {
        WhatsappFile::new(media, MediaSource::file(path))
    }

    #[test]
    fn the_media_type_comes_from_the_ending() {
        assert_eq!(WhatsappMedia::Image.media_type("a/FOTO.JPG"), Some("image/jpeg"));
        assert_eq!(WhatsappMedia::Audio.media_type("nota.ogg"), Some("audio/ogg"));
        assert_eq!(WhatsappMedia::Image.media_type("a.pdf"), None);
        assert_eq!(WhatsappMedia::Document.media_type("pdf"), None);
        assert_eq!(WhatsappMedia::Audio.of_type("Audio/OGG; codecs=opus"), Some(("audio/ogg", "ogg")));
        assert_eq!(WhatsappMedia::Image.of_type("application/pdf"), None);
    }

    #[test]
    fn what_whatsapp_does_not_take_is_refused_by_field() {
        let link = |url: &str| WhatsappFile::new(WhatsappMedia::Image, MediaSource::url(url));
        let captioned =
            |media, text: &str| WhatsappFile { caption: Some(text.into()), ..file(media, "a.ogg") };
        let named = |name: &str| WhatsappFile {
            filename: Some(name.into()),
            ..file(WhatsappMedia::Document, "a.pdf")
        };
        let cases = [
            (file(WhatsappMedia::Image, "a.gif"), "body.source.file"),
            (file(WhatsappMedia::Video, "../a.mp4"), "body.source.file"),
            (link("http://example.com/a.png"), "body.source.url"),
            (link("https://127.0.0.1/a.png"), "body.source.url"),
            (link("https://169.254.169.254/latest"), "body.source.url"),
            (link("https://localhost/a.png"), "body.source.url"),
            (captioned(WhatsappMedia::Audio, "Hola"), "body.caption"),
            (
                WhatsappFile { caption: Some("ñ".repeat(1_025)), ..file(WhatsappMedia::Image, "a.png") },
                "body.caption",
            ),
            (
                WhatsappFile { filename: Some("a".into()), ..file(WhatsappMedia::Image, "a.png") },
                "body.filename",
            ),
            (named("../a.pdf"), "body.filename"),
            (named("a\n.pdf"), "body.filename"),
        ];

        for (file, field) in cases {
            assert_eq!(file.validate("body").unwrap_err().field, field);
        }
        assert_eq!(named("Factura 42.pdf").validate("body"), Ok(()));
        assert_eq!(link("https://example.com/a.png").validate("body"), Ok(()));
    }
}
