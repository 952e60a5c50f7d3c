//! The format of a file by its first bytes, and a word for what is no recording, so that people see the mix-up.

use super::{AudioFormat, BadRecording};

/// Sound that the API does not take and ffmpeg can turn into what it takes.
const FOREIGN: [(&[u8], &str); 8] = [
    (b"#!AMR", "AMR"),
    (b"caff\0\x01", "Apple CAF"),
    (b".snd", "Sun AU"),
    (b"wvpk", "WavPack"),
    (b"MAC ", "Monkey's Audio"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media"),
    (b"ADIF", "AAC"),
    (b"FLV\x01", "Flash video"),
];

const OTHERS: [(&[u8], &str); 13] = [
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF-", "a PDF"),
    (b"<!DOCTYPE", "a web page"),
    (b"<!doctype", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "an XML document"),
    (b"{", "a JSON document"),
    (b"#EXTM3U", "a list of places where recordings are"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG", "a PNG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\x7fELF", "a program"),
];

pub(super) fn format(file: &[u8]) -> Result<AudioFormat, BadRecording> {
    match file {
        [b'f', b'L', b'a', b'C', ..] => Ok(AudioFormat::Flac),
        [b'O', b'g', b'g', b'S', ..] => Ok(AudioFormat::Ogg),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Ok(AudioFormat::Wav),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => Err(BadRecording::Foreign("AVI")),
        [b'F', b'O', b'R', b'M', _, _, _, _, b'A', b'I', b'F', b'F' | b'C', ..] => {
            Err(BadRecording::Foreign("AIFF"))
        }
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Ok(AudioFormat::Webm),
        [_, _, _, _, b'f', b't', b'y', b'p', b'M', b'4', b'A' | b'B', ..] => Ok(AudioFormat::M4a),
        [_, _, _, _, b'f', b't', b'y', b'p', b'h' | b'a', b'e' | b'v', b'i', ..] => {
            Err(BadRecording::NotARecording("a HEIC or AVIF picture"))
        }
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Ok(AudioFormat::Mp4),
        [0, 0, 1, 0xba, ..] => Ok(AudioFormat::Mpeg),
        [b'I', b'D', b'3', ..] => Ok(AudioFormat::Mp3),
        // Twelve ones and layer 0: AAC in ADTS. Eleven ones and another layer: audio of MPEG.
        [0xff, second, ..] if second & 0xf6 == 0xf0 => Err(BadRecording::Foreign("AAC")),
        [0xff, second, ..] if second & 0xe0 == 0xe0 && second & 0x06 != 0 => Ok(AudioFormat::Mp3),
        _ if is_transport_stream(file) => Err(BadRecording::Foreign("an MPEG transport stream")),
        _ => Err(other(file)),
    }
}

fn other(file: &[u8]) -> BadRecording {
    let starts = |(start, _): &&(&[u8], &str)| file.starts_with(start);
    match FOREIGN.iter().find(starts) {
        Some((_, name)) => BadRecording::Foreign(name),
        None => BadRecording::NotARecording(
            OTHERS.iter().find(starts).map_or("of no known format", |(_, what)| what),
        ),
    }
}

/// Packets of 188 bytes, each with the same first byte (ISO/IEC 13818-1, 2.4.3.2).
fn is_transport_stream(file: &[u8]) -> bool {
    (0..3).all(|packet| file.get(packet * 188) == Some(&0x47))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_their_first_bytes() {
        let cases: [(&[u8], Result<&str, &str>); 20] = [
            (b"fLaC\0\0", Ok("flac")),
            (b"OggS\0\x02", Ok("ogg")),
            (b"RIFF\x24\0\0\0WAVEfmt ", Ok("wav")),
            (b"\x1a\x45\xdf\xa3\x01", Ok("webm")),
            (b"\0\0\0\x20ftypM4A \0", Ok("m4a")),
            (b"\0\0\0\x20ftypisom", Ok("mp4")),
            (b"\0\0\0\x20ftyp3gp4", Ok("mp4")),
            (b"ID3\x04\0", Ok("mp3")),
            (b"\xff\xfb\x90\x64", Ok("mp3")),
            (b"\xff\xfd\x90\x64", Ok("mp3")),
            (b"\0\0\x01\xba\x44", Ok("mpeg")),
            (b"\xff\xf1\x60\x40", Err("foreign_format")),
            (b"#!AMR\n", Err("foreign_format")),
            (b"FORM\0\0\0\0AIFF", Err("foreign_format")),
            (b"RIFF\x24\0\0\0AVI ", Err("foreign_format")),
            (b"\xff\xd8\xff\xe0", Err("format")),
            (b"\0\0\0\x20ftypheic", Err("format")),
            (b"#EXTM3U\n", Err("format")),
            (b"<html>", Err("format")),
            (b"", Err("format")),
        ];

        for (bytes, expected) in cases {
            let found = format(bytes);
            let found = found.as_ref().map(|format| format.extension()).map_err(BadRecording::code);
            assert_eq!(found, expected, "for {bytes:?}");
        }
    }
}
