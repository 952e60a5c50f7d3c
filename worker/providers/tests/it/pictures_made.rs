//! Pictures made for tests: headers that promise anything, with as much behind them as a test needs.

use std::io::Write;

use flota_providers::content::Content;
use image::{ExtendedColorType, ImageEncoder, codecs};

/// The same file on the disk.
pub(crate) fn on_disk(file: &[u8]) -> Content {
    let mut place = tempfile::tempfile().unwrap();
    place.write_all(file).unwrap();
    Content::of_file(place).unwrap()
}

/// A real PNG with this chunk before its pixels.
pub(crate) fn png_with(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    with_chunk(&white_png(300, 200), name, data)
}

/// This PNG with one more chunk behind its header.
pub(crate) fn with_chunk(file: &[u8], name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut chunk = chunk(name, data);
    let sum = checksum(&chunk[4..8 + data.len()]);
    chunk.splice(8 + data.len().., sum.to_be_bytes());
    [&file[..33], &chunk, &file[33..]].concat()
}

/// The checksum of a chunk (CRC-32, ISO/IEC 15948 annex D).
fn checksum(bytes: &[u8]) -> u32 {
    let step = |sum: u32| if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 };
    let table: Vec<u32> = (0..256).map(|byte| (0..8).fold(byte, |sum, _| step(sum))).collect();
    !bytes.iter().fold(u32::MAX, |sum, byte| table[usize::from(sum as u8 ^ byte)] ^ (sum >> 8))
}

/// About so many zeros in the stream of zlib (RFC 1950, RFC 1951): one of them, and repeats of 258 in fixed codes.
pub(crate) fn packed_zeros(length: usize) -> Vec<u8> {
    let (mut stream, mut bits, mut count) = (vec![0x78, 0x01], 0_u32, 0);
    let mut put = |code: u32, length: u32| {
        bits |= code << count;
        count += length;
        while 8 <= count {
            stream.push(bits as u8);
            bits >>= 8;
            count -= 8;
        }
    };
    // The last block, of fixed codes, and a zero (0x30). Codes begin with their highest bit.
    put(0b011, 3);
    put(0b0000_1100, 8);
    // 258 bytes (0b1100_0101) from one byte before (0b00000).
    (0..length / 258).for_each(|_| put(0b1010_0011, 13));
    put(0, 7 + 7);
    // Nobody comes as far as the checksum who has no room for the zeros.
    [stream, vec![0; 4]].concat()
}

/// A chunk of a PNG. Nobody who only walks the chunks looks at the checksum.
fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&length[..], name, data, &[0; 4]].concat()
}

/// A PNG whose header says this size, with a few bytes of pixels.
pub(crate) fn png(width: u32, height: u32, more: &[(&[u8; 4], &[u8])], ends: bool) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let mut file = [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header)].concat();
    for (name, data) in more {
        file.extend(chunk(name, data));
    }
    file.extend(chunk(b"IDAT", b"pixels"));
    if ends {
        file.extend(chunk(b"IEND", b""));
    }
    file
}

/// A GIF of this size and so many frames.
pub(crate) fn gif(width: u16, height: u16, frames: usize) -> Vec<u8> {
    let frame = b",\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0";
    let mut file = [&b"GIF89a"[..], &width.to_le_bytes(), &height.to_le_bytes(), &[0, 0, 0]].concat();
    file.extend(frame.repeat(frames));
    file.push(b';');
    file
}

/// A WebP of the extended kind of this size; `flags` are those of RFC 9649.
pub(crate) fn webp(width: u32, height: u32, flags: u8) -> Vec<u8> {
    let (across, down) = ((width - 1).to_le_bytes(), (height - 1).to_le_bytes());
    let body = [&b"WEBPVP8X\x0a\0\0\0"[..], &[flags, 0, 0, 0], &across[..3], &down[..3]].concat();
    [&b"RIFF"[..], &u32::try_from(body.len()).unwrap().to_le_bytes(), &body].concat()
}

/// A row of a TIFF's directory: tag, kind, number of values, and the value or the place of all.
pub(crate) type TiffRow = (u16, u16, u32, u32);
/// Kinds of values.
const SHORT: u16 = 3;
const LONG: u16 = 4;

/// A TIFF with this directory, the place of a next one, and what stands behind it, from [`behind_rows`] on.
pub(crate) fn tiff_of_rows(rows: &[TiffRow], next: u32, behind: &[u8]) -> Vec<u8> {
    let row = |(tag, kind, count, value): &TiffRow| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    let count = u16::try_from(rows.len()).unwrap().to_le_bytes();
    let rows: Vec<u8> = rows.iter().flat_map(row).collect();
    [&b"II*\0\x08\0\0\0"[..], &count, &rows, &next.to_le_bytes(), behind].concat()
}

/// Where the directory of so many rows ends.
pub(crate) fn behind_rows(rows: usize) -> u32 {
    8 + 2 + 12 * rows as u32 + 4
}

