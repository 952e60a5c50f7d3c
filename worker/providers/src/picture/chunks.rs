//! PNG, GIF and WebP: chains of blocks, walked by their lengths and never unpacked.

use super::{
    Header,
    numbers::{big_u32, little_u16, little_u24, little_u32},
};
use crate::content::Window;

/// Names an extension of a GIF as an application's own.
const APPLICATION: u8 = 0xff;

/// PNG (ISO/IEC 15948): length, name, data, checksum. `acTL` says that it moves (APNG), `IEND` that it is whole.
pub(super) fn png(file: &Window) -> Option<Header> {
    let (width, height) = (big_u32(file, 16)?, big_u32(file, 20)?);
    let [depth, colour] = file.array(24)?;
    // Palettes are decoded to colours with transparency.
    let channels = match colour {
        0 => 1,
        2 => 3,
        4 => 2,
        _ => 4,
    };
    let sample = if depth == 16 { 2 } else { 1 };
    let mut header = Header { width, height, bytes_per_pixel: channels * sample, ..Header::default() };
    let mut at = 8_u64;
    while let (Some(length), Some(name)) = (big_u32(file, at), file.array::<4>(at + 4)) {
        at = at + 12 + u64::from(length);
        match &name {
            b"acTL" => header.several = true,
            // One shade or colour is see-through, so each pixel is decoded with its transparency.
            b"tRNS" => header.bytes_per_pixel = (channels + channels % 2) * sample,
            // The only data beside the pixels that its decoder does not leave out.
            b"eXIf" => header.at_once += u64::from(length),
            b"IEND" => header.whole = at <= file.length(),
            _ => {}
        }
    }
    Some(header)
}

/// GIF: extensions (`!`), images (`,`) and the trailer (`;`), each with chains of sub-blocks.
pub(super) fn gif(file: &Window) -> Option<Header> {
    let (width, height) = (u32::from(little_u16(file, 6)?), u32::from(little_u16(file, 8)?));
    // Decoded to colours with transparency, beside its own numbers of colours.
    let mut header = Header { width, height, bytes_per_pixel: 5, ..Header::default() };
    let mut at = 13 + colour_table(file.byte(10)?);
    let mut frames = 0;
    loop {
        match file.byte(at) {
            Some(b'!') => {
                let end = sub_blocks(file, at + 2);
                // Its decoder gathers profiles and metadata of programs.
                if file.byte(at + 1) == Some(APPLICATION) {
                    header.at_once += end - at;
                }
                at = end;
            }
            Some(b',') => {
                frames += 1;
                let Some(flags) = file.byte(at + 9) else { break };
                at = sub_blocks(file, at + 11 + colour_table(flags));
            }
            Some(b';') => {
                header.whole = frames > 0;
                break;
            }
            _ => break,
        }
    }
    header.several = frames > 1;
    Some(header)
}

/// Length of a table of colours; none when the flag is not set.
fn colour_table(flags: u8) -> u64 {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// The place behind a chain of sub-blocks; behind the file when it does not end.
fn sub_blocks(file: &Window, mut at: u64) -> u64 {
    while let Some(length) = file.byte(at) {
        at += 1 + u64::from(length);
        if length == 0 {
            return at;
        }
    }
    file.length().max(at)
}

/// WebP (RFC 9649): the first chunk is `VP8 `, `VP8L` or, for everything else, `VP8X`.
pub(super) fn webp(file: &Window) -> Option<Header> {
    let whole = u64::from(little_u32(file, 4)?) + 8 <= file.length();
    let (width, height, several) = match &file.array::<4>(12)? {
        b"VP8 " => {
            let side = |at| little_u16(file, at).map(|side| u32::from(side & 0x3fff));
            (side(26)?, side(28)?, false)
        }
        b"VP8L" => {
            let bits = little_u32(file, 21)?;
            ((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1, false)
        }
        b"VP8X" => {
            let moves = file.byte(20)? & 0x02 != 0;
            (little_u24(file, 24)? + 1, little_u24(file, 27)? + 1, moves)
        }
        _ => (0, 0, false),
    };
    // Colours with transparency, beside the planes that they are made from.
    Some(Header { width, height, bytes_per_pixel: 6, several, whole, at_once: lossy(file), of_jpegs: false })
}

/// Length of the pixels of a WebP that are stored with loss, which its decoder reads at once.
fn lossy(file: &Window) -> u64 {
    let (mut at, mut longest) = (12, 0);
    while let (Some(name), Some(length)) = (file.array::<4>(at), little_u32(file, at + 4)) {
        let length = u64::from(length);
        if &name == b"VP8 " {
            longest = longest.max(length);
        }
        // Chunks of odd length are filled up.
        at += 8 + length + length % 2;
    }
    longest.min(file.length())
}
