//! TIFF 6.0: the first directory, whether its strips or tiles lie inside the file, and what its decoder takes for them.
//!
//! The decoder (`tiff`, behind `image`) believes much of what a directory says, so what it says is added up here: values of
//! any number behind a row, rows of tiles that are far wider than the picture, samples beside the colours.

use std::collections::BTreeMap;

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
const TILE_WIDTH: u16 = 322;
const TILE_OFFSETS: u16 = 324;
const TILE_LENGTHS: u16 = 325;
/// The rows that the decoder looks up (`Image::from_reader` of tiff 0.11): beside the above photometric interpretation, rows
/// per strip, planes, predictor, tile length, extra samples, sample format, tables of JPEG and subsampling. It reads all
/// values of each, even of those that have one.
const LOOKED_UP: [u16; 19] = [
    WIDTH,
    HEIGHT,
    BITS,
    COMPRESSION,
    262,
    STRIP_OFFSETS,
    SAMPLES,
    278,
    STRIP_LENGTHS,
    284,
    317,
    TILE_WIDTH,
    323,
    TILE_OFFSETS,
    TILE_LENGTHS,
    338,
    339,
    347,
    530,
];
/// The compression whose strips and tiles are pictures with headers of their own.
const JPEG: u32 = 7;
/// What the decoder takes for each value, in bytes: 32 as it is read, and 8 as a number while both are there.
const TAKEN_PER_VALUE: u64 = 40;
/// Offsets and lengths that are read in turn: the two tables lie apart.
const IN_TURN: u64 = 1024;

/// A file, its byte order, and the rows of its directory that are looked up.
struct File<'a> {
    bytes: &'a Window,
    big: bool,
    rows: BTreeMap<u16, Row>,
}

/// One row of the directory.
struct Row {
    /// Bytes of one value; `None` for kinds that none of these rows has.
    value_bytes: Option<u64>,
    count: u64,
    /// Where its values are.
    values: u64,
}

pub(super) fn header(bytes: &Window) -> Option<Header> {
    let (file, next) = File::open(bytes)?;
    let first = |wanted, default| file.first(wanted, default);
    let (width, height) = (first(WIDTH, 0)?, first(HEIGHT, 0)?);
    // The decoder refuses numbers that do not fit.
    let samples = u64::from(u16::try_from(first(SAMPLES, 1)?).unwrap_or_default());
    let bits = u64::from(u8::try_from(first(BITS, 1)?).unwrap_or_default());
    let pixel = samples * bits.div_ceil(8);
    let is_odd = samples == 0 || bits == 0 || file.rows.values().any(|row| row.value_bytes.is_none());
    let tables = [(STRIP_OFFSETS, STRIP_LENGTHS), (TILE_OFFSETS, TILE_LENGTHS)];
    let whole =
        tables.iter().any(|(offsets, lengths)| file.has_parts_inside(*offsets, *lengths) == Some(true));
    let values: u64 = file.rows.values().map(|row| row.count).sum();
    // Samples beside the colours, and what a tile is wider than the picture, are left out row by row.
    let row = pixel * u64::from(width.max(first(TILE_WIDTH, 0)?));
    Some(Header {
        width: if is_odd { 0 } else { width },
        height,
        // Decoded to whole bytes, and copied.
        bytes_per_pixel: 2 * pixel,
        several: next != 0,
        whole,
        at_once: values * TAKEN_PER_VALUE + row,
        of_jpegs: first(COMPRESSION, 0) == Some(JPEG),
    })
}

impl<'a> File<'a> {
    /// With its first directory, and where the next one is.
    fn open(bytes: &'a Window) -> Option<(Self, u32)> {
        let mut file = Self { bytes, big: bytes.starts_with(b"MM"), rows: BTreeMap::new() };
        let directory = u64::from(file.long(4)?);
        let rows = u64::from(file.short(directory)?);
        for at in (0..rows).map(|row| directory + 2 + 12 * row) {
            let tag = file.short(at)?;
            let value_bytes = match file.short(at + 2)? {
                // Tables of JPEG are bytes without a meaning.
                1 | 7 => Some(1),
                3 => Some(2),
                4 => Some(4),
                2 | 5 | 6 | 8..=13 | 16..=18 => None,
                // The decoder passes over kinds that nobody knows.
                _ => continue,
            };
            if LOOKED_UP.contains(&tag) {
                // Of two rows it takes the last.
                file.rows.insert(tag, file.row(at, value_bytes)?);
            }
        }
        let next = file.long(directory + 2 + 12 * rows)?;
        Some((file, next))
    }

    fn short(&self, at: u64) -> Option<u16> {
        if self.big { big_u16(self.bytes, at) } else { little_u16(self.bytes, at) }
    }

    fn long(&self, at: u64) -> Option<u32> {
        if self.big { big_u32(self.bytes, at) } else { little_u32(self.bytes, at) }
    }

    fn row(&self, at: u64, value_bytes: Option<u64>) -> Option<Row> {
        let count = u64::from(self.long(at + 4)?);
        // Up to four bytes stand in the row itself.
        let fits = count * value_bytes.unwrap_or_default() <= 4;
        let values = if fits { at + 8 } else { u64::from(self.long(at + 8)?) };
        Some(Row { value_bytes, count, values })
    }

    /// The first value of a row, or this where there is no such row.
    fn first(&self, tag: u16, default: u32) -> Option<u32> {
        self.rows.get(&tag).map_or(Some(default), |row| self.value(row, 0))
    }

    fn value(&self, row: &Row, number: u64) -> Option<u32> {
        let bytes = row.value_bytes.unwrap_or(1);
        let at = row.values + number * bytes;
        match bytes {
            1 => self.bytes.byte(at).map(u32::from),
            2 => self.short(at).map(u32::from),
            _ => self.long(at),
        }
    }

    /// Walks over the tables of strips or tiles; `None` where there are none, or they are cut off.
    fn has_parts_inside(&self, offsets: u16, lengths: u16) -> Option<bool> {
        let (offsets, lengths) = (self.rows.get(&offsets)?, self.rows.get(&lengths)?);
        let mut from = 0;
        while from < offsets.count {
            let numbers = from..offsets.count.min(from + IN_TURN);
            // A file that is too short for its table of parts ends the walk here.
            let value = |row| numbers.clone().map(move |number| self.value(row, number));
            let starts: Vec<u32> = value(offsets).collect::<Option<_>>()?;
            for (start, length) in starts.into_iter().zip(value(lengths)) {
                if self.bytes.length() < u64::from(start) + u64::from(length?) {
                    return Some(false);
                }
            }
            from = numbers.end;
        }
        Some(offsets.count > 0)
    }
}
