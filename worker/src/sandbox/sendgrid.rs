//! SendGrid v3 mail send, against Twilio's own OpenAPI and the limits of its reference
//! (<https://www.twilio.com/docs/sendgrid/api-reference/mail-send/limitations>).

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{
    call::{Answer, Call, Done, Outcome, Refusal},
    credential,
    house::new_id,
    schema::{Kind, SENDGRID_MAIL, Violation},
};

/// Largest request: SendGrid takes messages of 30 MB.
const MOST_BYTES: usize = 30 * 1024 * 1024;
/// Most recipients of one request, over all personalizations.
const MOST_RECIPIENTS: usize = 1_000;
/// Longest `custom_args` of one personalization, in bytes.
const MOST_CUSTOM_ARGS: usize = 10_000;
/// Most categories.
const MOST_CATEGORIES: usize = 10;
/// How far ahead a mail can be scheduled, in seconds.
const MOST_AHEAD: i64 = 72 * 3_600;
/// Headers that SendGrid sets itself.
const RESERVED: [&str; 14] = [
    "x-sg-id",
    "x-sg-eid",
    "received",
    "dkim-signature",
    "content-type",
    "content-transfer-encoding",
    "to",
    "from",
    "subject",
    "reply-to",
    "cc",
    "bcc",
    "message-id-sg",
    "x-smtpapi",
];

/// `POST /v3/mail/send`.
pub(super) fn send(call: &Call<'_>) -> Outcome {
    if !call.bearer().is_some_and(credential::is_accepted) {
        return Err(refuse(401, "the key is not accepted", INVALID_GRANT, None));
    }
    if call.media_type() != "application/json" {
        let message = "Content-Type should be application/json.";
        return Err(refuse(415, "the body is not JSON", message, None));
    }
    if MOST_BYTES < call.request.body.len() {
        return Err(refuse(
            413,
            "the message is larger than 30 MB",
            "The JSON payload you have included in your request is too large.",
            None,
        ));
    }
    let mail: Value = serde_json::from_slice(&call.request.body)
        .map_err(|_| refuse(400, "the body is no JSON", "Bad Request", None))?;
    let violations = SENDGRID_MAIL.violations(&mail);
    if !violations.is_empty() {
        return Err(by_specification(&violations));
    }
    for (is_wrong, field, message) in rules(&mail, call.now_unix) {
        if is_wrong {
            return Err(refuse(400, message, message, Some(field)));
        }
    }
    let is_test = mail["mail_settings"]["sandbox_mode"]["enable"] == true;
    let answer = Answer::empty(if is_test { 200 } else { 202 });
    Ok(Done::new(answer.with("x-message-id", new_id()), summary(&mail, is_test)))
}

/// `GET /v3/scopes`: what the key may do, which is everything that matters here.
pub(super) fn scopes(call: &Call<'_>) -> Outcome {
    if !call.bearer().is_some_and(credential::is_accepted) {
        return Err(refuse(401, "the key is not accepted", INVALID_GRANT, None));
    }
    let body = json!({ "scopes": ["mail.send", "mail.batch.create", "user.scheduled_sends.read"] });
    Ok(Done::plain(Answer::json(200, &body)))
}

const INVALID_GRANT: &str = "The provided authorization grant is invalid, expired, or revoked";

