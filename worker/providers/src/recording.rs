//! A recording as it came: looked at, never decoded.
//!
//! The format is found in the bytes, not in a name, and the length in the chain of packets, so that nobody uploads or
//! pays for a file that is cut off, has no sound or is longer than it may be. What is transcribed from here on takes a
//! [`Recording`], and so cannot forget to look. Turning other formats into these is for [`crate::ffmpeg`].

mod allowance;
mod length;
mod sniff;

use std::{fmt, time::Duration};

use self::allowance::MOST_MIB;
use crate::content::Content;

/// Beginning of a file in which its format is looked for, in bytes: three packets of a transport stream.
const START: usize = 3 * 188;

/// Shortest recording: the API refuses less ("Minimum audio length is 0.1 seconds").
pub const SHORTEST: Duration = Duration::from_millis(100);

/// A container of sound that the API takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioFormat {
    /// FLAC.
    Flac,
    /// MPEG-4 with sound alone.
    M4a,
    /// Audio of MPEG-1 or 2, layer 1 to 3, bare; `mpga` too.
    Mp3,
    /// MPEG-4, 3GP, `QuickTime`.
    Mp4,
    /// Program stream of MPEG-1 or 2.
    Mpeg,
    /// Ogg: Opus, Vorbis.
    Ogg,
    /// Wave.
    Wav,
    /// `WebM` or Matroska.
    Webm,
}

impl AudioFormat {
    /// What a file name of it ends with.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Flac => "flac",
            Self::M4a => "m4a",
            Self::Mp3 => "mp3",
            Self::Mp4 => "mp4",
            Self::Mpeg => "mpeg",
            Self::Ogg => "ogg",
            Self::Wav => "wav",
            Self::Webm => "webm",
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Flac => "audio/flac",
            Self::M4a | Self::Mp4 => "audio/mp4",
            Self::Mp3 | Self::Mpeg => "audio/mpeg",
            Self::Ogg => "audio/ogg",
            Self::Wav => "audio/wav",
            Self::Webm => "audio/webm",
        }
    }
}

impl fmt::Display for AudioFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.extension())
    }
}

/// A recording that cannot be transcribed as it is. But for [`Self::Unread`], sending it again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRecording {
    /// There is nothing in it.
    #[error("the recording is an empty file; upload it again")]
    Empty,
    /// It is something else, whatever its name says.
    #[error(
        "the file is {0}, whatever its name says; use a recording in mp3, mp4, mpeg, mpga, m4a, wav, webm, ogg or flac"
    )]
    NotARecording(&'static str),
    /// Sound, in a format that the API does not take.
    #[error(
        "the recording is {0}, which the API does not take; use mp3, mp4, mpeg, mpga, m4a, wav, webm, ogg or flac"
    )]
    Foreign(&'static str),
    /// It ends too early.
    #[error("the {0} recording is cut off or damaged: less is in it than its header says; upload it again")]
    Truncated(AudioFormat),
    /// It cannot be read.
    #[error("the {0} recording is damaged; save it again")]
    Damaged(AudioFormat),
    /// A packet, or what stands before the sound, has more bytes than are read at once. No recorder makes such files.
    #[error(
        "the {0} recording holds more than {MOST_MIB} MiB in one piece, which is not read; save it again without pictures"
    )]
    TooMuchAtOnce(AudioFormat),
    /// A film without a sound track.
    #[error(
        "the {0} file has no sound track, so there is nothing to transcribe; send the file that has the sound"
    )]
    NoSound(AudioFormat),
    /// The disk does not give it back.
    #[error("the recording lies on a disk that could not be read; the job is repeated later")]
    Unread,
    /// There is hardly anything in it.
    #[error("the {0} recording is shorter than the 0.1 s that the API takes; record it again")]
    TooShort(AudioFormat),
}

impl BadRecording {
    /// A word for records.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotARecording(_) => "format",
            Self::Foreign(_) => "foreign_format",
            Self::Truncated(_) => "truncated",
            Self::Damaged(_) => "damaged",
            Self::TooMuchAtOnce(_) => "too_large_at_once",
            Self::NoSound(_) => "no_sound",
            Self::Unread => "disk",
            Self::TooShort(_) => "too_short",
        }
    }
}

/// A whole recording of a format that the API takes, and of known length.
#[derive(Clone)]
pub struct Recording {
    content: Content,
    format: AudioFormat,
    length: Duration,
}

impl fmt::Debug for Recording {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} of {:?} in {} bytes", self.format, self.length, self.content.length())
    }
}

impl Recording {
    /// Looks at a file: walks through all of it, so call it where that may take a moment.
    ///
    /// # Errors
    /// See [`BadRecording`].
    pub fn look_at(content: impl Into<Content>) -> Result<Self, BadRecording> {
        let content = content.into();
        if content.length() == 0 {
            return Err(BadRecording::Empty);
        }
        let start = content.read_piece(0, START).map_err(|_| BadRecording::Unread)?;
        let format = sniff::format(&start)?;
        let length = length::of(&content, format)?;
        if length < SHORTEST {
            return Err(BadRecording::TooShort(format));
        }
        Ok(Self { content, format, length })
    }

    /// The file.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Its format.
    pub fn format(&self) -> AudioFormat {
        self.format
    }

    /// How long it plays.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// Seconds that are billed: every one that was begun.
    pub fn billed_seconds(&self) -> u64 {
        self.length.as_secs() + u64::from(0 < self.length.subsec_nanos())
    }
}
