//! Speech to text through an OpenAI-compatible endpoint (Whisper).
//!
//! The file goes out under a name that fits what is inside: the API refuses any other. A call only reads, so a lost answer
//! is asked for again.

mod answer;
mod models;

use std::sync::{Arc, atomic::AtomicBool};

use futures_util::future::BoxFuture;
use reqwest::multipart::Form;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

pub use self::models::{Limits, limits};
use crate::{
    ErrorClass, ProviderError, Receipt,
    api::{Api, ApiSettings, advice},
    chat::classify,
    error::TOO_LARGE,
    exchange::{HttpAnswer, Repeat},
    pipeline::{Client, Target},
    probe::{PROBE, Probe, Probed},
    recording::Recording,
};

/// The name of this provider in receipts, errors and metrics.
pub const PROVIDER: &str = "whisper";
/// Where the API is.
pub const BASE_URL: &str = "https://api.openai.com/v1";
/// Largest file that the API takes, in bytes.
pub const MOST_AUDIO_BYTES: usize = 25 * 1024 * 1024;
const TRANSCRIBE: &str = "transcribe";
/// What gets its times; only beside `verbose_json`
/// (<https://platform.openai.com/docs/api-reference/audio/createTranscription>).
const GRANULARITIES: &str = "timestamp_granularities[]";

/// The account that asks.
#[derive(Debug, Clone)]
pub struct TranscriptionSettings {
    /// Where the API is.
    pub api: ApiSettings,
    /// Its key.
    pub api_key: SecretString,
    /// For example `whisper-1`.
    pub model: String,
}

/// Asks one API.
#[derive(Debug)]
pub struct TranscriptionClient {
    api: Api,
    api_key: SecretString,
    model: String,
}

/// How a transcript is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TranscriptFormat {
    /// JSON with the text.
    #[default]
    Json,
    /// The text alone.
    Text,
    /// Subtitles of `SubRip`.
    Srt,
    /// Subtitles of `WebVTT`.
    Vtt,
    /// JSON with the text, its language and its segments with their times.
    VerboseJson,
}

impl TranscriptFormat {
    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
            Self::Srt => "srt",
            Self::Vtt => "vtt",
            Self::VerboseJson => "verbose_json",
        }
    }
}

/// What is wanted of a recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// Code of ISO 639-1; found out when absent.
    pub language: Option<String>,
    /// Names and words that occur in it.
    pub prompt: Option<String>,
    /// How the transcript is written.
    pub format: TranscriptFormat,
    /// Whether [`TranscriptFormat::VerboseJson`] has the times of words too. Servers that know no such times ignore it.
    pub has_word_times: bool,
    /// 0 to 1; the API's own choice when absent.
    pub temperature: Option<f64>,
}

#[derive(Deserialize)]
struct Refused {
    error: ApiError,
}

#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    message: String,
    #[serde(default)]
    r#type: Option<String>,
    /// A word; compatible servers also send numbers, which say no more than the status.
    #[serde(default)]
    code: Value,
}

impl TranscriptionClient {
    /// Builds the client.
    ///
    /// # Errors
    /// When the TLS stack cannot be set up.
    pub fn new(settings: TranscriptionSettings) -> Result<Self, ProviderError> {
        let TranscriptionSettings { api, api_key, model } = settings;
        Ok(Self { api: Api::new(PROVIDER, api, api_key.clone())?, api_key, model })
    }

    /// Transcribes one recording.
    ///
    /// The receipt's detail holds `text`, which is the document for subtitles, `model` and `usage`; of
    /// [`TranscriptFormat::VerboseJson`] also `language`, `duration` and `segments`, and `words` where they were wanted.
    ///
    /// # Errors
    /// Before anything is sent when the model cannot do it; else what the API refuses.
    pub async fn transcribe(
        &self,
        recording: &Recording,
        wanted: &Wanted,
        now_unix: i64,
    ) -> Result<Receipt, ProviderError> {
        self.check(recording, wanted.format)?;
        let request = self.api.post("/audio/transcriptions").bearer_auth(self.api_key.expose_secret());
        let (form, broke_off) = self.form(recording, wanted)?;
        let answer =
            self.api.call_with(TRANSCRIBE, request.multipart(form), &broke_off, Repeat::Safe).await?;
        let read = answer.is_success().then(|| answer::read(&answer, wanted.format)).flatten();
        let Some(mut detail) = read else { return Err(self.refused(TRANSCRIBE, &answer, now_unix)) };
        detail.insert("model".to_owned(), self.model.clone().into());
        let provider_ref = answer.header("x-request-id").map(ToOwned::to_owned);
        Ok(Receipt { provider: PROVIDER, provider_ref, detail: Some(Value::Object(detail)) })
    }

