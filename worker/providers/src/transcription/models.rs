//! What the models of transcription can do. Models of compatible servers are taken to do what `whisper-1` does.

use std::time::Duration;

use super::TranscriptFormat;

const EVERY_FORMAT: &[TranscriptFormat] = &[
    TranscriptFormat::Json,
    TranscriptFormat::Text,
    TranscriptFormat::Srt,
    TranscriptFormat::Vtt,
    TranscriptFormat::VerboseJson,
];
/// What `gpt-4o-transcribe` and its kin write.
const JSON_ALONE: &[TranscriptFormat] = &[TranscriptFormat::Json];
/// What OpenAI answers to more: "audio duration … seconds is longer than 1400 seconds which is the maximum for this model".
const OF_GPT: Duration = Duration::from_secs(1_400);
/// `whisper-1` has no limit but bytes. What takes longer than this is not answered within the time of a call.
const OF_WHISPER: Duration = Duration::from_hours(1);

/// What a model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How it writes transcripts.
    pub formats: &'static [TranscriptFormat],
    /// The longest recording of one call.
    pub longest: Duration,
}

/// What this model can do.
pub fn limits(model: &str) -> Limits {
    if model.starts_with("gpt-") && model.contains("transcribe") {
        Limits { formats: JSON_ALONE, longest: OF_GPT }
    } else {
        Limits { formats: EVERY_FORMAT, longest: OF_WHISPER }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whisper_and_unknown_models_write_subtitles() {
        for (model, formats) in [
            ("whisper-1", 5),
            ("Systran/faster-whisper-small", 5),
            ("gpt-4o-transcribe", 1),
            ("gpt-4o-mini-transcribe-2025-12-15", 1),
            ("gpt-transcribe", 1),
        ] {
            assert_eq!(limits(model).formats.len(), formats, "{model}");
        }
    }
}
