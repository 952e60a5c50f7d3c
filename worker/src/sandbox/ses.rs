//! AWS SES v2 `SendEmail`, against the model of AWS's own SDK, with the request's signature verified.

use serde_json::{Value, json};

use super::{
    call::{Answer, Call, Done, Outcome, Refusal},
    credential,
    house::new_id,
    schema::{Kind, SES_SEND},
    sigv4::{self, Signed, Untrue},
};

/// Largest message after base64, in bytes (SES quotas: 40 MB through the API v2).
const MOST_BYTES: usize = 40 * 1024 * 1024;
/// Most recipients over all three lists.
const MOST_RECIPIENTS: usize = 50;

/// `POST /v2/email/outbound-emails`.
pub(super) fn send(call: &Call<'_>) -> Outcome {
    signed(call)?;
    if MOST_BYTES < call.request.body.len() {
        return Err(refuse(400, "BadRequestException", "Message length is more than 41943040 bytes long."));
    }
    let mail: Value = serde_json::from_slice(&call.request.body)
        .map_err(|_| refuse(400, "SerializationException", "The body is no JSON document."))?;
    if let Some(violation) = SES_SEND.violations(&mail).first() {
        let place = violation.place();
        let detail = match violation.kind {
            Kind::Missing => {
                format!("Value at '{place}' failed to satisfy constraint: Member must not be null")
            }
            _ => format!("Value at '{place}' failed to satisfy constraint: {}", violation.what),
        };
        return Err(refuse(400, "BadRequestException", &format!("1 validation error detected: {detail}")));
    }
    for (is_wrong, message) in rules(&mail) {
        if is_wrong {
            return Err(refuse(400, "BadRequestException", message));
        }
    }
    let form = mail["Content"].as_object().and_then(|content| content.keys().next());
    let summary = json!({
        "recipients": recipients(&mail).count(),
        "content": form,
        "tags": mail["EmailTags"].as_array().map_or(0, Vec::len),
    });
    let id = format!("0100-{}-000000", new_id());
    Ok(Done::new(Answer::json(200, &json!({ "MessageId": id })), summary))
}

/// `GET /v2/email/account`: an account out of SES's own sandbox.
pub(super) fn account(call: &Call<'_>) -> Outcome {
    signed(call)?;
    let body = json!({
        "DedicatedIpAutoWarmupEnabled": false, "EnforcementStatus": "HEALTHY", "ProductionAccessEnabled": true,
        "SendingEnabled": true,
        "SendQuota": { "Max24HourSend": 50_000.0, "MaxSendRate": 14.0, "SentLast24Hours": 0.0 },
    });
    Ok(Done::plain(Answer::json(200, &body)))
}

/// What the reference says beyond the model.
fn rules(mail: &Value) -> Vec<(bool, &'static str)> {
    let content = mail["Content"].as_object();
    let forms = content.map_or(0, serde_json::Map::len);
    let tags = mail["EmailTags"].as_array().into_iter().flatten();
    let is_tag = |text: &Value| {
        let text = text.as_str().unwrap_or_default();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        (1..=256).contains(&text.len()) && text.bytes().all(plain)
    };
    let simple = &mail["Content"]["Simple"];
    let is_raw = mail["Content"]["Raw"].is_object();
    let no_body = simple.is_object() && simple["Body"].as_object().is_some_and(serde_json::Map::is_empty);
    let wrong_address = |address: &str| !address.contains('@') || address.contains(['\r', '\n']);
    vec![
        (forms != 1, "Content must have exactly one of Simple, Raw or Template."),
        (no_body, "Message body must have at least one of Text or Html."),
        (
            !is_raw && mail["FromEmailAddress"].as_str().is_none_or(wrong_address),
            "Missing or illegal address in FromEmailAddress",
        ),
        (!is_raw && recipients(mail).count() == 0, "Missing required header 'To'."),
        (MOST_RECIPIENTS < recipients(mail).count(), "Recipient count exceeds 50."),
        (recipients(mail).any(wrong_address), "Illegal address"),
        (
            tags.into_iter().any(|tag| !is_tag(&tag["Name"]) || !is_tag(&tag["Value"])),
            "Invalid tag: use A-Z, a-z, 0-9, _ and -.",
        ),
    ]
}

fn recipients(mail: &Value) -> impl Iterator<Item = &str> {
    let lists = ["ToAddresses", "CcAddresses", "BccAddresses"];
    let lists = lists.into_iter().filter_map(|list| mail["Destination"][list].as_array());
    lists.flatten().filter_map(Value::as_str)
}

/// Verifies the signature of SigV4; the service's name is `ses`, also of the API v2.
fn signed(call: &Call<'_>) -> Result<(), Refusal> {
    let header = call.header("authorization");
    if header.is_empty() {
        return Err(refuse(403, "MissingAuthenticationTokenException", "Missing Authentication Token"));
    }
    let incomplete = || {
        refuse(
            400,
            "IncompleteSignatureException",
            "Authorization header requires Credential, SignedHeaders and Signature.",
        )
    };
    let authorization = sigv4::parse(header).ok_or_else(incomplete)?;
    if !credential::is_accepted(authorization.access_key) {
        return Err(refuse(
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ));
    }
    if authorization.service != "ses" || authorization.region.is_empty() {
        return Err(mismatch("Credential should be scoped to correct service: 'ses'."));
    }
    let request = Signed {
        method: call.request.method.as_str(),
        path: &call.request.path,
        query: call.request.query.as_deref().unwrap_or_default(),
        headers: &call.request.headers,
        body: &call.request.body,
    };
    sigv4::verify(&request, &authorization, credential::AWS_SECRET, call.now_unix).map_err(|untrue| match untrue {
        Untrue::NoDate => refuse(403, "IncompleteSignatureException", "The request has no valid x-amz-date."),
        Untrue::Expired => refuse(403, "RequestExpired", "Signature expired: the clock is more than 5 minutes off."),
        Untrue::OtherDay => mismatch("Date in Credential scope does not match YYYYMMDD from x-amz-date."),
        Untrue::Unsigned => mismatch("'Host' and every x-amz- header must be a signed header."),
        Untrue::OtherBody => mismatch("The provided x-amz-content-sha256 does not match what was computed."),
        Untrue::Mismatch => mismatch("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method."),
    })
}

fn mismatch(message: &str) -> Refusal {
    refuse(403, "SignatureDoesNotMatch", message)
}

fn refuse(status: u16, kind: &str, message: &str) -> Refusal {
    let answer = Answer::json(status, &json!({ "message": message })).with("x-amzn-errortype", kind);
    Refusal::new(answer.with("x-amzn-requestid", new_id()), format!("{kind}: {message}"))
}

/// The body of a status, as the table of errors in the model has them.
pub(super) fn error(status: u16) -> Answer {
    let (kind, message) = match status {
        403 => ("AccessDeniedException", "User is not authorized to perform: ses:SendEmail"),
        404 => ("NotFoundException", "Configuration set does not exist."),
        429 => ("TooManyRequestsException", "Maximum sending rate exceeded."),
        500.. => ("InternalServerErrorException", "An internal error occurred."),
        _ => ("MessageRejected", "Email address is not verified."),
    };
    refuse(status, kind, message).answer
}

/// SES has no such answer of its own; this is a success without the id that it promises.
pub(super) fn ok_with_error() -> Answer {
    Answer::json(200, &json!({ "message": "An internal error occurred." }))
}
