//! The format of a file by its first bytes, and a word for what is no picture, so that people see the mix-up.

use super::{BadPicture, Format};

const PICTURES: [(&[u8], Format); 8] = [
    (b"\xff\xd8\xff", Format::Jpeg),
    (b"\x89PNG\r\n\x1a\n", Format::Png),
    (b"GIF87a", Format::Gif),
    (b"GIF89a", Format::Gif),
    (b"BM", Format::Bmp),
    (b"II*\0", Format::Tiff),
    (b"MM\0*", Format::Tiff),
    (b"\0\0\x01\0", Format::Ico),
];

const OTHERS: [(&[u8], &str); 10] = [
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"<!DOCTYPE", "a web page"),
    (b"<!doctype", "a web page"),
    (b"<html", "a web page"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML document"),
    (b"OggS", "a recording"),
    (b"ID3", "a recording"),
    (b"\x7fELF", "a program"),
];

/// How far into a PDF its encryption is looked for: anywhere, since it stands in the trailer.
const ENCRYPTED: &[u8] = b"/Encrypt";

pub(super) fn format(file: &[u8]) -> Result<Format, BadPicture> {
    if let Some((_, format)) = PICTURES.iter().find(|(start, _)| file.starts_with(start)) {
        return Ok(*format);
    }
    if file.starts_with(b"RIFF") && file.get(8..12) == Some(b"WEBP") {
        return Ok(Format::Webp);
    }
    if file.starts_with(b"%PDF-") {
        let is_encrypted = file.windows(ENCRYPTED.len()).any(|part| part == ENCRYPTED);
        return Err(if is_encrypted { BadPicture::EncryptedPdf } else { BadPicture::Pdf });
    }
    if file.get(4..8) == Some(b"ftyp") {
        return Err(BadPicture::NotAPicture("HEIC, AVIF or a video"));
    }
    let other = OTHERS.iter().find(|(start, _)| file.starts_with(start));
    Err(BadPicture::NotAPicture(other.map_or("of no known format", |(_, what)| what)))
}
