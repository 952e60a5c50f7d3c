//! TIFF 6.0: the first directory, and whether its strips or tiles lie inside the file.

use super::{
    Header,
    numbers::{big_u16, big_u32, little_u16, little_u32},
};

const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const BITS: u16 = 258;
const STRIP_OFFSETS: u16 = 273;
const SAMPLES: u16 = 277;
const STRIP_LENGTHS: u16 = 279;
const TILE_OFFSETS: u16 = 324;
const TILE_LENGTHS: u16 = 325;

/// A file and its byte order.
struct File<'a> {
    bytes: &'a [u8],
    big: bool,
}

/// One row of the directory.
struct Row {
    is_long: bool,
    count: usize,
    /// Where its values are.
    values: usize,
}

pub(super) fn header(bytes: &[u8]) -> Option<Header> {
    let file = File { bytes, big: bytes.starts_with(b"MM") };
    let directory = file.long(4)? as usize;
    let rows = usize::from(file.short(directory)?);
    let row = |wanted| file.row(directory, rows, wanted);
    let first = |wanted, default| row(wanted).map_or(Some(default), |row| file.value(&row, 0));
    let next = file.long(directory.checked_add(2 + 12 * rows)?)?;
    let samples = u64::from(first(SAMPLES, 1)?);
    let bits = u64::from(first(BITS, 1)?);
    // Decoded to whole bytes, beside one strip that is being unpacked.
    let bytes_per_pixel = samples * bits.div_ceil(8) + 1;
    let parts = [(STRIP_OFFSETS, STRIP_LENGTHS), (TILE_OFFSETS, TILE_LENGTHS)];
    let whole = parts.iter().any(|(offsets, lengths)| file.holds(row(*offsets), row(*lengths)) == Some(true));
    let (width, height) = (first(WIDTH, 0)?, first(HEIGHT, 0)?);
    Some(Header { width, height, bytes_per_pixel, several: next != 0, whole })
}

impl File<'_> {
    fn short(&self, at: usize) -> Option<u16> {
        if self.big { big_u16(self.bytes, at) } else { little_u16(self.bytes, at) }
    }

    fn long(&self, at: usize) -> Option<u32> {
        if self.big { big_u32(self.bytes, at) } else { little_u32(self.bytes, at) }
    }

    fn row(&self, directory: usize, rows: usize, wanted: u16) -> Option<Row> {
        let mut places = (0..rows).map(|row| directory + 2 + 12 * row);
        let at = places.find(|at| self.short(*at) == Some(wanted))?;
        let is_long = self.short(at + 2)? == 4;
        let count = self.long(at + 4)? as usize;
        // Up to four bytes stand in the row itself.
        let fits = count.checked_mul(if is_long { 4 } else { 2 })? <= 4;
        let values = if fits { at + 8 } else { self.long(at + 8)? as usize };
        Some(Row { is_long, count, values })
    }

    fn value(&self, row: &Row, number: usize) -> Option<u32> {
        let size = if row.is_long { 4 } else { 2 };
        let at = row.values.checked_add(number.checked_mul(size)?)?;
        if row.is_long { self.long(at) } else { self.short(at).map(u32::from) }
    }

    /// Whether every part lies inside the file.
    fn holds(&self, offsets: Option<Row>, lengths: Option<Row>) -> Option<bool> {
        let (offsets, lengths) = (offsets?, lengths?);
        for part in 0..offsets.count {
            // A file that is too short for its table of parts ends the walk here.
            let end = u64::from(self.value(&offsets, part)?) + u64::from(self.value(&lengths, part)?);
            if (self.bytes.len() as u64) < end {
                return Some(false);
            }
        }
        Some(offsets.count > 0)
    }
}