    /// What is asked, and what is set when the recording in it cannot be read to its end.
    fn form(&self, recording: &Recording, wanted: &Wanted) -> Result<(Form, Arc<AtomicBool>), ProviderError> {
        let format = recording.format();
        let (file, broke_off) = recording.content().part();
        let file = file
            .file_name(format!("audio.{}", format.extension()))
            .mime_str(format.media_type())
            .map_err(|_| permanent("format", "The media type of the file cannot be named."))?;
        let mut form = Form::new()
            .part("file", file)
            .text("model", self.model.clone())
            .text("response_format", wanted.format.word());
        let temperature = wanted.temperature.map(|temperature| temperature.to_string());
        let optional = [
            ("language", wanted.language.clone()),
            ("prompt", wanted.prompt.clone()),
            ("temperature", temperature),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                form = form.text(name, value);
            }
        }
        if wanted.has_word_times && wanted.format == TranscriptFormat::VerboseJson {
            // Words alone would come without segments.
            form = form.text(GRANULARITIES, "segment").text(GRANULARITIES, "word");
        }
        Ok((form, broke_off))
    }

    /// Refuses what the API would refuse after the upload.
    fn check(&self, recording: &Recording, format: TranscriptFormat) -> Result<(), ProviderError> {
        let limits = limits(&self.model);
        if !limits.formats.contains(&format) {
            let known: Vec<&str> = limits.formats.iter().map(|format| format.word()).collect();
            let message = format!(
                "Model {} does not write transcripts as {}; ask for {}, or set WHISPER_MODEL to whisper-1.",
                self.model,
                format.word(),
                known.join(" or ")
            );
            return Err(permanent("format_of_model", &message));
        }
        if (MOST_AUDIO_BYTES as u64) < recording.content().length() {
            let message = "The file is larger than 25 MiB; split it, or encode it smaller.";
            return Err(permanent(TOO_LARGE, message));
        }
        Ok(())
    }

    fn refused(&self, operation: &'static str, answer: &HttpAnswer, now_unix: i64) -> ProviderError {
        let wait = answer.wait(now_unix);
        let error = answer.json::<Refused>().map(|refused| refused.error);
        let (word, code) =
            error.as_ref().map_or((None, None), |error| (error.r#type.as_deref(), error.code.as_str()));
        // A success that is no transcript is a fault of the other side.
        let status = if answer.is_success() { 502 } else { answer.status };
        let class = match classify(word, code, status, None) {
            // Of this API, a 503 is trouble and not a limit.
            ErrorClass::RateLimited { .. } if status == 503 => ErrorClass::ServerError,
            ErrorClass::RateLimited { .. } => ErrorClass::RateLimited { retry_after: wait },
            other => other,
        };
        let code = code.map_or_else(|| answer.status.to_string(), |code| code.chars().take(64).collect());
        let said = error.map_or_else(String::new, |error| error.message);
        let advice = advice(operation, class);
        self.api.error(operation, class, advice, &said).with_code(code).with_server_wait(wait)
    }
}

impl Client for TranscriptionClient {
    fn target(&self) -> Target {
        self.api.target(TRANSCRIBE, Repeat::Safe)
    }
}

/// The models that a key may use.
#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

impl Probe for TranscriptionClient {
    /// Reads which models there are (<https://platform.openai.com/docs/api-reference/models/list>), ours among them.
    fn probe(&self, now_unix: i64) -> BoxFuture<'_, Result<Probed, ProviderError>> {
        Box::pin(async move {
            let request = self.api.get("/models").bearer_auth(self.api_key.expose_secret());
            let answer = self.api.probe(request).await?;
            let Some(Models { data }) = answer.is_success().then(|| answer.json()).flatten() else {
                let error = self.refused(PROBE, &answer, now_unix);
                // Of this API a 403 is about what a key may do, and a bad key is a 401.
                if answer.status == 403 {
                    let found = "the key is accepted, but may not list models, so nobody knows whether it may transcribe";
                    return Ok(Probed::doubtful(
                        found,
                        "allow it api.model.read, or see one transcription through",
                    ));
                }
                return Err(error);
            };
            let model = &self.model;
            if data.iter().any(|known| known.id == *model) {
                return Ok(Probed::works(format!("the key is accepted, and there is model {model}")));
            }
            let found =
                format!("the key is accepted, but there is no model {model} among those of the account");
            Ok(Probed::doubtful(found, "correct WHISPER_MODEL"))
        })
    }
}

fn permanent(code: &str, message: &str) -> ProviderError {
    ProviderError::new(PROVIDER, TRANSCRIBE, ErrorClass::Permanent, message).with_code(code)
}
