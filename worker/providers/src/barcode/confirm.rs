//! Doubts what a single line across a picture said.
//!
//! Bars without a strong checksum can be seen in any pattern, and a line that leaves a code through its long side reads
//! a part of it. So the line is walked again a little above and below: what is really printed there says the same.

use rxing::{
    BarcodeFormat, BinaryBitmap, DecodeHints, Luma8LuminanceSource, Point, RXingResult, Reader,
    common::GlobalHistogramBinarizer, oned::MultiFormatOneDReader,
};

use super::gray::Gray;

/// How far beside the line it is walked again, in pixels.
const BESIDE: [f32; 10] = [-16.0, -12.0, -9.0, -6.0, -3.0, 3.0, 6.0, 9.0, 12.0, 16.0];
/// How many of these must agree.
const AGREEING: usize = 2;
/// Shades across the line that are averaged, so that noise does not hide what is there.
const ACROSS: [f32; 5] = [-2.0, -1.0, 0.0, 1.0, 2.0];
/// Rows of the strip that is made of a line.
const ROWS: usize = 3;

/// Whether enough lines beside the one of this result say the same.
pub(super) fn is_said_twice(gray: &Gray, result: &RXingResult, hints: &DecodeHints) -> bool {
    let [first, .., last] = result.getPoints() else { return false };
    let agree = |beside: &&f32| said(gray, *first, *last, **beside, hints).as_ref() == Some(&of(result));
    BESIDE.iter().filter(agree).take(AGREEING).count() == AGREEING
}

fn of(result: &RXingResult) -> (BarcodeFormat, String) {
    (*result.getBarcodeFormat(), result.getText().to_owned())
}

/// What the line beside this one says, from one edge of the picture to the other: the library's points may lie in the
/// middle of a code.
fn said(
    gray: &Gray,
    from: Point,
    to: Point,
    beside: f32,
    hints: &DecodeHints,
) -> Option<(BarcodeFormat, String)> {
    let (along_x, along_y) = (to.x - from.x, to.y - from.y);
    let length = along_x.hypot(along_y);
    if length < 1.0 {
        return None;
    }
    let (along_x, along_y) = (along_x / length, along_y / length);
    let far = (gray.width as f32).hypot(gray.height as f32).ceil() as i32;
    let shade = |step: i32| {
        let (x, y) = (from.x + along_x * step as f32, from.y + along_y * step as f32);
        let across = |away: f32| gray.at(x - along_y * away, y + along_x * away).map(u32::from);
        let shades: Vec<u32> = ACROSS.iter().filter_map(|away| across(beside + away)).collect();
        shades.iter().sum::<u32>().checked_div(shades.len() as u32).map(|shade| shade as u8)
    };
    // What lies outside the picture is left out: paper that is whiter than the picture's own would only mislead.
    let row: Vec<u8> = (-far..far).filter_map(shade).collect();
    let strip = Luma8LuminanceSource::new(row.repeat(ROWS), row.len() as u32, ROWS as u32).ok()?;
    let mut bitmap = BinaryBitmap::new(GlobalHistogramBinarizer::new(strip));
    let result = MultiFormatOneDReader::new(hints).decode_with_hints(&mut bitmap, hints).ok()?;
    Some(of(&result))
}
