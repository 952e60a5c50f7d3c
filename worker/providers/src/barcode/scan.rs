//! Looks at a picture until its codes are found: as it is, smaller, and turned.
//!
//! Each kind of reader has a pass of its own, because the library goes on beside the first code that it finds and would
//! miss codes of another kind there. Codes of lines are confirmed; the others carry error correction.

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

/// Turns that are tried when nothing was found; the library itself tries a quarter turn.
const TURNS: [f32; 5] = [15.0, 30.0, 45.0, 60.0, 75.0];
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
const SQUARES: [(BarcodeFormat, Symbology); 4] = [
    (BarcodeFormat::QR_CODE, Symbology::QrCode),
    (BarcodeFormat::DATA_MATRIX, Symbology::DataMatrix),
    (BarcodeFormat::PDF_417, Symbology::Pdf417),
    (BarcodeFormat::AZTEC, Symbology::Aztec),
];

/// Every code that is found, each once, sorted. After `long_enough` no further pass begins.
pub(super) fn all(gray: &Gray, long_enough: Duration) -> Vec<Barcode> {
    if gray.width.min(gray.height) < NARROWEST {
        return Vec::new();
    }
    let began = Instant::now();
    let mut found = once(gray);
    let smaller = gray.halved();
    if let (true, Some(smaller)) = (found.is_empty(), &smaller) {
        found = once(smaller);
    }
    for degrees in TURNS {
        if !found.is_empty() || long_enough < began.elapsed() {
            break;
        }
        found = gray.turned(degrees).as_ref().map(once).unwrap_or_default();
    }
    found.into_iter().collect()
}

/// One look from one side.
fn once(gray: &Gray) -> BTreeSet<Barcode> {
    let lines = DecodeHints { AllowedLengths: Some(ITF_LENGTHS.to_vec()), ..hints(&LINES) };
    let mut found: BTreeSet<Barcode> = decode(gray, &lines)
        .iter()
        .filter(|result| confirm::is_said_twice(gray, result, &lines))
        .filter_map(barcode)
        .filter(|code| {
            code.symbology != Symbology::Itf || code.check_digit != check_digit::CheckDigit::Invalid
        })
        .collect();
    for kind in &SQUARES {
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
    let mut kinds = LINES.iter().chain(&SQUARES);
    let (_, symbology) = kinds.find(|(format, _)| format == result.getBarcodeFormat())?;
    Some(Barcode::new(*symbology, result.getText().to_owned()))
}
