//! `transcribe_audio`: what is said in a recording, as text or subtitles.

use serde::{Deserialize, Serialize};

use super::{language, media::MediaSource};
use crate::payload::{Invalid, Payload, SecretFields};

/// Longest hint, in bytes; the model reads its last 224 tokens.
const MAX_PROMPT: usize = 2_000;

/// Transcribes one recording: flac, m4a, mp3, mp4, mpeg, mpga, ogg, wav or webm of at most 25 MiB; where workers have
/// ffmpeg also other formats, and larger and longer ones.
///
/// ```
/// use flota_producer::{MediaSource, Payload, TranscribeAudio, TranscriptFormat};
///
/// let note = TranscribeAudio::new(MediaSource::url("https://files.example.com/note.ogg")).language("es");
/// let film = TranscribeAudio::new(MediaSource::file("films/1.mp4")).format(TranscriptFormat::Srt);
/// assert!(note.validate().is_ok() && film.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TranscribeAudio {
    /// The recording.
    pub audio: MediaSource,
    /// Its language, ISO 639-1; found out unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 2, max = 2)))]
    pub language: Option<String>,
    /// Names and words that occur in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_PROMPT)))]
    pub prompt: Option<String>,
    /// How the transcript is written; `json` unless given. Models of the `gpt-4o` family write no other.
    #[serde(default, skip_serializing_if = "TranscriptFormat::is_json")]
    pub format: TranscriptFormat,
    /// What has its times in `verbose_json`; `segments` unless given. For other formats it must not be given.
    #[serde(default, skip_serializing_if = "TranscriptTimes::is_of_segments")]
    pub timestamps: TranscriptTimes,
    /// 0 to 1: how freely the model guesses; its own choice unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1)))]
    pub temperature: Option<f64>,
}

/// How a transcript is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TranscriptFormat {
    /// The text.
    #[default]
    Json,
    /// The text, asked for as such: for servers that know no JSON.
    Text,
    /// Subtitles of `SubRip`.
    Srt,
    /// Subtitles of `WebVTT`.
    Vtt,
    /// The text, its language, and its segments with their times.
    VerboseJson,
}

impl TranscriptFormat {
    fn is_json(&self) -> bool {
        *self == Self::Json
    }
}

/// What has its times in a transcript.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TranscriptTimes {
    /// Each segment, which is about a sentence.
    #[default]
    Segments,
    /// Each segment and each word. It takes the model a little longer; servers that know no words answer without.
    Words,
}

impl TranscriptTimes {
    fn is_of_segments(&self) -> bool {
        *self == Self::Segments
    }
}

impl TranscribeAudio {
    /// Without hints.
    pub fn new(audio: MediaSource) -> Self {
        let (format, timestamps) = (TranscriptFormat::default(), TranscriptTimes::default());
        Self { audio, language: None, prompt: None, format, timestamps, temperature: None }
    }

    /// With its language.
    pub fn language(mut self, language: impl Into<String>) -> Self {
        self.language = Some(language.into());
        self
    }

    /// Written like this.
    pub fn format(self, format: TranscriptFormat) -> Self {
        Self { format, ..self }
    }

    /// As `verbose_json` with the times of each word.
    pub fn with_word_times(self) -> Self {
        Self { format: TranscriptFormat::VerboseJson, timestamps: TranscriptTimes::Words, ..self }
    }
}

impl Payload for TranscribeAudio {
    const KIND: &'static str = "transcribe_audio";
    const QUEUE: &'static str = "transcription";
    const SECRET: SecretFields =
        SecretFields { payload: &["audio.url", "prompt"], result: &["text", "segments", "words"] };

    #[cfg(feature = "schema")]
    fn schema() -> Option<serde_json::Value> {
        Some(crate::payload::schema_of::<Self>())
    }

    fn validate(&self) -> Result<(), Invalid> {
        self.audio.validate("audio")?;
        let language = self.language.as_deref().is_none_or(language::is_known);
        let problem = "must be a code of ISO 639-1, two small letters such as `es`";
        Invalid::unless(language, "language", problem)?;
        let prompt = self.prompt.as_deref().is_none_or(|prompt| prompt.len() <= MAX_PROMPT);
        Invalid::unless(prompt, "prompt", "must have at most 2,000 bytes")?;
        let has_times = self.timestamps.is_of_segments() || self.format == TranscriptFormat::VerboseJson;
        Invalid::unless(has_times, "timestamps", "`words` needs `\"format\": \"verbose_json\"`")?;
        let temperature = self.temperature.is_none_or(|temperature| (0.0..=1.0).contains(&temperature));
        Invalid::unless(temperature, "temperature", "must be 0 to 1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(payload: &str) -> Result<(), String> {
        let payload: TranscribeAudio = serde_json::from_str(payload).map_err(|error| error.to_string())?;
        payload.validate().map_err(|invalid| invalid.field)
    }

    #[test]
    fn everything_that_was_said_is_secret() {
        assert_eq!(TranscribeAudio::SECRET.result, ["text", "segments", "words"]);
    }

    #[test]
    fn jobs_of_before_are_written_as_before() {
        let old = r#"{"audio":{"file":"a.ogg"},"language":"es"}"#;

        let payload: TranscribeAudio = serde_json::from_str(old).unwrap();

        assert_eq!((payload.validate(), serde_json::to_string(&payload).unwrap()), (Ok(()), old.to_owned()));
    }

    #[test]
    fn what_no_model_takes_is_refused_by_field() {
        let rows = [
            (r#","format":"verbose_json","temperature":0.2,"prompt":"Ana""#, Ok(())),
            (r#","format":"verbose_json","timestamps":"words""#, Ok(())),
            (r#","format":"srt","timestamps":"words""#, Err("timestamps")),
            (r#","timestamps":"words""#, Err("timestamps")),
            (r#","language":"eo""#, Ok(())),
            (r#","language":"xx""#, Err("language")),
            (r#","language":"ES""#, Err("language")),
            (r#","language":"spanish""#, Err("language")),
            (r#","temperature":1.1"#, Err("temperature")),
            (r#","temperature":-0.1"#, Err("temperature")),
        ];

        for (fields, expected) in rows {
            let payload = format!(r#"{{"audio":{{"file":"a.ogg"}}{fields}}}"#);
            assert_eq!(checked(&payload), expected.map_err(str::to_owned), "{payload}");
        }
        let error = checked(r#"{"audio":{"file":"a.ogg"},"format":"docx"}"#).unwrap_err();
        assert!(error.contains("unknown variant `docx`") && error.contains("srt"), "{error}");
    }

    #[test]
    fn times_of_words_bring_the_format_that_has_them() {
        let payload = TranscribeAudio::new(MediaSource::file("a.ogg")).with_word_times();

        let written = r#"{"audio":{"file":"a.ogg"},"format":"verbose_json","timestamps":"words"}"#;
        assert_eq!(
            (payload.validate(), serde_json::to_string(&payload).unwrap()),
            (Ok(()), written.to_owned())
        );
    }
}
