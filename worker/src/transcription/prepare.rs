//! A file → recordings that one call can take each.
//!
//! Most files are one such recording as they are. What is too large, too long for a call or in another format is made
//! into small speech by ffmpeg, and what is too long even so is cut in its pauses.

use std::time::Duration;

use flota_providers::{
    TOO_LARGE,
    content::{Content, HELD},
    ffmpeg::{Ffmpeg, FfmpegError, cuts},
    recording::{BadRecording, Recording},
    transcription::MOST_AUDIO_BYTES,
};

/// The pieces of a long recording: short enough to be heard within the time of a call, even on a slow day.
const PIECE: Duration = Duration::from_mins(20);
/// How much shorter pieces are than the longest that a call takes: cuts are as exact as packets are long.
const MARGIN: Duration = Duration::from_secs(10);

/// A recording that cannot be transcribed.
#[derive(Debug, thiserror::Error)]
pub enum Untranscribable {
    /// The file is of no use.
    #[error(transparent)]
    Recording(#[from] BadRecording),
    /// It would have to be changed first, and nobody here can.
    #[error(
        "the recording {why}, and this worker has no ffmpeg to change that; install it where PATH leads (Debian: apt-get install ffmpeg), restart the worker and replay the job, or {instead}"
    )]
    NeedsFfmpeg {
        /// What is the matter with it.
        why: String,
        /// What else can be done.
        instead: &'static str,
        /// A word for records.
        code: &'static str,
    },
    /// ffmpeg could not change it.
    #[error(transparent)]
    Ffmpeg(#[from] FfmpegError),
    /// It is longer than is wanted here.
    #[error(
        "the recording plays {}, longer than the {} that are transcribed; split it, or raise `longest` of [transcription] in queues.toml",
        minutes(*length), minutes(*longest)
    )]
    TooLong {
        /// How long it plays.
        length: Duration,
        /// How long it may.
        longest: Duration,
    },
    /// Whoever looked at it stumbled.
    #[error("the recording is damaged in a way that nobody has met before; save it again")]
    Unheard,
}

impl Untranscribable {
    /// A file of more than the API takes, where there is no ffmpeg.
    pub(super) fn too_large() -> Self {
        let why = "is larger than the 25 MiB that the API takes".to_owned();
        Self::NeedsFfmpeg { why, instead: "send a smaller file", code: TOO_LARGE }
    }

    /// A word for records.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Recording(error) => error.code(),
            Self::NeedsFfmpeg { code, .. } => code,
            Self::Ffmpeg(FfmpegError::NoSound) => "no_sound",
            Self::Ffmpeg(FfmpegError::TooSlow(_)) => "ffmpeg_too_slow",
            Self::Ffmpeg(FfmpegError::Unreadable(_) | FfmpegError::TooLarge) => "unreadable",
            Self::Ffmpeg(FfmpegError::NotThere(_)) => "ffmpeg_not_there",
            Self::Ffmpeg(FfmpegError::Disk(_)) => "disk",
            Self::TooLong { .. } => "too_long",
            Self::Unheard => "damaged",
        }
    }
}

/// Part of a recording, or all of it.
#[derive(Debug)]
pub(super) struct Piece {
    /// What is sent.
    pub(super) recording: Recording,
    /// When it begins in the whole.
    pub(super) from: Duration,
}

/// What there is to prepare recordings with, and for what.
#[derive(Clone, Copy)]
pub(super) struct Preparation<'a> {
    pub(super) ffmpeg: Option<&'a Ffmpeg>,
    /// The longest recording of a job.
    pub(super) longest: Duration,
    /// The longest of one call.
    pub(super) longest_call: Duration,
}

impl Preparation<'_> {
    /// The pieces of a file, in their order.
    pub(super) async fn pieces(self, file: Content) -> Result<Vec<Piece>, Untranscribable> {
        let obstacle = match look_at(file.clone()).await {
            Ok(recording) => {
                self.check_length(&recording)?;
                match self.obstacle(&recording) {
                    None => return Ok(vec![Piece { recording, from: Duration::ZERO }]),
                    Some(obstacle) => obstacle,
                }
            }
            Err(Untranscribable::Recording(error @ BadRecording::Foreign(name))) => {
                Untranscribable::NeedsFfmpeg {
                    why: format!("is {name}, which the API does not take"),
                    instead: "send mp3, mp4, mpeg, mpga, m4a, wav, webm, ogg or flac",
                    code: error.code(),
                }
            }
            Err(other) => return Err(other),
        };
        let ffmpeg = self.ffmpeg.ok_or(obstacle)?;
        let speech = look_at(ffmpeg.speech(&file, self.longest).await?).await?;
        self.check_length(&speech)?;
        match self.obstacle(&speech) {
            None => Ok(vec![Piece { recording: speech, from: Duration::ZERO }]),
            Some(_) => self.split(ffmpeg, &speech).await,
        }
    }

    fn check_length(self, recording: &Recording) -> Result<(), Untranscribable> {
        let (length, longest) = (recording.length(), self.longest);
        if length <= longest { Ok(()) } else { Err(Untranscribable::TooLong { length, longest }) }
    }

    /// Why one call cannot take it as it is.
    fn obstacle(self, recording: &Recording) -> Option<Untranscribable> {
        if (MOST_AUDIO_BYTES as u64) < recording.content().length() {
            return Some(Untranscribable::too_large());
        }
        let (length, most) = (recording.length(), self.longest_call);
        (most < length).then(|| Untranscribable::NeedsFfmpeg {
            why: format!("plays {}, and one call takes {}", minutes(length), minutes(most)),
            instead: "send it in parts",
            code: "too_long",
        })
    }

    async fn split(self, ffmpeg: &Ffmpeg, speech: &Recording) -> Result<Vec<Piece>, Untranscribable> {
        let silences = ffmpeg.silences(speech.content()).await?;
        let most = PIECE.min(self.longest_call.saturating_sub(MARGIN));
        let (mut pieces, mut from, mut held) = (Vec::new(), Duration::ZERO, HELD);
        for until in cuts(speech.length(), most, &silences).into_iter().chain([speech.length()]) {
            let piece = ffmpeg.cut(speech.content(), (from, until), held).await?;
            held -= piece.held();
            match look_at(piece).await {
                Ok(recording) => pieces.push(Piece { recording, from }),
                // What is left behind the last cut may be nothing to speak of.
                Err(Untranscribable::Recording(BadRecording::TooShort(_))) => {}
                Err(other) => return Err(other),
            }
            from = until;
        }
        Ok(pieces)
    }
}

/// Walks through a file where that keeps nobody waiting. A reader that panics has met a damaged file.
async fn look_at(file: Content) -> Result<Recording, Untranscribable> {
    let looked = tokio::task::spawn_blocking(move || Recording::look_at(file)).await;
    Ok(looked.map_err(|_| Untranscribable::Unheard)??)
}

fn minutes(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}
