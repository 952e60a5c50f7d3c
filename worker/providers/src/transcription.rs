//! Speech to text through an OpenAI-compatible endpoint (Whisper).
//!
//! The format is read from the first bytes of the file and never from its name: the API refuses a file whose name does
//! not fit what is inside. A call only reads, so a lost answer is asked for again.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use bytes::Bytes;
use reqwest::multipart::{Form, Part};

use crate::{
    ErrorClass, ProviderError, Receipt,
    api::{Api, ApiSettings, advice},
    chat::classify,
    exchange::{HttpAnswer, Repeat},
    pipeline::{Client, Target},
};

/// The name of this provider in receipts, errors and metrics.
pub const PROVIDER: &str = "whisper";
/// Where the API is.
pub const BASE_URL: &str = "https://api.openai.com/v1";
/// Largest file that the API takes, in bytes.
pub const MOST_AUDIO_BYTES: usize = 25 * 1024 * 1024;
const TRANSCRIBE: &str = "transcribe";

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

/// A container of sound that the API takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioFormat {
    /// What a file name ends with.
    pub extension: &'static str,
    /// Its media type.
    pub media_type: &'static str,
}

impl AudioFormat {
    /// The format of a file, by its first bytes; `None` when the API would not take it.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let format = |extension, media_type| Some(Self { extension, media_type });
        match bytes {
            [b'f', b'L', b'a', b'C', ..] => format("flac", "audio/flac"),
            [b'O', b'g', b'g', b'S', ..] => format("ogg", "audio/ogg"),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => format("wav", "audio/wav"),
            [0x1a, 0x45, 0xdf, 0xa3, ..] => format("webm", "audio/webm"),
            [_, _, _, _, b'f', b't', b'y', b'p', b'M', b'4', b'A', ..] => format("m4a", "audio/mp4"),
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => format("mp4", "audio/mp4"),
            // An ID3 tag, or the sync word of an MPEG audio frame: eleven ones, then a layer that is not reserved.
            [b'I', b'D', b'3', ..] => format("mp3", "audio/mpeg"),
            [0xff, second, ..] if second & 0xe0 == 0xe0 && second & 0x06 != 0 => format("mp3", "audio/mpeg"),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct Transcript {
    text: String,
    #[serde(default)]
    usage: Option<Value>,
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

    /// Transcribes one file. `language` is a code of ISO 639-1, `prompt` helps with names.
    ///
    /// The receipt's detail holds `text`, `model` and `usage`.
    pub async fn transcribe(
        &self,
        audio: Bytes,
        language: Option<&str>,
        prompt: Option<&str>,
        now_unix: i64,
    ) -> Result<Receipt, ProviderError> {
        let format = check(&audio)?;
        let file = Part::stream_with_length(audio.clone(), audio.len() as u64)
            .file_name(format!("audio.{}", format.extension))
            .mime_str(format.media_type)
            .map_err(|_| permanent("format", "The media type of the file cannot be named."))?;
        let mut form =
            Form::new().part("file", file).text("model", self.model.clone()).text("response_format", "json");
        for (name, value) in [("language", language), ("prompt", prompt)] {
            if let Some(value) = value {
                form = form.text(name, value.to_owned());
            }
        }
        let request = self.api.post("/audio/transcriptions").bearer_auth(self.api_key.expose_secret());
        let answer = self.api.call(TRANSCRIBE, request.multipart(form), Repeat::Safe).await?;
        match answer.is_success().then(|| answer.json::<Transcript>()).flatten() {
            Some(transcript) => Ok(Receipt {
                provider: PROVIDER,
                provider_ref: answer.header("x-request-id").map(ToOwned::to_owned),
                detail: Some(
                    json!({ "text": transcript.text, "model": self.model, "usage": transcript.usage }),
                ),
            }),
            None => Err(self.refused(&answer, now_unix)),
        }
    }

    fn refused(&self, answer: &HttpAnswer, now_unix: i64) -> ProviderError {
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
        self.api.error(TRANSCRIBE, class, advice(class), &said).with_code(code).with_server_wait(wait)
    }
}

impl Client for TranscriptionClient {
    fn target(&self) -> Target {
        self.api.target(TRANSCRIBE, Repeat::Safe)
    }
}

/// Refuses what the API would refuse after the upload.
fn check(audio: &[u8]) -> Result<AudioFormat, ProviderError> {
    if MOST_AUDIO_BYTES < audio.len() {
        return Err(permanent(
            "too_large",
            "The file is larger than 25 MiB; split it, or encode it smaller.",
        ));
    }
    let message = "The file is not sound of a known format; use flac, m4a, mp3, mp4, ogg, wav or webm.";
    AudioFormat::of(audio).ok_or_else(|| permanent("format", message))
}

fn permanent(code: &str, message: &str) -> ProviderError {
    ProviderError::new(PROVIDER, TRANSCRIBE, ErrorClass::Permanent, message).with_code(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_their_first_bytes() {
        let cases: [(&[u8], Option<&str>); 12] = [
            (b"fLaC\0\0", Some("flac")),
            (b"OggS\0\x02", Some("ogg")),
            (b"RIFF\x24\0\0\0WAVEfmt ", Some("wav")),
            (b"\x1a\x45\xdf\xa3\x01", Some("webm")),
            (b"\0\0\0\x20ftypM4A \0", Some("m4a")),
            (b"\0\0\0\x20ftypisom", Some("mp4")),
            (b"ID3\x04\0", Some("mp3")),
            (b"\xff\xfb\x90\x64", Some("mp3")),
            // A JPEG begins with 0xff too.
            (b"\xff\xd8\xff\xe0", None),
            (b"RIFF\x24\0\0\0AVI ", None),
            (b"<html>", None),
            (b"", None),
        ];

        for (bytes, expected) in cases {
            assert_eq!(AudioFormat::of(bytes).map(|format| format.extension), expected, "for {bytes:?}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_refused_before_the_upload() {
        let mut audio = b"OggS".to_vec();
        audio.resize(MOST_AUDIO_BYTES + 1, 0);

        let error = check(&audio).unwrap_err();

        assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Permanent, Some("too_large")));
    }
}
