//! The pixels of a picture. The only place where they are decoded.
//!
//! The file is read as it is unpacked, so only its pixels are in memory, with what `picture` says that a decoder keeps
//! besides. What the decoder is about to write is compared with what the header promised, so a file that lies about itself
//! fails instead of growing.

use std::{error::Error, io::Seek};

use image::{
    ColorType, ImageDecoder,
    codecs::{bmp::BmpDecoder, gif::GifDecoder, tiff::TiffDecoder, webp::WebPDecoder},
};
use png::{BitDepth, Transformations};
use zune_jpeg::{
    JpegDecoder,
    zune_core::{colorspace::ColorSpace, options::DecoderOptions},
};

use crate::{
    content::Window,
    picture::{Format, Picture},
};

/// Pixels row by row; samples of 16 bits are in the order of this machine.
pub(super) struct Unpacked {
    pub(super) pixels: Vec<u8>,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) color: ColorType,
}

/// Why there are no pixels.
pub(super) enum Failed {
    /// Pictures of this kind are not unpacked.
    NotUnpacked(&'static str),
    /// The file is not what its header promised.
    NotAsPromised,
    /// A decoder gave up. Its words may quote the file; they are for the log of whoever looks into it.
    Damaged(Box<dyn Error + Send + Sync>),
    /// The disk did not give the file.
    Unread,
}

fn damaged(error: impl Into<Box<dyn Error + Send + Sync>>) -> Failed {
    Failed::Damaged(error.into())
}

/// Unpacks a picture.
pub(super) fn pixels(picture: &Picture) -> Result<Unpacked, Failed> {
    let mut file = picture.window();
    let unpacked = match picture.format() {
        Format::Jpeg => jpeg(&mut file, picture),
        Format::Png => png(&mut file, picture),
        Format::Gif => decoded(GifDecoder::new(&mut file), picture),
        Format::Bmp => decoded(BmpDecoder::new(&mut file), picture),
        Format::Webp => decoded(WebPDecoder::new(&mut file), picture),
        // The decoder unpacks each JPEG to the size that is written in it.
        Format::Tiff if picture.is_tiff_of_jpegs() => {
            return Err(Failed::NotUnpacked("TIFFs packed as JPEG"));
        }
        Format::Tiff => decoded(TiffDecoder::new(&mut file), picture),
        Format::Ico => return Err(Failed::NotUnpacked("Icons")),
    };
    // Decoders make something of a file that ends early, and what they make of it was not on the picture.
    if file.trouble().is_some() { Err(Failed::Unread) } else { unpacked }
}

fn decoded<D: ImageDecoder>(decoder: image::ImageResult<D>, picture: &Picture) -> Result<Unpacked, Failed> {
    let decoder = decoder.map_err(damaged)?;
    let mut room = room(decoder.dimensions(), decoder.color_type(), picture)?;
    decoder.read_image(&mut room.pixels).map_err(damaged)?;
    Ok(room)
}

/// Room for the pixels, where they are what the header promised.
fn room((width, height): (u32, u32), color: ColorType, picture: &Picture) -> Result<Unpacked, Failed> {
    let pixels = u64::from(width) * u64::from(height);
    let length = pixels * u64::from(color.bytes_per_pixel());
    if picture.pixels() != pixels || picture.decoded_bytes() < length {
        return Err(Failed::NotAsPromised);
    }
    Ok(Unpacked { pixels: vec![0; length as usize], width, height, color })
}

/// By the decoder that `image` wraps, which gives it all of the file at once.
fn jpeg(file: &mut Window, picture: &Picture) -> Result<Unpacked, Failed> {
    let options =
        DecoderOptions::default().set_strict_mode(false).set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut header = JpegDecoder::new_with_options(&mut *file, options);
    header.decode_headers().map_err(damaged)?;
    let (size, from) = (header.dimensions(), header.input_colorspace());
    let (Some((width, height)), Some(from)) = (size, from) else { return Err(Failed::NotAsPromised) };
    let (to, color) = match from {
        ColorSpace::Luma => (from, ColorType::L8),
        ColorSpace::LumaA => (from, ColorType::La8),
        ColorSpace::RGBA => (from, ColorType::Rgba8),
        _ => (ColorSpace::RGB, ColorType::Rgb8),
    };
    // Sides have 16 bits.
    let mut room = room((width as u32, height as u32), color, picture)?;
    // It has gathered the metadata, which the next one gathers, too.
    drop(header);
    file.rewind().map_err(damaged)?;
    let mut decoder = JpegDecoder::new_with_options(file, options.jpeg_set_out_colorspace(to));
    decoder.decode_into(&mut room.pixels).map_err(damaged)?;
    Ok(room)
}

/// By the decoder that `image` wraps, which would gather every text and unpack every profile on the way to the pixels.
fn png(file: &mut Window, picture: &Picture) -> Result<Unpacked, Failed> {
    let mut decoder = png::Decoder::new_with_limits(file, png::Limits { bytes: usize::MAX });
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(damaged)?;
    let (color, depth) = reader.output_color_type();
    let color = match (color, depth) {
        (png::ColorType::Grayscale, BitDepth::Eight) => ColorType::L8,
        (png::ColorType::Grayscale, BitDepth::Sixteen) => ColorType::L16,
        (png::ColorType::GrayscaleAlpha, BitDepth::Eight) => ColorType::La8,
        (png::ColorType::GrayscaleAlpha, BitDepth::Sixteen) => ColorType::La16,
        (png::ColorType::Rgb, BitDepth::Eight) => ColorType::Rgb8,
        (png::ColorType::Rgb, BitDepth::Sixteen) => ColorType::Rgb16,
        (png::ColorType::Rgba, BitDepth::Eight) => ColorType::Rgba8,
        (png::ColorType::Rgba, BitDepth::Sixteen) => ColorType::Rgba16,
        _ => return Err(Failed::NotAsPromised),
    };
    let mut room = room(reader.info().size(), color, picture)?;
    reader.next_frame(&mut room.pixels).map_err(damaged)?;
    if depth == BitDepth::Sixteen {
        for sample in room.pixels.chunks_exact_mut(2) {
            sample.copy_from_slice(&u16::from_be_bytes([sample[0], sample[1]]).to_ne_bytes());
        }
    }
    Ok(room)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use image::{DynamicImage, ImageFormat};

    use super::*;
    use crate::content::Content;

    const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/ocr");

    /// What `image` makes of a whole file in memory, and what is made here of the same in memory and on the disk.
    fn all_ways(file: &Path) -> [(ColorType, u32, u32, Vec<u8>); 3] {
        let image = image::load_from_memory(&fs::read(file).unwrap()).unwrap();
        let held = Content::from(fs::read(file).unwrap());
        let on_disk = Content::of_file(fs::File::open(file).unwrap()).unwrap();
        let [held, on_disk] = [held, on_disk].map(|content| {
            let Ok(made) = pixels(&Picture::look_at(content).unwrap()) else { panic!("{}", file.display()) };
            (made.color, made.width, made.height, made.pixels)
        });
        [(image.color(), image.width(), image.height(), image.into_bytes()), held, on_disk]
    }

    #[test]
    fn the_pixels_of_every_labelled_picture_are_those_that_image_makes_of_it() {
        let files =
            ["barcodes", "tags"].map(|folder| fs::read_dir(Path::new(FIXTURES).join(folder)).unwrap());
        for file in files.into_iter().flatten() {
            let path = file.unwrap().path();

            let [expected, held, on_disk] = all_ways(&path);

            assert!(held == expected && on_disk == expected, "{}", path.display());
        }
    }

    #[test]
    fn every_kind_of_pixel_is_the_one_that_image_makes() {
        let image = DynamicImage::ImageRgba8(image::RgbaImage::from_fn(70, 50, |x, y| {
            image::Rgba([x as u8 * 3, y as u8 * 5, (x * y) as u8, 255 - x as u8])
        }));
        let folder = tempfile::tempdir().unwrap();
        let kinds = [
            ("png", image.clone()),
            ("png", DynamicImage::ImageRgba16(image.to_rgba16())),
            ("png", DynamicImage::ImageRgb16(image.to_rgb16())),
            ("png", DynamicImage::ImageLumaA16(image.to_luma_alpha16())),
            ("png", DynamicImage::ImageLuma16(image.to_luma16())),
            ("png", DynamicImage::ImageLumaA8(image.to_luma_alpha8())),
            ("png", DynamicImage::ImageLuma8(image.to_luma8())),
            ("jpeg", DynamicImage::ImageRgb8(image.to_rgb8())),
            ("jpeg", DynamicImage::ImageLuma8(image.to_luma8())),
        ];
        for (format, image) in kinds {
            let path = folder.path().join("picture").with_extension(format);
            image.save_with_format(&path, ImageFormat::from_extension(format).unwrap()).unwrap();

            let [expected, held, on_disk] = all_ways(&path);

            assert_eq!(expected.0, image.color());
            assert!(held == expected && on_disk == expected, "{format} of {:?}", image.color());
        }
    }
}
