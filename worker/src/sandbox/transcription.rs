//! Transcriptions as OpenAI serves them, against its own OpenAPI. Every recording says good morning in Spanish.

use flota_providers::transcription::{AudioFormat, MOST_AUDIO_BYTES};
use serde_json::{Map, Value, json};

use super::{
    call::{Answer, Call, Done, Outcome, Refusal},
    credential,
    form::{self, Part},
    house::new_id,
    schema::TRANSCRIPTION,
};

/// What every recording says.
const TEXT: &str = "Buenos días.";
/// What a file name may end with.
const EXTENSIONS: [&str; 9] = ["flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "ogg", "wav", "webm"];
/// Models that only answer JSON.
const JSON_ONLY: &str = "gpt-4o";

/// `POST /audio/transcriptions`.
pub(super) fn transcribe(call: &Call<'_>) -> Outcome {
    if !call.bearer().is_some_and(credential::is_accepted) {
        return Err(refuse(
            401,
            "invalid_request_error",
            "invalid_api_key",
            "Incorrect API key provided.",
            None,
        ));
    }
    let bad = |what: &str, field| refuse(400, "invalid_request_error", "", what, field);
    let parts = form::parts(call.header("content-type"), &call.request.body)
        .ok_or_else(|| bad("Could not parse multipart form", None))?;
    let fields = fields(&parts);
    if let Some(violation) = TRANSCRIPTION.violations(&fields).first() {
        let what = format!("{}: {}", violation.place(), violation.what);
        return Err(bad(&what, Some(&violation.place())));
    }
    let file =
        parts.iter().find(|part| part.name == "file").ok_or_else(|| bad("file is required", Some("file")))?;
    check_file(file)?;
    let model = fields["model"].as_str().unwrap_or_default();
    let format = fields["response_format"].as_str().unwrap_or("json");
    if model.starts_with(JSON_ONLY) && format != "json" {
        let message = "response_format is not compatible with this model. Use 'json' instead.";
        return Err(bad(message, Some("response_format")));
    }
    if !fields["timestamp_granularities"].is_null() && format != "verbose_json" {
        return Err(bad(
            "timestamp_granularities needs response_format verbose_json",
            Some("timestamp_granularities"),
        ));
    }
    if fields["temperature"].as_f64().is_some_and(|temperature| !(0.0..=1.0).contains(&temperature)) {
        return Err(bad("temperature must be between 0 and 1", Some("temperature")));
    }
    let summary = json!({ "model": model, "file_bytes": file.content.len(), "language": fields["language"] });
    Ok(Done::new(answer(format).with("x-request-id", format!("req_{}", new_id())), summary))
}

fn answer(format: &str) -> Answer {
    let usage = json!({ "type": "duration", "seconds": 1 });
    match format {
        "text" => Answer::of(200, "text/plain; charset=utf-8", format!("{TEXT}\n")),
        "srt" => Answer::of(
            200,
            "text/plain; charset=utf-8",
            format!("1\n00:00:00,000 --> 00:00:01,000\n{TEXT}\n\n"),
        ),
        "vtt" => Answer::of(
            200,
            "text/plain; charset=utf-8",
            format!("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n{TEXT}\n\n"),
        ),
        "verbose_json" => {
            let segment = json!({
                "id": 0, "seek": 0, "start": 0.0, "end": 1.0, "text": TEXT, "tokens": [50_364], "temperature": 0.0,
                "avg_logprob": -0.2, "compression_ratio": 0.8, "no_speech_prob": 0.01,
            });
            let body = json!({
                "task": "transcribe", "language": "spanish", "duration": 1.0, "text": TEXT, "segments": [segment], "usage": usage,
            });
            Answer::json(200, &body)
        }
        _ => Answer::json(200, &json!({ "text": TEXT, "usage": usage })),
    }
}

/// The form as the specification describes it: numbers as numbers, `name[]` as a list, the file as text.
fn fields(parts: &[Part]) -> Value {
    let mut fields = Map::new();
    for part in parts {
        let text = if part.name == "file" { String::new() } else { part.text() };
        let value = match &*part.name {
            "temperature" | "stream" => serde_json::from_str(&text).unwrap_or_else(|_| text.into()),
            _ => Value::from(text),
        };
        match part.name.strip_suffix("[]") {
            Some(name) => {
                let list = fields.entry(name).or_insert_with(|| json!([]));
                list.as_array_mut().into_iter().for_each(|list| list.push(value.clone()));
            }
            None => drop(fields.insert(part.name.clone(), value)),
        }
    }
    Value::Object(fields)
}

fn check_file(file: &Part) -> Result<(), Refusal> {
    let bad = |what: &str| refuse(400, "invalid_request_error", "", what, Some("file"));
    let Some(name) = &file.file_name else { return Err(bad("file is no file")) };
    if MOST_AUDIO_BYTES < file.content.len() {
        let message = "Maximum content size limit (26214400) exceeded";
        return Err(refuse(413, "server_error", "", message, Some("file")));
    }
    let extension =
        name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    if !EXTENSIONS.contains(&&*extension) {
        return Err(bad(
            "Unrecognized file format. Supported formats: ['flac', 'm4a', 'mp3', 'mp4', 'mpeg', 'mpga', 'oga', 'ogg', 'wav', 'webm']",
        ));
    }
    if AudioFormat::of(&file.content).is_none() {
        return Err(bad("The audio file could not be decoded or its format is not supported."));
    }
    Ok(())
}

fn refuse(status: u16, kind: &str, code: &str, message: &str, param: Option<&str>) -> Refusal {
    let code = Some(code).filter(|code| !code.is_empty());
    let error = json!({ "message": message, "type": kind, "param": param, "code": code });
    Refusal::new(Answer::json(status, &json!({ "error": error })), message)
}

/// The body of a status.
pub(super) fn error(status: u16) -> Answer {
    let (kind, code, message) = match status {
        401 => ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
        404 => (
            "invalid_request_error",
            "model_not_found",
            "The model does not exist or you do not have access to it.",
        ),
        429 => ("requests", "rate_limit_exceeded", "Rate limit reached for requests"),
        500.. => {
            ("server_error", "", "The server had an error while processing your request. Sorry about that!")
        }
        _ => ("invalid_request_error", "", "Bad request"),
    };
    refuse(status, kind, code, message, None).answer
}

/// A 200 with an error inside.
pub(super) fn ok_with_error() -> Answer {
    Answer { status: 200, ..error(500) }
}
