//! JPEG (ITU-T T.81): segments up to the first scan, then the end of the image.

use super::{Header, numbers::big_u16};

const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];

pub(super) fn header(file: &[u8]) -> Option<Header> {
    let mut header = None;
    let mut at = 2;
    loop {
        // Segments may be filled up with any number of 0xff.
        while file.get(at)? != &0xff {
            at += 1;
        }
        while file.get(at)? == &0xff {
            at += 1;
        }
        let marker = file[at];
        at += 1;
        match marker {
            0x01 | 0xd0..=0xd9 => {}
            START_OF_SCAN => break,
            _ => {
                if is_frame(marker) {
                    header = Some(frame(file, at, marker)?);
                }
                at += usize::from(big_u16(file, at)?).max(2);
            }
        }
    }
    let mut header = header?;
    // Thumbnails have ends of their own, but they stand before the scan.
    header.whole = file[at..].windows(2).any(|pair| pair == END_OF_IMAGE);
    Some(header)
}

/// True for the segments that begin a frame: 0xc0 to 0xcf without tables and extensions.
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

fn frame(file: &[u8], at: usize, marker: u8) -> Option<Header> {
    let (height, width) = (u32::from(big_u16(file, at + 3)?), u32::from(big_u16(file, at + 5)?));
    let components = u64::from(*file.get(at + 7)?);
    // A progressive picture is gathered in coefficients of two bytes before any of it can be shown.
    let gathered = if matches!(marker, 0xc2 | 0xc6 | 0xca | 0xce) { 2 * components } else { 0 };
    Some(Header {
        width,
        height,
        bytes_per_pixel: components.max(3) + gathered,
        several: false,
        whole: false,
    })
}
