//! The format of a file by its first bytes, and a word for what is no picture, so that people see the mix-up.

use super::{BadPicture, Format};
use crate::content::Window;

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

/// Says in a PDF that it is encrypted: anywhere, since it stands in the trailer. Its first byte is in it only once.
const ENCRYPTED: &[u8] = b"/Encrypt";

pub(super) fn format(file: &Window) -> Result<Format, BadPicture> {
    if let Some((_, format)) = PICTURES.iter().find(|(start, _)| file.starts_with(start)) {
        return Ok(*format);
    }
    if file.starts_with(b"RIFF") && file.array(8) == Some(*b"WEBP") {
        return Ok(Format::Webp);
    }
    if file.starts_with(b"%PDF-") {
        return Err(if is_encrypted(file) { BadPicture::EncryptedPdf } else { BadPicture::Pdf });
    }
    if file.array(4) == Some(*b"ftyp") {
        return Err(BadPicture::NotAPicture("HEIC, AVIF or a video"));
    }
    let other = OTHERS.iter().find(|(start, _)| file.starts_with(start));
    Err(BadPicture::NotAPicture(other.map_or("of no known format", |(_, what)| what)))
}

fn is_encrypted(file: &Window) -> bool {
    let (mut at, mut found) = (0, 0);
    loop {
        let piece = file.piece(at);
        if piece.is_empty() {
            return false;
        }
        at += piece.len() as u64;
        for byte in piece {
            found = if byte == ENCRYPTED[found] { found + 1 } else { usize::from(byte == ENCRYPTED[0]) };
            if found == ENCRYPTED.len() {
                return true;
            }
        }
    }
}