/// A TIFF of this size with one strip of so many bytes, of which none need be there, and the place of a next page.
pub(crate) fn tiff(width: u32, height: u32, strip: u32, next: u32) -> Vec<u8> {
    let rows = [(256, LONG, 1, width), (257, LONG, 1, height), (273, LONG, 1, 8), (279, LONG, 1, strip)];
    tiff_of_rows(&rows, next, &[])
}

/// A TIFF of this size and compression with strips at these places of these lengths, and so many bytes behind its tables.
pub(crate) fn tiff_of_parts(
    width: u32,
    height: u32,
    compression: u32,
    strips: &[(u32, u32)],
    bytes: usize,
) -> Vec<u8> {
    let count = strips.len() as u32;
    let table = |number: fn(&(u32, u32)) -> u32| -> Vec<u8> {
        strips.iter().flat_map(|strip| number(strip).to_le_bytes()).collect()
    };
    let (starts, lengths) = (table(|strip| strip.0), table(|strip| strip.1));
    let behind = behind_rows(5);
    // A table of one number stands in its row.
    let place = |of_one: u32, at: u32| if count == 1 { of_one } else { at };
    let rows = [
        (256, LONG, 1, width),
        (257, LONG, 1, height),
        (259, LONG, 1, compression),
        (273, LONG, count, place(strips[0].0, behind)),
        (279, LONG, count, place(strips[0].1, behind + 4 * count)),
    ];
    tiff_of_rows(&rows, 0, &[starts, lengths, vec![0; bytes]].concat())
}

/// A TIFF of ten gray pixels that has so many values, all of them one, in the row of this tag.
pub(crate) fn tiff_with_values(tag: u16, values: u32) -> Vec<u8> {
    let small = [(256, 10), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (279, 10)]
        .map(|(tag, value)| (tag, SHORT, 1, value));
    // The decoder takes the last of two rows.
    let long = (tag, SHORT, values, behind_rows(small.len() + 1));
    tiff_of_rows(&[&small[..], &[long]].concat(), 0, &[1, 0].repeat(values as usize))
}

/// A TIFF of ten pixels in one tile of one row that is a gigabyte wide, in a file of a few MiB.
pub(crate) fn tiff_of_a_wide_tile() -> Vec<u8> {
    let (wide, packed) = (1 << 28, packed_zeros(1 << 30));
    let place = behind_rows(11);
    let rows = [
        (256, SHORT, 1, 10),
        (257, SHORT, 1, 1),
        (258, SHORT, 1, 8),
        (259, SHORT, 1, 8),
        (262, SHORT, 1, 2),
        (277, SHORT, 1, 4),
        (322, LONG, 1, wide),
        (323, LONG, 1, 1),
        (324, LONG, 1, place),
        (325, LONG, 1, packed.len() as u32),
        // A sample that is no colour.
        (338, SHORT, 1, 0),
    ];
    tiff_of_rows(&rows, 0, &packed)
}

/// A BMP of 24 bits of this size without its pixels.
pub(crate) fn bmp(width: i32, height: i32) -> Vec<u8> {
    let mut file = vec![0; 54];
    file[..2].copy_from_slice(b"BM");
    file[10] = 54;
    file[14] = 40;
    file[18..22].copy_from_slice(&width.to_le_bytes());
    file[22..26].copy_from_slice(&height.to_le_bytes());
    file[28] = 24;
    file
}

/// The segments of a JPEG of this size: a frame, a scan, and an end if wanted.
pub(crate) fn jpeg(width: u16, height: u16, ends: bool) -> Vec<u8> {
    let thumbnail = b"\xff\xe1\x00\x06\xff\xd8\xff\xd9";
    let (down, across) = (height.to_be_bytes(), width.to_be_bytes());
    let frame =
        [&b"\xff\xc0\x00\x11\x08"[..], &down, &across, b"\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00"].concat();
    let end: &[u8] = if ends { b"\xff\xd9" } else { b"" };
    [&b"\xff\xd8"[..], thumbnail, &frame, b"\xff\xda\x00\x08pixels", end].concat()
}

/// A real JPEG of white pixels with a profile in so many segments of 64 KiB (ICC.1, annex B.4).
pub(crate) fn jpeg_with_profile(segments: u8) -> Vec<u8> {
    let mut file = Vec::new();
    let pixels = vec![255; 300 * 200];
    codecs::jpeg::JpegEncoder::new(&mut file).write_image(&pixels, 300, 200, ExtendedColorType::L8).unwrap();
    let segment = |number| {
        [&b"\xff\xe2\xff\xffICC_PROFILE\0"[..], &[number, segments], &vec![7; 0xffff - 2 - 14]].concat()
    };
    let profile: Vec<u8> = (1..=segments).flat_map(segment).collect();
    file.splice(2..2, profile);
    file
}

/// A real PNG of white pixels with transparency, 8 bits each.
pub(crate) fn white_png(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let pixels = vec![255; width as usize * height as usize * 4];
    codecs::png::PngEncoder::new(&mut file)
        .write_image(&pixels, width, height, ExtendedColorType::Rgba8)
        .unwrap();
    file
}
