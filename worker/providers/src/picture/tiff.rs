//! TIFF 6.0: the first directory, and whether its strips or tiles lie inside the file.

use super::{
    Header,
    numbers::{big_u16, big_u32, little_u16, little_u32},
};
use crate::content::Window;

const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const BITS: u16 = 258;
const COMPRESSION: u16 = 259;
const STRIP_OFFSETS: u16 = 273;
const SAMPLES: u16 = 277;
const STRIP_LENGTHS: u16 = 279;
const TILE_OFFSETS: u16 = 324;
const TILE_LENGTHS: u16 = 325;
const JPEG_TABLES: u16 = 347;
/// The compression whose decoder reads a whole strip or tile at once; others are unpacked as they are read.
const JPEG: u32 = 7;
/// What the decoder keeps for each number of a table, in bytes.
const KEPT_PER_NUMBER: u64 = 32;
/// Offsets and lengths that are read in turn: the two tables lie apart.
const IN_TURN: u64 = 1024;

/// A file and its byte order.
struct File<'a> {
    bytes: &'a Window,
    big: bool,
}

/// One row of the directory.
struct Row {
    is_long: bool,
    count: u64,
    /// Where its values are.
    values: u64,
}

/// The strips or tiles.
struct Parts {
    /// Each lies inside the file.
    are_inside: bool,
    count: u64,
    /// Length of the longest, in bytes.
    longest: u64,
}

pub(super) fn header(bytes: &Window) -> Option<Header> {
    let file = File { bytes, big: bytes.starts_with(b"MM") };
    let directory = u64::from(file.long(4)?);
    let rows = u64::from(file.short(directory)?);
    let row = |wanted| file.row(directory, rows, wanted);
    let first = |wanted, default| row(wanted).map_or(Some(default), |row| file.value(&row, 0));
    let next = file.long(directory + 2 + 12 * rows)?;
    let samples = u64::from(first(SAMPLES, 1)?);
    let bits = u64::from(first(BITS, 1)?);
    // Decoded to whole bytes, beside one strip that is being unpacked.
    let bytes_per_pixel = samples * bits.div_ceil(8) + 1;
    let tables = [(STRIP_OFFSETS, STRIP_LENGTHS), (TILE_OFFSETS, TILE_LENGTHS)];
    let parts = tables.map(|(offsets, lengths)| file.parts(row(offsets), row(lengths)));
    let whole = parts.iter().flatten().any(|parts| parts.are_inside);
    let is_jpeg = row(COMPRESSION).and_then(|row| file.value(&row, 0)) == Some(JPEG);
    let numbers = row(JPEG_TABLES).map_or(0, |row| row.count);
    let kept = |parts: &Parts| 2 * parts.count * KEPT_PER_NUMBER + if is_jpeg { parts.longest } else { 0 };
    let at_once = parts.iter().flatten().map(kept).sum::<u64>() + numbers * KEPT_PER_NUMBER;
    let (width, height) = (first(WIDTH, 0)?, first(HEIGHT, 0)?);
    Some(Header { width, height, bytes_per_pixel, several: next != 0, whole, at_once })
}

impl File<'_> {
    fn short(&self, at: u64) -> Option<u16> {
        if self.big { big_u16(self.bytes, at) } else { little_u16(self.bytes, at) }
    }

    fn long(&self, at: u64) -> Option<u32> {
        if self.big { big_u32(self.bytes, at) } else { little_u32(self.bytes, at) }
    }

    fn row(&self, directory: u64, rows: u64, wanted: u16) -> Option<Row> {
        let mut places = (0..rows).map(|row| directory + 2 + 12 * row);
        let at = places.find(|at| self.short(*at) == Some(wanted))?;
        let is_long = self.short(at + 2)? == 4;
        let count = u64::from(self.long(at + 4)?);
        // Up to four bytes stand in the row itself.
        let fits = count * if is_long { 4 } else { 2 } <= 4;
        let values = if fits { at + 8 } else { u64::from(self.long(at + 8)?) };
        Some(Row { is_long, count, values })
    }

    fn value(&self, row: &Row, number: u64) -> Option<u32> {
        let at = row.values + number * if row.is_long { 4 } else { 2 };
        if row.is_long { self.long(at) } else { self.short(at).map(u32::from) }
    }

    /// Walks over the tables of strips or tiles.
    fn parts(&self, offsets: Option<Row>, lengths: Option<Row>) -> Option<Parts> {
        let (offsets, lengths) = (offsets?, lengths?);
        let mut parts = Parts { are_inside: offsets.count > 0, count: offsets.count, longest: 0 };
        let mut from = 0;
        while from < offsets.count && parts.are_inside {
            let numbers = from..offsets.count.min(from + IN_TURN);
            // A file that is too short for its table of parts ends the walk here.
            let value = |row| numbers.clone().map(move |number| self.value(row, number));
            let starts: Vec<u32> = value(&offsets).collect::<Option<_>>()?;
            for (start, length) in starts.into_iter().zip(value(&lengths)) {
                let length = u64::from(length?);
                parts.are_inside &= u64::from(start) + length <= self.bytes.length();
                parts.longest = parts.longest.max(length);
            }
            from = numbers.end;
        }
        Some(parts)
    }
}
