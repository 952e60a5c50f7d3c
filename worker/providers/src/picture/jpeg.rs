//! JPEG (ITU-T T.81): segments up to the first scan, then the end of the image.

use super::{Header, numbers::big_u16};
use crate::content::Window;

const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: u8 = 0xd9;

pub(super) fn header(file: &Window) -> Option<Header> {
    let (mut header, mut at_once) = (None, 0);
    let mut at = 2;
    loop {
        // Segments may be filled up with any number of 0xff.
        while file.byte(at)? != 0xff {
            at += 1;
        }
        while file.byte(at)? == 0xff {
            at += 1;
        }
        let marker = file.byte(at)?;
        at += 1;
        match marker {
            0x01 | 0xd0..=0xd9 => {}
            START_OF_SCAN => break,
            _ => {
                if is_frame(marker) {
                    header = Some(frame(file, at, marker)?);
                }
                let length = u64::from(big_u16(file, at)?).max(2);
                at_once += gathered(marker, length);
                at += length;
            }
        }
    }
    let mut header = header?;
    header.at_once = at_once;
    scans(file, at, &mut header);
    Some(header)
}

/// True for the segments that begin a frame: 0xc0 to 0xcf without tables and extensions.
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

/// How much of a segment its decoder keeps: those with EXIF, XMP, profiles and IPTC.
fn gathered(marker: u8, length: u64) -> u64 {
    if matches!(marker, 0xe1 | 0xe2 | 0xed) { length } else { 0 }
}

fn frame(file: &Window, at: u64, marker: u8) -> Option<Header> {
    let (height, width) = (u32::from(big_u16(file, at + 3)?), u32::from(big_u16(file, at + 5)?));
    let components = u64::from(file.byte(at + 7)?);
    // A progressive picture is gathered in coefficients of two bytes before any of it can be shown.
    let gathered = if matches!(marker, 0xc2 | 0xc6 | 0xca | 0xce) { 2 * components } else { 0 };
    Some(Header { width, height, bytes_per_pixel: components.max(3) + gathered, ..Header::default() })
}

/// Looks for the end of the image. Thumbnails have ends of their own, but they stand before the first scan; between scans
/// there may be more segments.
fn scans(file: &Window, mut at: u64, header: &mut Header) {
    let mut segment_end = at + big_u16(file, at).map_or(0, u64::from);
    let mut last = 0;
    loop {
        let piece = file.piece(at);
        if piece.is_empty() {
            return;
        }
        for marker in piece {
            let after = std::mem::replace(&mut last, marker);
            at += 1;
            if after != 0xff {
                continue;
            }
            header.whole |= marker == END_OF_IMAGE;
            match marker {
                _ if at < segment_end + 2 => {}
                END_OF_IMAGE => return,
                // A byte 0xff of the pixels, and marks without a length.
                0x00 | 0x01 | 0xd0..=0xd8 | 0xff => {}
                _ => {
                    let length = big_u16(file, at).map_or(0, u64::from);
                    header.at_once += gathered(marker, length);
                    segment_end = at + length;
                }
            }
        }
    }
}
