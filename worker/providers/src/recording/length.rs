//! How long a recording plays, from its container: every packet is walked over, none is decoded.
//!
//! Headers alone do not do: some have no length (what browsers record), and others promise what is no longer there.

use std::{io::ErrorKind, time::Duration};

use symphonia::{
    core::{
        errors::Error,
        formats::{FormatOptions, FormatReader, TrackType, probe::Hint},
        io::{MediaSourceStream, MediaSourceStreamOptions},
        meta::MetadataOptions,
    },
    default::get_probe,
};

use super::{
    AudioFormat, BadRecording,
    allowance::{Allowance, Allowed},
};
use crate::content::Content;

/// A header may promise a little more than there is: the last packet, or what encoders add at both ends.
const SLACK: f64 = 0.5;
/// Where a header of an MPEG stream's length can be in its first frame (Xing, LAME), in bytes.
const FIRST_FRAME: usize = 256;

/// What walking over it has shown, in units of the track.
#[derive(Default)]
struct Walked {
    /// Of all packets together; Matroska need not say it of each.
    together: u64,
    first: Option<i64>,
    end: i64,
    /// The file ended in the middle of something.
    broke_off: bool,
}

/// Where the tag of an MPEG stream tells its length, in bytes (ID3v2.3, section 3.1).
const TAG_HEADER: usize = 10;

pub(super) fn of(content: &Content, format: AudioFormat) -> Result<Duration, BadRecording> {
    let allowance = Allowance::new();
    let source = Allowed { reader: content.reader(), allowance: allowance.clone() };
    let stream = MediaSourceStream::new(Box::new(source), MediaSourceStreamOptions::default());
    let found = get_probe().probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default());
    let too_much = || BadRecording::TooMuchAtOnce(format);
    let mut reader =
        found.map_err(|error| if allowance.is_used_up() { too_much() } else { refusal(&error, format) })?;
    let track = reader.default_track(TrackType::Audio).ok_or(BadRecording::NoSound(format))?;
    let (id, base, promised) = (track.id, track.time_base, track.duration);
    let walked = walk(reader.as_mut(), id, format, &allowance)?;
    let base = base.ok_or(BadRecording::Damaged(format))?;
    let seconds = |units: u64| units as f64 * f64::from(base.numer.get()) / f64::from(base.denom.get());
    let span = walked.end.saturating_sub(walked.first.unwrap_or_default());
    let there = seconds(walked.together.max(span.try_into().unwrap_or_default()));
    let promised = match promised {
        Some(units) if keeps_promises(content, format)? => Some(seconds(units.get())),
        _ => None,
    };
    if promised.is_some_and(|promised| there + SLACK < promised)
        || (walked.broke_off && !is_live(format, promised))
    {
        return Err(BadRecording::Truncated(format));
    }
    Duration::try_from_secs_f64(there).map_err(|_| BadRecording::Damaged(format))
}

fn walk(
    reader: &mut dyn FormatReader,
    track: u32,
    format: AudioFormat,
    allowance: &Allowance,
) -> Result<Walked, BadRecording> {
    let mut walked = Walked::default();
    loop {
        allowance.renew();
        match reader.next_packet() {
            Ok(Some(packet)) if packet.track_id == track => {
                let (starts, lasts) = (packet.pts.get(), packet.dur.get());
                walked.together = walked.together.saturating_add(lasts);
                walked.first = Some(walked.first.map_or(starts, |first| first.min(starts)));
                walked.end = walked.end.max(starts.saturating_add_unsigned(lasts));
            }
            Ok(Some(_)) => {}
            // A second stream after the first: only chained Ogg, of which the first is what it is about.
            Ok(None) | Err(Error::ResetRequired) => return Ok(walked),
            Err(_) if allowance.is_used_up() => return Err(BadRecording::TooMuchAtOnce(format)),
            Err(Error::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                walked.broke_off = true;
                return Ok(walked);
            }
            Err(Error::IoError(error)) if error.raw_os_error().is_some() => return Err(BadRecording::Unread),
            Err(_) => return Err(BadRecording::Damaged(format)),
        }
    }
}

/// What cannot even be opened. The index of an MPEG-4 or a segment of Matroska is missed when the end is.
fn refusal(error: &Error, format: AudioFormat) -> BadRecording {
    match error {
        Error::IoError(error) if error.raw_os_error().is_some() => BadRecording::Unread,
        Error::IoError(_) | Error::Unsupported(_) => BadRecording::Truncated(format),
        _ => BadRecording::Damaged(format),
    }
}

/// What a browser records has no length in its header, and ends where its stream was stopped.
fn is_live(format: AudioFormat, promised: Option<f64>) -> bool {
    format == AudioFormat::Webm && promised.is_none()
}

/// Without a count of its frames, the length of an MPEG stream is only estimated from its first ones.
fn keeps_promises(content: &Content, format: AudioFormat) -> Result<bool, BadRecording> {
    if format != AudioFormat::Mp3 {
        return Ok(true);
    }
    let piece = |from, most| content.read_piece(from, most).map_err(|_| BadRecording::Unread);
    let tag = match *piece(0, TAG_HEADER)? {
        // Seven bits of each byte count.
        [b'I', b'D', b'3', _, _, _, a, b, c, d, ..] => {
            TAG_HEADER as u64 + [a, b, c, d].iter().fold(0, |size, byte| size << 7 | u64::from(byte & 0x7f))
        }
        _ => 0,
    };
    Ok(piece(tag, FIRST_FRAME)?.windows(4).any(|word| word == b"Xing" || word == b"Info"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_counted_length_is_a_promise() {
        let mut tagged = b"ID3\x03\0\0\0\0\x01\x00".to_vec();
        tagged.resize(10 + 128, b'x');
        tagged.extend_from_slice(b"\xff\xfb\x90\x64....Xing");

        for (file, format, expected) in [
            (tagged, AudioFormat::Mp3, true),
            (b"\xff\xfb\x90\x64....".to_vec(), AudioFormat::Mp3, false),
            (b"RIFF".to_vec(), AudioFormat::Wav, true),
        ] {
            assert_eq!(keeps_promises(&file.into(), format), Ok(expected), "{format}");
        }
    }
}
