//! A picture as shades of gray, made smaller to one size that is quick to search.

use image::ColorType;

use super::unpack::Unpacked;

/// Pixels that are searched. A code fills a good part of a photo, so a phone's 12 million say no more than 3 do.
const MOST_SEARCHED: u64 = 4_000_000;

/// Longest side that is searched: the library counts runs of pixels in 16 bits.
const LONGEST_SEARCHED: u64 = 32_000;
/// Most pixels of a turned picture, its new corners included.
const MOST_TURNED: f32 = 12_000_000.0;

/// Shades from 0 (black) to 255 (white), row by row.
#[derive(Debug, Clone)]
pub(super) struct Gray {
    pub(super) pixels: Vec<u8>,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// Makes shades of a picture. `None` for colours that nobody prints.
pub(super) fn of(unpacked: &Unpacked) -> Option<Gray> {
    let Unpacked { pixels, width, height, color } = unpacked;
    let shade = shade_of(*color)?;
    Some(smaller(pixels, *width, *height, usize::from(color.bytes_per_pixel()), shade))
}

/// How a pixel of a decoder becomes a shade.
fn shade_of(color: ColorType) -> Option<fn(&[u8]) -> u8> {
    Some(match color {
        ColorType::L8 => |pixel| pixel[0],
        ColorType::La8 => |pixel| on_paper(pixel[0], pixel[1]),
        ColorType::Rgb8 => |pixel| luma(pixel[0], pixel[1], pixel[2]),
        ColorType::Rgba8 => |pixel| on_paper(luma(pixel[0], pixel[1], pixel[2]), pixel[3]),
        ColorType::L16 => |pixel| high(pixel, 0),
        ColorType::La16 => |pixel| on_paper(high(pixel, 0), high(pixel, 1)),
        ColorType::Rgb16 => |pixel| luma(high(pixel, 0), high(pixel, 1), high(pixel, 2)),
        ColorType::Rgba16 => {
            |pixel| on_paper(luma(high(pixel, 0), high(pixel, 1), high(pixel, 2)), high(pixel, 3))
        }
        _ => return None,
    })
}

/// The upper half of a sample of 16 bits, which is in the order of this machine.
fn high(pixel: &[u8], at: usize) -> u8 {
    (u16::from_ne_bytes([pixel[2 * at], pixel[2 * at + 1]]) >> 8) as u8
}

/// How bright a colour looks (ITU-R BT.601).
fn luma(red: u8, green: u8, blue: u8) -> u8 {
    ((299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue)) / 1_000) as u8
}

/// What is see-through lies on white paper: codes are often drawn black on nothing.
fn on_paper(shade: u8, opacity: u8) -> u8 {
    let opacity = u32::from(opacity);
    ((u32::from(shade) * opacity + 255 * (255 - opacity)) / 255) as u8
}

/// Averages squares of pixels until few enough are left.
fn smaller(pixels: &[u8], width: u32, height: u32, bytes: usize, shade: fn(&[u8]) -> u8) -> Gray {
    let all = u64::from(width) * u64::from(height);
    let times = all.div_ceil(MOST_SEARCHED);
    let root = times.isqrt();
    let by_area = if root * root < times { root + 1 } else { root };
    let by_length = u64::from(width.max(height)).div_ceil(LONGEST_SEARCHED);
    let side = by_area.max(by_length).max(1) as usize;
    // A picture of one line is not as high as a square.
    let (wide, tall) = (side.min(width as usize), side.min(height as usize));
    let (across, down) = (width as usize / wide, height as usize / tall);
    let mut made = Vec::with_capacity(across * down);
    let row_bytes = width as usize * bytes;
    for rows in pixels.chunks_exact(row_bytes * tall) {
        let mut sums = vec![0; across];
        for row in rows.chunks_exact(row_bytes) {
            for (sum, square) in sums.iter_mut().zip(row.chunks_exact(wide * bytes)) {
                *sum += square.chunks_exact(bytes).map(|pixel| u32::from(shade(pixel))).sum::<u32>();
            }
        }
        made.extend(sums.into_iter().map(|sum| (sum / (wide * tall) as u32) as u8));
    }
    Gray { pixels: made, width: across as u32, height: down as u32 }
}

impl Gray {
    /// Half as wide and half as high; `None` when it is small already.
    pub(super) fn halved(&self) -> Option<Self> {
        let (width, height) = (self.width as usize / 2, self.height as usize / 2);
        let row = self.width as usize;
        let of = |x: usize, y: usize| u32::from(self.pixels[y * row + x]);
        let square = |x: usize, y: usize| of(x, y) + of(x + 1, y) + of(x, y + 1) + of(x + 1, y + 1);
        let shades = (0..height)
            .flat_map(|y| (0..width).map(move |x| (square(2 * x, 2 * y) / 4) as u8).collect::<Vec<_>>());
        (200 <= width.max(height) && 0 < width.min(height)).then(|| Self {
            pixels: shades.collect(),
            width: width as u32,
            height: height as u32,
        })
    }

    /// The shade at a place between pixels; `None` outside.
    pub(super) fn at(&self, x: f32, y: f32) -> Option<u8> {
        let (left, top) = (x.floor(), y.floor());
        let inside =
            0.0 <= left && 0.0 <= top && left + 1.0 < self.width as f32 && top + 1.0 < self.height as f32;
        if !inside {
            return None;
        }
        let (row, first) = (self.width as usize, top as usize * self.width as usize + left as usize);
        let (across, down) = (x - left, y - top);
        let mix =
            |first: u8, second: u8, part: f32| f32::from(first).mul_add(1.0 - part, f32::from(second) * part);
        let upper = mix(self.pixels[first], self.pixels[first + 1], across);
        let lower = mix(self.pixels[first + row], self.pixels[first + row + 1], across);
        Some(upper.mul_add(1.0 - down, lower * down) as u8)
    }

    /// Turned by this angle, on white paper. `None` for a picture so long and narrow that the paper would be far larger than
    /// itself.
    pub(super) fn turned(&self, degrees: f32) -> Option<Self> {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let (width, height) = (self.width as f32, self.height as f32);
        let across = width.mul_add(cos.abs(), height * sin.abs()).ceil();
        let down = width.mul_add(sin.abs(), height * cos.abs()).ceil();
        if MOST_TURNED < across * down {
            return None;
        }
        let shade = |x: u32, y: u32| {
            let (x, y) = (x as f32 - across / 2.0, y as f32 - down / 2.0);
            let shade = self.at(cos * x + sin * y + width / 2.0, cos * y - sin * x + height / 2.0);
            shade.unwrap_or(u8::MAX)
        };
        let (across_px, down_px) = (across as u32, down as u32);
        let pixels = (0..down_px).flat_map(|y| (0..across_px).map(move |x| (x, y))).map(|(x, y)| shade(x, y));
        Some(Self { pixels: pixels.collect(), width: across_px, height: down_px })
    }
}
