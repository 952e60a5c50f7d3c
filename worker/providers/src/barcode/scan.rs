//! Looks at a picture as it is, smaller, and turned.
//!
//! Several codes on a picture may lie at several angles, so it is turned although something was found; but then less often,
//! and only for the kinds that are not found at any angle. Each kind of reader has a pass of its own, because the library goes on
//! beside the first code that it finds and would miss codes of another kind there. Codes of lines are confirmed; the others
//! carry error correction.

use std::{
    collections::{BTreeSet, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use rxing::{
    BarcodeFormat, BinaryBitmap, DecodeHints, Luma8Source, MultiUseMultiFormatReader, RXingResult,
    common::HybridBinarizer,
    multi::{GenericMultipleBarcodeReader, MultipleBarcodeReader},
};

use super::{Barcode, Symbology, check_digit, confirm, gray::Gray};

/// Turns in degrees; the library itself tries a quarter turn. With the first two every code is within 15 degrees of some
/// look, which is near enough for most.
const TURNS: [f32; 5] = [30.0, 60.0, 15.0, 45.0, 75.0];
/// The first of them are tried although something was found, the others only while nothing was.
const ALWAYS: usize = 2;
/// Fewest digits of an interleaved code: shorter ones are seen in any pattern.
const ITF_LENGTHS: [u32; 10] = [6, 8, 10, 12, 14, 16, 18, 20, 22, 24];

/// A picture that is narrower holds no code.
const NARROWEST: u32 = 10;

const LINES: [(BarcodeFormat, Symbology); 8] = [
    (BarcodeFormat::EAN_8, Symbology::Ean8),
    (BarcodeFormat::EAN_13, Symbology::Ean13),
    (BarcodeFormat::UPC_A, Symbology::UpcA),
    (BarcodeFormat::UPC_E, Symbology::UpcE),
    (BarcodeFormat::CODE_39, Symbology::Code39),
    (BarcodeFormat::CODE_93, Symbology::Code93),
    (BarcodeFormat::CODE_128, Symbology::Code128),
    (BarcodeFormat::ITF, Symbology::Itf),
];
/// What is found however it is turned.
const AT_ANY_ANGLE: [(BarcodeFormat, Symbology); 2] =
    [(BarcodeFormat::QR_CODE, Symbology::QrCode), (BarcodeFormat::DATA_MATRIX, Symbology::DataMatrix)];
/// What must lie about straight.
const STRAIGHT: [(BarcodeFormat, Symbology); 2] =
    [(BarcodeFormat::PDF_417, Symbology::Pdf417), (BarcodeFormat::AZTEC, Symbology::Aztec)];

/// Every code that is found, each once, sorted. After `long_enough` no further pass begins.
pub(super) fn all(gray: &Gray, long_enough: Duration) -> Vec<Barcode> {
    if gray.width.min(gray.height) < NARROWEST {
        return Vec::new();
    }
    let began = Instant::now();
    let mut found = once(gray, true);
    if let (true, Some(smaller)) = (found.is_empty(), gray.halved()) {
        found = once(&smaller, true);
    }
    for (at, degrees) in TURNS.into_iter().enumerate() {
        if (ALWAYS <= at && !found.is_empty()) || long_enough < began.elapsed() {
            break;
        }
        if let Some(turned) = gray.turned(degrees) {
            let all_kinds = found.is_empty();
            found.extend(once(&turned, all_kinds));
        }
    }
    found.into_iter().collect()
}

/// One look from one side: for all kinds, or for those that another look has not found at any angle.
fn once(gray: &Gray, all_kinds: bool) -> BTreeSet<Barcode> {
    let lines = DecodeHints { AllowedLengths: Some(ITF_LENGTHS.to_vec()), ..hints(&LINES) };
    let mut found: BTreeSet<Barcode> = decode(gray, &lines)
        .iter()
        .filter(|result| confirm::is_said_twice(gray, result, &lines))
        .filter_map(barcode)
        .filter(|code| {
            code.symbology != Symbology::Itf || code.check_digit != check_digit::CheckDigit::Invalid
        })
        .collect();
    let at_any_angle: &[_] = if all_kinds { &AT_ANY_ANGLE } else { &[] };
    for kind in at_any_angle.iter().chain(&STRAIGHT) {
        found.extend(decode(gray, &hints(std::slice::from_ref(kind))).iter().filter_map(barcode));
    }
    found
}

fn hints(kinds: &[(BarcodeFormat, Symbology)]) -> DecodeHints {
    let formats: HashSet<BarcodeFormat> = kinds.iter().map(|(format, _)| *format).collect();
    DecodeHints { TryHarder: Some(true), PossibleFormats: Some(formats), ..DecodeHints::default() }
}

fn decode(gray: &Gray, hints: &DecodeHints) -> Vec<RXingResult> {
    let Ok(source) = Luma8Source::new_with_slice(&gray.pixels, gray.width, gray.height) else {
        return Vec::new();
    };
    let search = || {
        let mut reader = GenericMultipleBarcodeReader::new(MultiUseMultiFormatReader::default());
        let mut bitmap = BinaryBitmap::new(HybridBinarizer::new(source));
        reader.decode_multiple_with_hints(&mut bitmap, hints)
    };
    // Nothing found is an error to the library, and where its own arithmetic breaks nothing was found either: other
    // passes may find what this one did not, and nothing of it is left behind.
    catch_unwind(AssertUnwindSafe(search)).ok().and_then(Result::ok).unwrap_or_default()
}

fn barcode(result: &RXingResult) -> Option<Barcode> {
    let mut kinds = LINES.iter().chain(&AT_ANY_ANGLE).chain(&STRAIGHT);
    let (_, symbology) = kinds.find(|(format, _)| format == result.getBarcodeFormat())?;
    Some(Barcode::new(*symbology, result.getText().to_owned()))
}
