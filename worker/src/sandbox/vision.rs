//! Google Vision `images:annotate`, against Google's own discovery document. Every picture is a receipt.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    call::{Answer, Call, Done, Outcome, Refusal},
    credential,
    schema::{Kind, VISION},
};

/// Largest request, in bytes (<https://cloud.google.com/vision/quotas>).
const MOST_BYTES: usize = 10 * 1024 * 1024;
/// Most pictures of one request.
const MOST_PICTURES: usize = 16;
/// What is written on every picture.
const TEXT: &str = "TOTAL 42.00";

/// `POST /v1/images:annotate`.
pub(super) fn annotate(call: &Call<'_>) -> Outcome {
    authorize(call)?;
    if MOST_BYTES < call.request.body.len() {
        return Err(invalid("Request payload size exceeds the limit: 10485760 bytes."));
    }
    let batch: Value =
        serde_json::from_slice(&call.request.body).map_err(|_| invalid("Invalid JSON payload received."))?;
    if let Some(violation) = VISION.violations(&batch).first() {
        let place = violation.dotted();
        return Err(invalid(&match violation.kind {
            Kind::Unknown => {
                format!("Invalid JSON payload received. Unknown name at '{place}': Cannot find field.")
            }
            _ => format!("Invalid value at '{place}': {}", violation.what),
        }));
    }
    let pictures = batch["requests"].as_array().map_or(&[][..], Vec::as_slice);
    if MOST_PICTURES < pictures.len() {
        return Err(invalid("Too many images per request: at most 16."));
    }
    let responses: Vec<Value> = pictures.iter().map(look).collect();
    let failed = responses.iter().filter(|response| response["error"].is_object()).count();
    let summary = json!({ "pictures": pictures.len(), "failed": failed });
    Ok(Done::new(Answer::json(200, &json!({ "responses": responses })), summary))
}

/// Each picture has an error of its own.
fn look(picture: &Value) -> Value {
    let failed = |message: &str| json!({ "error": { "code": 3, "message": message } });
    let features: Vec<&str> =
        picture["features"].as_array().into_iter().flatten().filter_map(|one| one["type"].as_str()).collect();
    if features.is_empty() {
        return failed("No features requested.");
    }
    match picture["image"]["content"].as_str() {
        Some(content) if !STANDARD.decode(content).is_ok_and(|bytes| is_picture(&bytes)) => {
            return failed("Bad image data.");
        }
        None if !picture["image"]["source"].is_object() => {
            return failed("Request must specify image and features.");
        }
        _ => {}
    }
    let mut response = json!({});
    if features.iter().any(|feature| feature.ends_with("TEXT_DETECTION")) {
        response["textAnnotations"] = json!([{ "locale": "en", "description": TEXT }]);
        response["fullTextAnnotation"] = json!({ "pages": [], "text": TEXT });
    }
    if features.contains(&"LABEL_DETECTION") {
        response["labelAnnotations"] =
            json!([{ "mid": "/m/0g2b4f", "description": "Receipt", "score": 0.93, "topicality": 0.93 }]);
    }
    response
}

/// True for the formats that Vision reads, by their first bytes.
fn is_picture(bytes: &[u8]) -> bool {
    let starts: [&[u8]; 8] =
        [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\0\0\x01\0", b"%PDF-"];
    let webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    webp || starts.iter().any(|start| bytes.starts_with(start))
}

/// An API key, in its header or in the query, or a token that was given out here.
fn authorize(call: &Call<'_>) -> Result<(), Refusal> {
    let query = call.request.query.as_deref().unwrap_or_default();
    let in_query = form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "key")
        .map(|(_, key)| key.into_owned());
    let key = call.request.header("x-goog-api-key").map(str::to_owned).or(in_query);
    match (key, call.bearer()) {
        (Some(key), _) if credential::is_accepted(&key) => Ok(()),
        (Some(_), _) => Err(bad_key()),
        (None, Some(token)) if call.house.google.is_token(token, call.now_unix) => Ok(()),
        (None, _) => Err(refuse(401, "UNAUTHENTICATED", UNAUTHENTICATED)),
    }
}

const UNAUTHENTICATED: &str = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.";

/// A key that is not accepted comes as 400; only its details tell it from a bad request.
fn bad_key() -> Refusal {
    let message = "API key not valid. Please pass a valid API key.";
    let details = json!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID",
        "domain": "googleapis.com", "metadata": { "service": "vision.googleapis.com" },
    }]);
    let body = json!({ "error": {
        "code": 400, "message": message, "status": "INVALID_ARGUMENT", "details": details,
    } });
    Refusal::new(Answer::json(400, &body), format!("INVALID_ARGUMENT: {message}"))
}

fn invalid(message: &str) -> Refusal {
    refuse(400, "INVALID_ARGUMENT", message)
}

fn refuse(status: u16, word: &str, message: &str) -> Refusal {
    let body = json!({ "error": { "code": status, "message": message, "status": word } });
    Refusal::new(Answer::json(status, &body), format!("{word}: {message}"))
}

/// The body of a status.
pub(super) fn error(status: u16) -> Answer {
    let (word, message) = match status {
        401 => ("UNAUTHENTICATED", UNAUTHENTICATED),
        403 => ("PERMISSION_DENIED", "This API method requires billing to be enabled."),
        404 => ("NOT_FOUND", "Requested entity was not found."),
        429 => ("RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Requests'."),
        499 | 504 => ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
        503 => ("UNAVAILABLE", "The service is currently unavailable."),
        500.. => ("INTERNAL", "Internal error encountered."),
        _ => ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    };
    refuse(status, word, message).answer
}

/// A 200 whose one picture failed.
pub(super) fn ok_with_error() -> Answer {
    Answer::json(
        200,
        &json!({ "responses": [{ "error": { "code": 14, "message": "The service is currently unavailable." } }] }),
    )
}
