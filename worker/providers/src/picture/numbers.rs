//! Numbers at a place of a file, in either byte order; `None` behind its end.

/// The bytes from `at`, as many as asked for.
pub(super) fn bytes<const N: usize>(file: &[u8], at: usize) -> Option<[u8; N]> {
    file.get(at..at.checked_add(N)?)?.try_into().ok()
}

pub(super) fn big_u16(file: &[u8], at: usize) -> Option<u16> {
    bytes(file, at).map(u16::from_be_bytes)
}

pub(super) fn big_u32(file: &[u8], at: usize) -> Option<u32> {
    bytes(file, at).map(u32::from_be_bytes)
}

pub(super) fn little_u16(file: &[u8], at: usize) -> Option<u16> {
    bytes(file, at).map(u16::from_le_bytes)
}

pub(super) fn little_u32(file: &[u8], at: usize) -> Option<u32> {
    bytes(file, at).map(u32::from_le_bytes)
}

/// A number of 24 bits.
pub(super) fn little_u24(file: &[u8], at: usize) -> Option<u32> {
    bytes(file, at).map(|[low, middle, high]| u32::from_le_bytes([low, middle, high, 0]))
}
