//! Windows bitmaps and icons: sizes and lengths stand at fixed places.

use super::{
    Header,
    numbers::{little_u16, little_u32},
};
use crate::content::Window;

/// A header of OS/2 has sides of 16 bits.
const OF_OS2: u32 = 12;

pub(super) fn bmp(file: &Window) -> Option<Header> {
    let pixels_at = u64::from(little_u32(file, 10)?);
    let is_os2 = little_u32(file, 14)? == OF_OS2;
    let (width, height, bits, packed) = if is_os2 {
        let side = |at| little_u16(file, at).map(u32::from);
        (side(18)?, side(20)?, little_u16(file, 24)?, false)
    } else {
        // A negative height says that the rows stand from top to bottom.
        let side = |at| little_u32(file, at).map(|side| side.cast_signed().unsigned_abs());
        (side(18)?, side(22)?, little_u16(file, 28)?, matches!(little_u32(file, 30)?, 1 | 2))
    };
    let row = (u64::from(width) * u64::from(bits)).div_ceil(32) * 4;
    let end = pixels_at.saturating_add(row.saturating_mul(u64::from(height)));
    let whole = packed || end <= file.length();
    Some(Header { width, height, bytes_per_pixel: 4, whole, ..Header::default() })
}

/// An icon holds the same picture in several sizes, so several are no reason to refuse it.
pub(super) fn ico(file: &Window) -> Option<Header> {
    let count = u64::from(little_u16(file, 4)?);
    let mut header = Header { bytes_per_pixel: 4, whole: true, ..Header::default() };
    for at in (0..count).map(|number| 6 + 16 * number) {
        // Zero stands for 256.
        let side = |at| file.byte(at).map(|side| if side == 0 { 256 } else { u32::from(side) });
        header.width = header.width.max(side(at)?);
        header.height = header.height.max(side(at + 1)?);
        let end = u64::from(little_u32(file, at + 8)?) + u64::from(little_u32(file, at + 12)?);
        header.whole &= end <= file.length();
    }
    Some(header)
}
