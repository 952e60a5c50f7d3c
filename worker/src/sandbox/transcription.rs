//! Transcriptions as OpenAI serves them, against its own OpenAPI. Every recording says good morning in Spanish, but for a
//! wave whose samples are all the same: in that one nobody speaks.

use std::time::Duration;

use flota_providers::{
    recording::{AudioFormat, BadRecording, Recording},
    transcription::{MOST_AUDIO_BYTES, limits},
};
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
/// Where the samples of a wave begin, when its header is the usual one.
const WAVE_HEADER: usize = 44;
/// Sound that `gpt-4o-transcribe` makes into one token, in seconds.
const SECONDS_PER_TOKEN: f64 = 0.1;
/// What a file name may end with.
const EXTENSIONS: [&str; 9] = ["flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "ogg", "wav", "webm"];
/// Models that transcribe.
const MODELS: [&str; 3] = ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe"];
/// Models that only answer JSON.
const JSON_ONLY: &str = "gpt-4o";

/// `POST /audio/transcriptions`.
pub(super) fn transcribe(call: &Call<'_>) -> Outcome {
    authorize(call)?;
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
    let recording = check_file(file)?;
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
    check_values(model, &fields, &recording)?;
    let seconds = recording.billed_seconds();
    let summary = json!({
        "model": model, "file_bytes": file.content.len(), "language": fields["language"], "format": format, "seconds": seconds,
    });
    let text = if is_silent(&recording, &file.content) { "" } else { TEXT };
    let timed = &fields["timestamp_granularities"];
    let answer = answer(format, timed, usage(model, &recording), (text, recording.length()));
    Ok(Done::new(answer.with("x-request-id", format!("req_{}", new_id())), summary))
}

/// `GET /models`: those that transcribe.
pub(super) fn models(call: &Call<'_>) -> Outcome {
    authorize(call)?;
    let model =
        |id: &&str| json!({ "id": id, "object": "model", "created": 1_677_532_384, "owned_by": "openai" });
    let models: Vec<Value> = MODELS.iter().map(model).collect();
    Ok(Done::plain(Answer::json(200, &json!({ "object": "list", "data": models }))))
}

fn authorize(call: &Call<'_>) -> Result<(), Refusal> {
    if call.bearer().is_some_and(credential::is_accepted) {
        return Ok(());
    }
    let message = "Incorrect API key provided.";
    Err(refuse(401, "invalid_request_error", "invalid_api_key", message, None))
}

/// What the specification leaves to words.
fn check_values(model: &str, fields: &Value, recording: &Recording) -> Result<(), Refusal> {
    let bad = |code: &str, what: &str, field| refuse(400, "invalid_request_error", code, what, Some(field));
    let is_code =
        |code: &str| (2..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase());
    if fields["language"].as_str().is_some_and(|language| !is_code(language)) {
        let message =
            "Invalid language. Language parameter must be specified in ISO-639-1 or ISO-639-3 format.";
        return Err(bad("invalid_language_format", message, "language"));
    }
    let (length, most) = (recording.length().as_secs_f64(), limits(model).longest.as_secs_f64());
    // Whisper itself has no limit.
    if model.starts_with(JSON_ONLY) && most < length {
        let message = format!(
            "audio duration {length} seconds is longer than {most} seconds which is the maximum for this model"
        );
        return Err(bad("invalid_value", &message, "file"));
    }
    Ok(())
}

/// How the vendor counts: seconds of Whisper, tokens of the others.
fn usage(model: &str, recording: &Recording) -> Value {
    if !model.starts_with(JSON_ONLY) {
        return json!({ "type": "duration", "seconds": recording.billed_seconds() });
    }
    let heard = (recording.length().as_secs_f64() / SECONDS_PER_TOKEN).ceil() as u64;
    let said = TEXT.split(' ').count() as u64;
    json!({
        "type": "tokens", "input_tokens": heard, "output_tokens": said, "total_tokens": heard + said,
        "input_token_details": { "text_tokens": 0, "audio_tokens": heard },
    })
}

fn answer(format: &str, timed: &Value, usage: Value, (text, length): (&str, Duration)) -> Answer {
    let (minutes, seconds, millis) = (length.as_secs() / 60, length.as_secs() % 60, length.subsec_millis());
    let end = |point: char| format!("{:02}:{:02}:{seconds:02}{point}{millis:03}", minutes / 60, minutes % 60);
    let plain = |text: String| Answer::of(200, "text/plain; charset=utf-8", text);
    match format {
        "text" => plain(format!("{text}\n")),
        "srt" if text.is_empty() => plain(String::new()),
        "vtt" if text.is_empty() => plain("WEBVTT\n\n".to_owned()),
        "srt" => plain(format!("1\n00:00:00,000 --> {}\n{text}\n\n", end(','))),
        "vtt" => plain(format!("WEBVTT\n\n00:00:00.000 --> {}\n{text}\n\n", end('.'))),
        "verbose_json" => {
            let segment = json!({
                "id": 0, "seek": 0, "start": 0.0, "end": length.as_secs_f64(), "text": text, "tokens": [50_364], "temperature": 0.0,
                "avg_logprob": -0.2, "compression_ratio": 0.8, "no_speech_prob": 0.01,
            });
            let mut body = json!({
                "task": "transcribe", "language": "spanish", "duration": length.as_secs_f64(), "text": text, "usage": usage,
            });
            let has = |what: &str| timed.as_array().is_some_and(|all| all.iter().any(|one| one == what));
            if timed.is_null() || has("segment") {
                body["segments"] = if text.is_empty() { json!([]) } else { json!([segment]) };
            }
            if has("word") {
                body["words"] = words(text, length);
            }
            Answer::json(200, &body)
        }
        _ => Answer::json(200, &json!({ "text": text, "usage": usage })),
    }
}

/// Every word takes equally long; they come without their points and commas.
fn words(text: &str, length: Duration) -> Value {
    let words: Vec<&str> = text.split_whitespace().map(|word| word.trim_matches(['.', ','])).collect();
    let each = length.as_secs_f64() / words.len().max(1) as f64;
    let time = |number: usize| (number as f64 * each * 100.0).round() / 100.0;
    let timed = |(at, word): (usize, &&str)| json!({ "word": word, "start": time(at), "end": time(at + 1) });
    words.iter().enumerate().map(timed).collect()
}

fn is_silent(recording: &Recording, file: &[u8]) -> bool {
    let samples = file.get(WAVE_HEADER..).unwrap_or_default();
    recording.format() == AudioFormat::Wav && samples.windows(2).all(|pair| pair[0] == pair[1])
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

fn check_file(file: &Part) -> Result<Recording, Refusal> {
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
    Recording::look_at(file.content.clone()).map_err(|error| match error {
        BadRecording::TooShort(_) => {
            let message = "Audio file is too short. Minimum audio length is 0.1 seconds.";
            refuse(400, "invalid_request_error", "audio_too_short", message, Some("file"))
        }
        _ => bad("The audio file could not be decoded or its format is not supported."),
    })
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
