//! Numbers at a place of a file, in either byte order; `None` behind its end.

use crate::content::Window;

pub(super) fn big_u16(file: &Window, at: u64) -> Option<u16> {
    file.array(at).map(u16::from_be_bytes)
}

pub(super) fn big_u32(file: &Window, at: u64) -> Option<u32> {
    file.array(at).map(u32::from_be_bytes)
}

pub(super) fn little_u16(file: &Window, at: u64) -> Option<u16> {
    file.array(at).map(u16::from_le_bytes)
}

pub(super) fn little_u32(file: &Window, at: u64) -> Option<u32> {
    file.array(at).map(u32::from_le_bytes)
}

/// A number of 24 bits.
pub(super) fn little_u24(file: &Window, at: u64) -> Option<u32> {
    file.array(at).map(|[low, middle, high]| u32::from_le_bytes([low, middle, high, 0]))
}
