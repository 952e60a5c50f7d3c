//! PNG, GIF and WebP: chains of blocks, walked by their lengths and never unpacked.

use super::{
    Header,
    numbers::{big_u32, bytes, little_u16, little_u24, little_u32},
};

/// PNG (ISO/IEC 15948): length, name, data, checksum. `acTL` says that it moves (APNG), `IEND` that it is whole.
pub(super) fn png(file: &[u8]) -> Option<Header> {
    let (width, height) = (big_u32(file, 16)?, big_u32(file, 20)?);
    let [depth, colour] = bytes(file, 24)?;
    // Palettes are decoded to colours with transparency.
    let channels = match colour {
        0 => 1,
        2 => 3,
        4 => 2,
        _ => 4,
    };
    let bytes_per_pixel = channels * if depth == 16 { 2 } else { 1 };
    let mut header = Header { width, height, bytes_per_pixel, several: false, whole: false };
    let mut at = 8;
    while let (Some(length), Some(name)) = (big_u32(file, at), bytes::<4>(file, at + 4)) {
        at = at.checked_add(12)?.checked_add(length as usize)?;
        match &name {
            b"acTL" => header.several = true,
            b"IEND" => header.whole = at <= file.len(),
            _ => {}
        }
    }
    Some(header)
}

/// GIF: extensions (`!`), images (`,`) and the trailer (`;`), each with chains of sub-blocks.
pub(super) fn gif(file: &[u8]) -> Option<Header> {
    let (width, height) = (u32::from(little_u16(file, 6)?), u32::from(little_u16(file, 8)?));
    // Decoded to colours with transparency, beside its own numbers of colours.
    let mut header = Header { width, height, bytes_per_pixel: 5, several: false, whole: false };
    let mut at = 13 + colour_table(*file.get(10)?);
    let mut frames = 0;
    loop {
        match file.get(at) {
            Some(b'!') => at = sub_blocks(file, at + 2),
            Some(b',') => {
                frames += 1;
                let Some(flags) = file.get(at + 9) else { break };
                at = sub_blocks(file, at + 11 + colour_table(*flags));
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
fn colour_table(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// The place behind a chain of sub-blocks; behind the file when it does not end.
fn sub_blocks(file: &[u8], mut at: usize) -> usize {
    while let Some(length) = file.get(at) {
        at += 1 + usize::from(*length);
        if *length == 0 {
            return at;
        }
    }
    file.len()
}

/// WebP (RFC 9649): the first chunk is `VP8 `, `VP8L` or, for everything else, `VP8X`.
pub(super) fn webp(file: &[u8]) -> Option<Header> {
    let whole = little_u32(file, 4)? as usize + 8 <= file.len();
    let (width, height, several) = match &bytes::<4>(file, 12)? {
        b"VP8 " => {
            let side = |at| little_u16(file, at).map(|side| u32::from(side & 0x3fff));
            (side(26)?, side(28)?, false)
        }
        b"VP8L" => {
            let bits = little_u32(file, 21)?;
            ((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1, false)
        }
        b"VP8X" => {
            let moves = file.get(20)? & 0x02 != 0;
            (little_u24(file, 24)? + 1, little_u24(file, 27)? + 1, moves)
        }
        _ => (0, 0, false),
    };
    // Colours with transparency, beside the planes that they are made from.
    Some(Header { width, height, bytes_per_pixel: 6, several, whole })
}
