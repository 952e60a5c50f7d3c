//! Barcodes on a picture, read in this process: no call, no cost, no account.
//!
//! Decoding takes memory and a whole core, so it runs on threads for blocking work, and only so many bytes of pictures
//! are decoded at a time; the others wait in line without holding a thread. `unpack` decodes a picture, `gray` makes it
//! smaller, `scan` looks at it from several angles, `confirm` doubts what a single line said, `check_digit` computes.

mod check_digit;
mod confirm;
mod gray;
mod scan;
mod unpack;

use std::{fmt, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::sync::Semaphore;

pub use self::check_digit::CheckDigit;
use self::{gray::Gray, unpack::Failed};
use crate::{
    ErrorClass, ProviderError,
    picture::{BadPicture, Picture},
};

/// The name of this reader in errors.
pub const PROVIDER: &str = "barcode";
/// Memory for pictures that are being decoded, in all, in MiB.
pub const MEMORY_MIB: u32 = 512;
/// Most of a file that is held in memory besides, in MiB: what its decoder does not read little by little.
pub const MOST_AT_ONCE_MIB: u64 = 8;
const DECODE: &str = "decode";
/// One pass over the largest search takes about two seconds; there may be seven.
const LONG_ENOUGH: Duration = Duration::from_secs(8);
const MIB: u64 = 1024 * 1024;

/// The kinds of barcode that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Symbology {
    /// EAN-8.
    #[serde(rename = "ean_8")]
    Ean8,
    /// EAN-13.
    #[serde(rename = "ean_13")]
    Ean13,
    /// UPC-A.
    UpcA,
    /// UPC-E.
    UpcE,
    /// Code 39.
    #[serde(rename = "code_39")]
    Code39,
    /// Code 93.
    #[serde(rename = "code_93")]
    Code93,
    /// Code 128.
    #[serde(rename = "code_128")]
    Code128,
    /// Interleaved 2 of 5, ITF-14 included.
    Itf,
    /// QR code.
    QrCode,
    /// Data Matrix.
    DataMatrix,
    /// PDF417.
    Pdf417,
    /// Aztec.
    Aztec,
}

/// One code. The same code twice on a picture is told once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Barcode {
    /// Its kind.
    pub symbology: Symbology,
    /// What it says; numbers with their check digit.
    pub text: String,
    /// What its check digit says.
    pub check_digit: CheckDigit,
}

// What a code says may be somebody's ticket or address.
impl fmt::Debug for Barcode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} of {} characters", self.symbology, self.text.chars().count())
    }
}

impl Barcode {
    fn new(symbology: Symbology, text: String) -> Self {
        let check_digit = check_digit::of(symbology, &text);
        Self { symbology, text, check_digit }
    }
}

/// Why a picture was not searched.
#[derive(Debug, thiserror::Error)]
pub enum Unsearched {
    /// It cannot be decoded, or takes too much memory. Searching it again changes nothing.
    #[error(transparent)]
    Refused(#[from] ProviderError),
    /// It could not be read.
    #[error(transparent)]
    Picture(#[from] BadPicture),
}

/// Reads barcodes with a bound on memory and threads. Cheap to clone; clones share the bound.
#[derive(Debug, Clone)]
pub struct BarcodeReader {
    /// One permit is one MiB.
    memory: Arc<Semaphore>,
    /// What even a small picture takes, so that no more are decoded at a time than there are cores.
    share: u32,
    /// After this long no further pass over a picture begins.
    long_enough: Duration,
}

impl BarcodeReader {
    /// At most `cores` pictures at a time.
    pub fn new(cores: usize) -> Self {
        let cores = u32::try_from(cores.max(1)).unwrap_or(u32::MAX).min(MEMORY_MIB);
        Self {
            memory: Arc::new(Semaphore::new(MEMORY_MIB as usize)),
            share: MEMORY_MIB / cores,
            long_enough: LONG_ENOUGH,
        }
    }

    /// Looks at a picture for longer, on a machine that is busy with other things.
    #[must_use]
    pub fn patient(self, long_enough: Duration) -> Self {
        Self { long_enough, ..self }
    }

    /// The codes on a picture, sorted; none is no error.
    ///
    /// # Errors
    /// See [`Unsearched`].
    pub async fn read(&self, picture: Picture) -> Result<Vec<Barcode>, Unsearched> {
        let needed = u32::try_from(picture.decoded_bytes().div_ceil(MIB)).unwrap_or(u32::MAX);
        if MEMORY_MIB < needed {
            return Err(too_much_memory(needed).into());
        }
        if MOST_AT_ONCE_MIB * MIB < picture.bytes_at_once() {
            return Err(too_much_at_once(&picture).into());
        }
        let (memory, long_enough) = (Arc::clone(&self.memory), self.long_enough);
        // The semaphore is never closed, so there is always a permit in the end.
        let permit = memory.acquire_many_owned(needed.max(self.share)).await.ok();
        let decoding = tokio::task::spawn_blocking(move || {
            // The permit goes with the thread: a job that is given up leaves it working, and its memory taken.
            let _permit = permit;
            let gray = gray(&picture)?;
            drop(picture);
            Ok(scan::all(&gray, long_enough))
        });
        decoding.await.unwrap_or_else(|_| Err(undecodable().into()))
    }
}

/// The shades of a picture, when nothing is left of its pixels.
fn gray(picture: &Picture) -> Result<Gray, Unsearched> {
    match unpack::pixels(picture) {
        Ok(unpacked) => Ok(gray::of(&unpacked).ok_or_else(undecodable)?),
        Err(Failed::NotUnpacked(kind)) => Err(not_searched(kind).into()),
        Err(Failed::NotAsPromised) => Err(undecodable().into()),
        Err(Failed::Damaged(error)) => Err(undecodable().with_source(error).into()),
        Err(Failed::Unread) => Err(BadPicture::Unread.into()),
    }
}

fn too_much_memory(needed: u32) -> ProviderError {
    let message = format!(
        "Decoding the picture takes {needed} MiB, more than the {MEMORY_MIB} that are spent on it; make it smaller, \
         or save it with 8 bits per colour and not progressive."
    );
    ProviderError::new(PROVIDER, DECODE, ErrorClass::Permanent, message).with_code("too_large_decoded")
}

fn too_much_at_once(picture: &Picture) -> ProviderError {
    let (format, needed) = (picture.format(), picture.bytes_at_once().div_ceil(MIB));
    let message = format!(
        "Decoding the {format} takes {needed} MiB of the file at once, more than the {MOST_AT_ONCE_MIB} that are held in \
         memory; save it as PNG or JPEG without metadata, or make it smaller."
    );
    ProviderError::new(PROVIDER, DECODE, ErrorClass::Permanent, message).with_code("too_large_at_once")
}

fn not_searched(kind: &str) -> ProviderError {
    let message = format!("{kind} are not searched for barcodes; save the picture as PNG or JPEG.");
    ProviderError::new(PROVIDER, DECODE, ErrorClass::Permanent, message).with_code("format")
}

fn undecodable() -> ProviderError {
    let message = "The picture cannot be decoded, although its header looks right; save it again.";
    ProviderError::new(PROVIDER, DECODE, ErrorClass::Permanent, message).with_code("undecodable")
}
