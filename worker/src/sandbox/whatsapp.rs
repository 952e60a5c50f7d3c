//! WhatsApp Cloud API: messages, templates and read receipts, against Meta's own OpenAPI with its errors patched
//! (`specs/SOURCES.md` says which). Media is in a file of its own.

pub(super) mod media;

use serde_json::{Value, json};

use super::{
    call::{Answer, Call, Done, Outcome, Refusal},
    credential,
    house::{lock, new_id},
    schema::{Kind, WHATSAPP_MESSAGE},
};

/// What Meta says of an id that leads nowhere.
const MISSING: &str = "Unsupported get request. Object does not exist, cannot be loaded due to missing permissions, or does not support this operation.";
/// Longest `biz_opaque_callback_data`, in characters.
const MOST_CALLBACK_DATA: usize = 512;

/// `POST /{phone-number-id}/messages`.
pub(super) fn messages(call: &Call<'_>) -> Outcome {
    authorize(call)?;
    let number = call.argument(1);
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = "Unsupported post request. Object does not exist, cannot be loaded due to missing permissions, or does not support this operation.";
        return Err(refuse(400, 100, message, "the number id is not one"));
    }
    if call.media_type() != "application/json" {
        return Err(refuse(
            400,
            100,
            "(#100) The parameter messaging_product is required.",
            "the body is not JSON",
        ));
    }
    let message: Value = serde_json::from_slice(&call.request.body)
        .map_err(|_| refuse(400, 100, "(#100) Invalid parameter", "the body is no JSON"))?;
    if message["status"].is_string() {
        return read_receipt(&message);
    }
    if let Some(violation) = WHATSAPP_MESSAGE.violations(&message).first() {
        let why = format!("{}: {}", violation.place(), violation.what);
        let sentence = match violation.kind {
            Kind::Missing => format!("(#100) The parameter {} is required.", violation.place()),
            _ => format!("(#100) Invalid parameter {}", violation.place()),
        };
        return Err(refuse(400, 100, &sentence, &why));
    }
    let to = message["to"].as_str().unwrap_or_default();
    let digits = to.trim_start_matches('+');
    if !(7..=15).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refuse(400, 131_009, "(#131009) Parameter value is not valid", "to is not a number"));
    }
    if message["biz_opaque_callback_data"]
        .as_str()
        .is_some_and(|data| MOST_CALLBACK_DATA < data.chars().count())
    {
        let why = "biz_opaque_callback_data is longer than 512 characters";
        return Err(refuse(400, 100, "(#100) Invalid parameter biz_opaque_callback_data", why));
    }
    known_media(call, &message)?;
    let sent = json!({
        "messaging_product": "whatsapp",
        "contacts": [{ "input": to, "wa_id": digits }],
        "messages": [{ "id": format!("wamid.{}", new_id()), "message_status": "accepted" }],
    });
    let summary = json!({ "type": message["type"], "template": message["template"]["name"] });
    Ok(Done::new(Answer::json(200, &sent), summary))
}

/// `GET /{id}`: of a number what was asked for with `fields`, of media where it is. Numbers are whatever is one.
pub(super) fn read(call: &Call<'_>) -> Outcome {
    let asks_for_number =
        call.request.query.as_deref().is_some_and(|query| query.contains("display_phone_number"));
    let id = call.argument(1);
    if !asks_for_number || lock(&call.house.media).has(id) {
        return media::describe(call);
    }
    authorize(call)?;
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refuse(400, 100, MISSING, "the number id is not one"));
    }
    let body = json!({ "id": id, "display_phone_number": "+1 500-555-0006", "verified_name": "Sandbox" });
    Ok(Done::new(Answer::json(200, &body), json!({ "type": "number" })))
}

/// `{"status":"read"}`: the specification of messages does not know it.
fn read_receipt(receipt: &Value) -> Outcome {
    let known = ["messaging_product", "status", "message_id", "typing_indicator"];
    let unknown =
        receipt.as_object().is_some_and(|fields| fields.keys().any(|name| !known.contains(&&**name)));
    let id = receipt["message_id"].as_str().unwrap_or_default();
    if receipt["messaging_product"] != "whatsapp" || receipt["status"] != "read" || unknown {
        return Err(refuse(400, 100, "(#100) Invalid parameter", "not a read receipt"));
    }
    if !id.starts_with("wamid.") {
        return Err(refuse(400, 131_009, "(#131009) Parameter value is not valid", "message_id is not one"));
    }
    Ok(Done::new(Answer::json(200, &json!({ "success": true })), json!({ "type": "read" })))
}

/// A message with media by id needs media that was uploaded.
fn known_media(call: &Call<'_>, message: &Value) -> Result<(), Refusal> {
    let kind = message["type"].as_str().unwrap_or_default();
    let Some(id) = message[kind]["id"].as_str() else { return Ok(()) };
    if kind == "template" || lock(&call.house.media).has(id) {
        return Ok(());
    }
    Err(refuse(400, 131_053, "(#131053) Media upload error", "there is no media with this id"))
}

pub(super) fn authorize(call: &Call<'_>) -> Result<(), Refusal> {
    match call.bearer() {
        Some(token) if credential::is_accepted(token) => Ok(()),
        Some(_) => Err(refuse(
            401,
            190,
            "Invalid OAuth access token - Cannot parse access token",
            "the token is not accepted",
        )),
        None => Err(refuse(
            401,
            190,
            "An access token is required to request this resource.",
            "there is no token",
        )),
    }
}

pub(super) fn refuse(status: u16, code: u32, message: &str, why: &str) -> Refusal {
    let kind =
        if code == 190 || code < 100_000 && code != 100 { "OAuthException" } else { "GraphMethodException" };
    let body = json!({ "error": {
        "message": message, "type": kind, "code": code,
        "error_data": { "messaging_product": "whatsapp", "details": why },
        "fbtrace_id": new_id(),
    } });
    Refusal::new(Answer::json(status, &body), format!("{code} {why}"))
}

/// The body of a status. Meta's codes say more: order a body of your own for a certain one.
pub(super) fn error(status: u16) -> Answer {
    let (code, message) = match status {
        401 => (190, "Error validating access token: Session has expired"),
        403 => (131_005, "(#131005) Access denied"),
        429 => (130_429, "(#130429) Rate limit hit"),
        500.. => (131_000, "(#131000) Something went wrong"),
        _ => (131_026, "(#131026) Message undeliverable"),
    };
    refuse(status, code, message, "ordered").answer
}

/// A 200 with an error inside.
pub(super) fn ok_with_error() -> Answer {
    Answer { status: 200, ..refuse(200, 131_000, "(#131000) Something went wrong", "ordered").answer }
}
