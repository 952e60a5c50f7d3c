//! Twilio `CreateMessage`, against Twilio's own OpenAPI, its error codes (<https://www.twilio.com/docs/api/errors>) and
//! the magic numbers of its test credentials (<https://www.twilio.com/docs/iam/test-credentials>).

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    call::{Answer, Call, Done, Outcome, Refusal},
    credential,
    form::fields,
    house::new_id,
    schema::TWILIO_MESSAGE,
};

/// Longest text, in characters.
const MOST_CHARACTERS: usize = 1_600;
/// Characters of one segment, and of each when there are several.
const SEGMENT: (usize, usize) = (160, 153);
/// Fields that may come several times.
const LISTS: [&str; 2] = ["MediaUrl", "PersistentAction"];

/// `POST /2010-04-01/Accounts/{AccountSid}/Messages.json`.
pub(super) fn send(call: &Call<'_>) -> Outcome {
    let account = call.argument(0);
    authorize(call, account)?;
    if call.media_type() != "application/x-www-form-urlencoded" {
        return Err(refuse(400, 20_001, "The body must be a form."));
    }
    let message = typed(fields(&call.request.body, &LISTS));
    rules(&message)?;
    if let Some(violation) = TWILIO_MESSAGE.violations(&message).first() {
        return Err(refuse(
            400,
            20_001,
            &format!("Parameter {} is invalid: {}", violation.place(), violation.what),
        ));
    }
    let characters = text(&message, "Body").chars().count();
    let segments = if characters <= SEGMENT.0 { 1 } else { characters.div_ceil(SEGMENT.1) };
    let media = message["MediaUrl"].as_array().map_or(0, Vec::len);
    let sid = format!("{}{}", if media == 0 { "SM" } else { "MM" }, new_id());
    let answer = json!({
        "sid": sid, "account_sid": account, "status": "queued", "direction": "outbound-api",
        "num_segments": segments.to_string(), "num_media": media.to_string(),
        "to": message["To"], "from": message["From"], "body": message["Body"],
        "messaging_service_sid": message["MessagingServiceSid"], "error_code": null, "error_message": null,
        "price": null, "api_version": "2010-04-01",
        "uri": format!("/2010-04-01/Accounts/{account}/Messages/{sid}.json"),
    });
    let summary = json!({ "characters": characters, "segments": segments, "media": media });
    Ok(Done::new(Answer::json(201, &answer), summary))
}

/// `GET /2010-04-01/Accounts/{AccountSid}.json`.
pub(super) fn account(call: &Call<'_>) -> Outcome {
    let account = call.argument(0).strip_suffix(".json").unwrap_or_default();
    authorize(call, account)?;
    let body = json!({
        "sid": account, "friendly_name": "Sandbox", "status": "active", "type": "Full",
        "owner_account_sid": account, "uri": format!("/2010-04-01/Accounts/{account}.json"),
    });
    Ok(Done::plain(Answer::json(200, &body)))
}

/// Only an account's own login may use it.
fn authorize(call: &Call<'_>, account: &str) -> Result<(), Refusal> {
    let is_its_own = |(user, token): (String, String)| {
        user == account && [&user, &token].into_iter().all(|part| credential::is_accepted(part))
    };
    if login(call).is_some_and(is_its_own) { Ok(()) } else { Err(refuse(401, 20_003, "Authenticate")) }
}

