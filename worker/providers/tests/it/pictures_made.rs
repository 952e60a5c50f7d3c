//! Pictures made for tests: headers that promise anything, with as much behind them as a test needs.

use image::{ExtendedColorType, ImageEncoder, codecs};

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

/// A TIFF of this size with one strip of so many bytes, of which none need be there, and the place of a next page.
pub(crate) fn tiff(width: u32, height: u32, strip: u32, next: u32) -> Vec<u8> {
    let row = |tag: u16, value: u32| {
        [&tag.to_le_bytes()[..], &4_u16.to_le_bytes(), &1_u32.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    let rows = [row(256, width), row(257, height), row(273, 8), row(279, strip)].concat();
    [&b"II*\0\x08\0\0\0\x04\0"[..], &rows, &next.to_le_bytes()].concat()
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

/// A real PNG of white pixels with transparency, 8 bits each.
pub(crate) fn white_png(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let pixels = vec![255; width as usize * height as usize * 4];
    codecs::png::PngEncoder::new(&mut file)
        .write_image(&pixels, width, height, ExtendedColorType::Rgba8)
        .unwrap();
    file
}
