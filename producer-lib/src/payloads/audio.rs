//! `transcribe_audio`: what is said in a recording, as text.

use serde::{Deserialize, Serialize};

use super::media::MediaSource;
use crate::payload::{Invalid, Payload, SecretFields};

/// Longest hint, in bytes; the model reads its last 224 tokens.
const MAX_PROMPT: usize = 2_000;

/// Transcribes one recording of at most 25 MiB: flac, m4a, mp3, mp4, ogg, wav or webm.
///
/// ```
/// use flota_producer::{MediaSource, Payload, TranscribeAudio};
///
/// let note = TranscribeAudio::new(MediaSource::url("https://files.example.com/note.ogg")).language("es");
/// assert!(note.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TranscribeAudio {
    /// The recording.
    pub audio: MediaSource,
    /// Its language, ISO 639-1; found out unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Names and words that occur in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
}

impl TranscribeAudio {
    /// Without hints.
    pub fn new(audio: MediaSource) -> Self {
        Self { audio, language: None, prompt: None }
    }

    /// With its language.
    pub fn language(mut self, language: impl Into<String>) -> Self {
        self.language = Some(language.into());
        self
    }
}

impl Payload for TranscribeAudio {
    const KIND: &'static str = "transcribe_audio";
    const QUEUE: &'static str = "transcription";
    const SECRET: SecretFields =
        SecretFields { payload: &["audio.url", "prompt"], result: &["text", "segments"] };

    #[cfg(feature = "schema")]
    fn schema() -> Option<serde_json::Value> {
        Some(crate::payload::schema_of::<Self>())
    }

    fn validate(&self) -> Result<(), Invalid> {
        self.audio.validate("audio")?;
        let two_letters = |code: &str| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_lowercase());
        let language = self.language.as_deref().is_none_or(two_letters);
        Invalid::unless(language, "language", "must be a code of two letters such as `es`")?;
        let prompt = self.prompt.as_deref().is_none_or(|prompt| prompt.len() <= MAX_PROMPT);
        Invalid::unless(prompt, "prompt", "must have at most 2,000 bytes")
    }
}