/// What the table of errors says, with its numbers.
fn rules(message: &Value) -> Result<(), Refusal> {
    let has = |name: &str| !text(message, name).is_empty();
    let media = message["MediaUrl"].as_array().is_some_and(|media| !media.is_empty());
    let (to, from) = (text(message, "To"), text(message, "From"));
    let magic = match (to, from) {
        ("+15005550001", _) => Some((21_211, "Invalid 'To' Phone Number: +1500555XXXX")),
        ("+15005550002", _) => {
            Some((21_612, "The 'To' number is not currently reachable with the 'From' number."))
        }
        ("+15005550003", _) => Some((
            21_408,
            "Permission to send an SMS has not been enabled for the region of the 'To' number.",
        )),
        ("+15005550004", _) => Some((21_610, "Attempt to send to unsubscribed recipient")),
        ("+15005550009", _) => Some((21_614, "'To' number is not a valid mobile number")),
        (_, "+15005550001") => Some((
            21_212,
            "The 'From' number is not a valid phone number, shortcode, or alphanumeric sender ID.",
        )),
        (_, "+15005550007") => Some((
            21_606,
            "The 'From' phone number provided is not a valid message-capable Twilio phone number.",
        )),
        (_, "+15005550008") => {
            Some((21_611, "This 'From' number has exceeded the maximum number of queued messages"))
        }
        _ => None,
    };
    let refused = if !has("To") {
        Some((21_604, "A 'To' phone number is required."))
    } else if !is_number(to) {
        Some((21_211, "The 'To' number is not a valid phone number."))
    } else if !has("From") && !has("MessagingServiceSid") {
        Some((21_603, "A 'From' phone number is required."))
    } else if !has("Body") && !media && !has("ContentSid") {
        Some((21_602, "Message body is required."))
    } else if MOST_CHARACTERS < text(message, "Body").chars().count() {
        Some((21_617, "The concatenated message body exceeds the 1600 character limit"))
    } else {
        magic
    };
    refused.map_or(Ok(()), |(code, sentence)| Err(refuse(400, code, sentence)))
}

fn text<'a>(message: &'a Value, name: &str) -> &'a str {
    message[name].as_str().unwrap_or_default()
}

/// A full number, with the channel in front of it that WhatsApp and others have.
fn is_number(to: &str) -> bool {
    let number = to.rsplit_once(':').map_or(to, |(_, number)| number);
    let digits = number.strip_prefix('+').unwrap_or_default();
    (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// A form knows only text; the specification knows numbers and truth.
fn typed(fields: serde_json::Map<String, Value>) -> Value {
    let one = |(name, value): (String, Value)| {
        let read = value.as_str().and_then(|text| match &*name {
            "MaxPrice" | "Attempt" | "ValidityPeriod" => serde_json::from_str(text).ok(),
            "ProvideFeedback" | "ForceDelivery" | "SmartEncoded" | "ShortenUrls" | "SendAsMms" => {
                text.to_ascii_lowercase().parse().ok().map(Value::Bool)
            }
            _ => None,
        });
        (name, read.unwrap_or(value))
    };
    Value::Object(fields.into_iter().map(one).collect())
}

/// User and password of `Authorization: Basic`.
fn login(call: &Call<'_>) -> Option<(String, String)> {
    let encoded = call.header("authorization").strip_prefix("Basic ")?;
    let pair = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    pair.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

fn refuse(status: u16, code: u32, message: &str) -> Refusal {
    let more = format!("https://www.twilio.com/docs/errors/{code}");
    let body = json!({ "code": code, "message": message, "more_info": more, "status": status });
    Refusal::new(Answer::json(status, &body), format!("{code} {message}"))
}

/// The body of a status.
pub(super) fn error(status: u16) -> Answer {
    let (code, message) = match status {
        401 => (20_003, "Authenticate"),
        403 => (20_005, "Account is not active"),
        404 => (20_404, "The requested resource was not found"),
        405 => (20_004, "Method not allowed"),
        429 => (20_429, "Too Many Requests"),
        500.. => (20_500, "An internal server error has occurred"),
        _ => (21_211, "The 'To' number is not a valid phone number."),
    };
    refuse(status, code, message).answer
}

/// Accepted, and failed at once.
pub(super) fn ok_with_error() -> Answer {
    let body = json!({
        "sid": format!("SM{}", new_id()), "status": "failed", "error_code": 30_008, "error_message": "Unknown error",
    });
    Answer::json(201, &body)
}