/// What the reference says beyond the specification: whether it is broken, where, and the sentence.
fn rules(mail: &Value, now_unix: i64) -> Vec<(bool, &'static str, &'static str)> {
    let template = mail["template_id"].as_str();
    let has_subject = mail["subject"].is_string() || each(mail).all(|one| one["subject"].is_string());
    let contents: Vec<&str> =
        mail["content"].as_array().into_iter().flatten().filter_map(|one| one["type"].as_str()).collect();
    let order = |kind: &str| contents.iter().position(|one| one.eq_ignore_ascii_case(kind));
    let html_first = order("text/html").zip(order("text/plain")).is_some_and(|(html, plain)| html < plain);
    let recipients: usize = each(mail).map(|one| addresses(one).len()).sum();
    let ahead = |of: &Value| of["send_at"].as_i64().is_some_and(|at| now_unix + MOST_AHEAD < at);
    let categories: Vec<&str> =
        mail["categories"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    vec![
        (
            each(mail).count() == 0,
            "personalizations",
            "The personalizations field is required and must have at least one personalization.",
        ),
        (
            each(mail).any(|one| one["to"].as_array().is_none_or(Vec::is_empty)),
            "personalizations.0.to",
            "The to array is required for all personalization objects, and must have at least one email object with a valid email address.",
        ),
        (
            each(mail).any(|one| has_doubles(&addresses(one))),
            "personalizations.0",
            "Each email address in the personalization block should be unique between to, cc, and bcc.",
        ),
        (
            MOST_RECIPIENTS < recipients,
            "personalizations",
            "The total number of recipients is more than 1000.",
        ),
        (
            template.is_none() && !has_subject,
            "subject",
            "The subject is required. You can get around this requirement if you use a template with a subject defined or if every personalization has a subject defined.",
        ),
        (
            template.is_none() && contents.is_empty(),
            "content",
            "Unless a valid template_id is provided, the content parameter is required. There must be at least one defined content block.",
        ),
        (
            html_first,
            "content",
            "If present, text/plain and text/html may only be provided once, and must be in that order.",
        ),
        (
            template.is_some_and(|id| id.starts_with("d-"))
                && each(mail).any(|one| one["substitutions"].is_object()),
            "personalizations.0.substitutions",
            "Substitutions may not be used with dynamic templating",
        ),
        (
            each(mail).any(|one| {
                one["custom_args"].is_object() && MOST_CUSTOM_ARGS < one["custom_args"].to_string().len()
            }),
            "personalizations.0.custom_args",
            "The custom_args must be less than 10000 bytes.",
        ),
        (
            MOST_CATEGORIES < categories.len() || has_doubles(&categories),
            "categories",
            "The categories must be unique and at most 10.",
        ),
        (
            ahead(mail) || each(mail).any(ahead),
            "send_at",
            "The send_at parameter is too far in the future: at most 72 hours.",
        ),
        (
            reserved(&mail["headers"]) || each(mail).any(|one| reserved(&one["headers"])),
            "headers",
            "The headers may not hold a reserved header.",
        ),
    ]
}

fn each(mail: &Value) -> impl Iterator<Item = &Value> {
    mail["personalizations"].as_array().into_iter().flatten()
}

fn addresses(personalization: &Value) -> Vec<String> {
    let lists = ["to", "cc", "bcc"].into_iter().filter_map(|list| personalization[list].as_array());
    lists.flatten().filter_map(|one| one["email"].as_str()).map(str::to_ascii_lowercase).collect()
}

fn has_doubles<T: std::hash::Hash + Eq>(all: &[T]) -> bool {
    all.iter().collect::<HashSet<_>>().len() < all.len()
}

fn reserved(headers: &Value) -> bool {
    let names = headers.as_object().into_iter().flat_map(|headers| headers.keys());
    names.into_iter().any(|name| RESERVED.contains(&&*name.to_ascii_lowercase()))
}

fn summary(mail: &Value, is_test: bool) -> Value {
    json!({
        "personalizations": each(mail).count(),
        "recipients": each(mail).map(|one| addresses(one).len()).sum::<usize>(),
        "attachments": mail["attachments"].as_array().map_or(0, Vec::len),
        "template": mail["template_id"].is_string(),
        "sandbox_mode": is_test,
    })
}

fn by_specification(violations: &[Violation]) -> Refusal {
    let one = |violation: &Violation| {
        let message = match violation.kind {
            Kind::Missing if violation.place() == "from.email" => {
                "The from object must be provided for every email send. It is an object that requires the email parameter, but may also contain a name parameter.".to_owned()
            }
            Kind::Missing => format!("The {} field is required.", violation.place()),
            _ if violation.dotted().ends_with("email") => "Does not contain a valid address.".to_owned(),
            _ => format!("Bad Request: {}", violation.what),
        };
        json!({ "message": message, "field": violation.place(), "help": HELP })
    };
    let errors: Vec<Value> = violations.iter().map(one).collect();
    let why = format!("against the specification at {}: {}", violations[0].place(), violations[0].what);
    Refusal::new(Answer::json(400, &json!({ "errors": errors })), why)
}

const HELP: &str = "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html";

fn refuse(status: u16, why: &str, message: &str, field: Option<&str>) -> Refusal {
    let body = json!({ "errors": [{ "message": message, "field": field, "help": null }] });
    Refusal::new(Answer::json(status, &body), why)
}

/// The body of a status.
pub(super) fn error(status: u16) -> Answer {
    let message = match status {
        401 => INVALID_GRANT,
        403 => {
            "The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved."
        }
        405 => "method not allowed",
        413 => "payload too large",
        429 => "too many requests",
        500.. => "Internal Server Error",
        _ => "Bad Request",
    };
    refuse(status, "", message, None).answer
}

/// SendGrid answers an empty body; one with errors inside is how a proxy in front of it fails.
pub(super) fn ok_with_error() -> Answer {
    Answer::json(
        200,
        &json!({ "errors": [{ "message": "Internal Server Error", "field": null, "help": null }] }),
    )
}
