//! A picture as it came: looked at, never decoded.
//!
//! The format is found in the bytes, not in a name. Headers and the chain of blocks tell how large it would be when
//! decoded, whether it moves and whether it is whole, so that bombs and torsos are refused before anybody unpacks or
//! pays for them. What is read from here on takes a [`Picture`], and so cannot forget to look. The file stays where it is:
//! however large it is, little of it is in memory at a time.

mod bitmaps;
mod chunks;
mod jpeg;
mod numbers;
mod sniff;
mod tiff;

use std::fmt;

use tokio::task::spawn_blocking;

use crate::{
    content::{Content, Window},
    error::TOO_LARGE,
};

/// Largest picture, in bytes: what Vision takes (<https://cloud.google.com/vision/quotas>).
pub const MOST_BYTES: usize = 20_000_000;
/// Most pixels: what Vision takes.
pub const MOST_PIXELS: u64 = 75_000_000;

/// The formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// GIF of one frame.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// WebP.
    Webp,
    /// TIFF of one page.
    Tiff,
    /// Windows icon.
    Ico,
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Gif => "GIF",
            Self::Bmp => "BMP",
            Self::Webp => "WebP",
            Self::Tiff => "TIFF",
            Self::Ico => "ICO",
        })
    }
}

/// A picture that cannot be read. But for [`Self::Unread`], sending it again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPicture {
    /// There is nothing in it.
    #[error("the picture is an empty file; upload it again")]
    Empty,
    /// Too many bytes.
    #[error("the picture has {0} bytes, more than the {MOST_BYTES} that are read; make it smaller")]
    TooLarge(u64),
    /// It is something else, whatever its name says.
    #[error(
        "the file is {0}, whatever its name says; use a picture in JPEG, PNG, GIF, BMP, WebP, TIFF or ICO"
    )]
    NotAPicture(&'static str),
    /// A PDF that asks for a password.
    #[error("the file is an encrypted PDF; take off its password and export the page as PNG or JPEG")]
    EncryptedPdf,
    /// A PDF.
    #[error("the file is a PDF, which has pages instead of pixels; export the page as PNG or JPEG")]
    Pdf,
    /// It ends too early.
    #[error("the {0} is cut off: its end is missing; upload it again")]
    Truncated(Format),
    /// Its header makes no sense.
    #[error("the header of the {0} makes no sense; save the picture again")]
    BadHeader(Format),
    /// It would be too large when decoded.
    #[error(
        "the picture has {width} x {height} pixels, more than the 75 million that are read; make it smaller"
    )]
    TooManyPixels {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// It has more than one frame or page.
    #[error("the {0} has several frames or pages, and nobody says which to read; send one of them alone")]
    Several(Format),
    /// The disk does not give it back.
    #[error("the picture lies on a disk that could not be read; the job is repeated later")]
    Unread,
}

impl BadPicture {
    /// A word for records.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLarge(_) => TOO_LARGE,
            Self::NotAPicture(_) => "format",
            Self::EncryptedPdf => "encrypted_pdf",
            Self::Pdf => "pdf",
            Self::Truncated(_) => "truncated",
            Self::BadHeader(_) => "bad_header",
            Self::TooManyPixels { .. } => "too_many_pixels",
            Self::Several(_) => "several_frames",
            Self::Unread => "disk",
        }
    }
}

/// A whole picture of a known format and a size that can be decoded.
#[derive(Clone)]
pub struct Picture {
    content: Content,
    format: Format,
    header: Header,
}

impl fmt::Debug for Picture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Header { width, height, .. } = self.header;
        write!(formatter, "{} of {width} x {height} in {} bytes", self.format, self.content.length())
    }
}

/// What a header says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Header {
    width: u32,
    height: u32,
    /// Memory that a decoder needs for each pixel, in bytes, its own tables included.
    bytes_per_pixel: u64,
    /// More than one frame or page.
    several: bool,
    /// The last block is there.
    whole: bool,
    /// How much of the file its decoder keeps in memory, in bytes: pixels that it does not unpack as it reads, and data
    /// beside them that it gathers.
    at_once: u64,
    /// Its strips or tiles are JPEGs: what is in them may be of any size, whatever the directory says.
    of_jpegs: bool,
}

impl Picture {
    /// Looks at a file where that keeps nobody waiting.
    ///
    /// # Errors
    /// See [`BadPicture`].
    pub async fn open(content: Content) -> Result<Self, BadPicture> {
        // A look that never came to its end says nothing of the picture.
        spawn_blocking(move || Self::look_at(content)).await.unwrap_or(Err(BadPicture::Unread))
    }

    /// Looks at a file: walks through all of it, so call it where that may take a moment.
    ///
    /// # Errors
    /// See [`BadPicture`].
    pub fn look_at(content: impl Into<Content>) -> Result<Self, BadPicture> {
        let content = content.into();
        if content.length() == 0 {
            return Err(BadPicture::Empty);
        }
        if (MOST_BYTES as u64) < content.length() {
            return Err(BadPicture::TooLarge(content.length()));
        }
        let file = Window::new(content.clone());
        let looked = look_through(&file);
        // What was judged without all of its bytes was not judged.
        if file.trouble().is_some() {
            return Err(BadPicture::Unread);
        }
        let (format, header) = looked?;
        Ok(Self { content, format, header })
    }

    /// The file.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Its format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Pixels in all.
    pub fn pixels(&self) -> u64 {
        u64::from(self.header.width) * u64::from(self.header.height)
    }

    /// Memory that decoding takes, in bytes.
    pub fn decoded_bytes(&self) -> u64 {
        self.pixels() * self.header.bytes_per_pixel
    }

    /// How much of the file decoding keeps in memory at once, in bytes.
    pub fn bytes_at_once(&self) -> u64 {
        self.header.at_once
    }

    /// True for a TIFF whose pixels are JPEGs: what is in it may be of any size, whatever its header says.
    pub(crate) fn is_tiff_of_jpegs(&self) -> bool {
        self.header.of_jpegs
    }

    /// Reads the file, to decode it.
    pub(crate) fn window(&self) -> Window {
        Window::new(self.content.clone())
    }
}

fn look_through(file: &Window) -> Result<(Format, Header), BadPicture> {
    let format = sniff::format(file)?;
    let header = match format {
        Format::Jpeg => jpeg::header(file),
        Format::Png => chunks::png(file),
        Format::Gif => chunks::gif(file),
        Format::Webp => chunks::webp(file),
        Format::Tiff => tiff::header(file),
        Format::Bmp => bitmaps::bmp(file),
        Format::Ico => bitmaps::ico(file),
    };
    // A header that cannot be read to its end is cut off like any other block.
    let header = header.ok_or(BadPicture::Truncated(format))?;
    judge(format, header)?;
    Ok((format, header))
}

/// Whether a picture with this header is read. Pure.
fn judge(format: Format, header: Header) -> Result<(), BadPicture> {
    let Header { width, height, several, whole, .. } = header;
    if width == 0 || height == 0 {
        return Err(BadPicture::BadHeader(format));
    }
    if MOST_PIXELS < u64::from(width) * u64::from(height) {
        return Err(BadPicture::TooManyPixels { width, height });
    }
    if several {
        return Err(BadPicture::Several(format));
    }
    if whole { Ok(()) } else { Err(BadPicture::Truncated(format)) }
}
