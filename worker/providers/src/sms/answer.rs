//! What Twilio answers, and what it means.
//!
//! Refusals carry a number of their own (<https://www.twilio.com/docs/api/errors>), which says more than the HTTP status.

use serde::Deserialize;

use super::{PROVIDER, SEND};
use crate::{
    ErrorClass, ProviderError,
    api::{Api, advice},
    exchange::HttpAnswer,
};

/// The recipient said STOP.
const STOPPED: i64 = 21_610;

#[derive(Deserialize)]
struct Refused {
    code: i64,
    #[serde(default)]
    message: String,
}

/// True when the recipient wants no messages.
pub fn has_opted_out(error: &ProviderError) -> bool {
    error.provider == PROVIDER && error.code.as_deref() == Some("21610")
}

/// The error for an answer that is no success, or none that can be read.
pub(super) fn refused(
    api: &Api,
    operation: &'static str,
    answer: &HttpAnswer,
    now_unix: i64,
) -> ProviderError {
    let wait = answer.wait(now_unix);
    let refused: Option<Refused> = answer.json();
    let code = refused.as_ref().map_or(0, |refused| refused.code);
    let class = match classify(code, answer.status) {
        ErrorClass::RateLimited { .. } => ErrorClass::RateLimited { retry_after: wait },
        other => other,
    };
    let said =
        refused.map_or_else(|| String::from_utf8_lossy(&answer.body).into_owned(), |refused| refused.message);
    let code = if code == 0 { i64::from(answer.status) } else { code };
    api.error(operation, class, help(operation, code, class), &said)
        .with_code(code.to_string())
        .with_server_wait(wait)
}

/// The error for a message that was taken and has failed already.
pub(super) fn failed(api: &Api, code: i64, said: &str) -> ProviderError {
    // It was not delivered, so there is nothing to be done twice.
    let class = match classify(code, 200) {
        ErrorClass::Ambiguous => ErrorClass::Permanent,
        class => class,
    };
    api.error(SEND, class, help(SEND, code, class), said).with_code(code.to_string())
}

fn help(operation: &str, code: i64, class: ErrorClass) -> &'static str {
    match code {
        STOPPED => "The recipient answered STOP; send nothing until they answer START.",
        21_408 => "Sending to this country is switched off; switch it on in the account's geo permissions.",
        21_608 => "A trial account sends to verified numbers only; verify this one, or upgrade the account.",
        20_003 => {
            "Twilio does not accept the account and token; check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN."
        }
        21_212 | 21_603 | 21_606 | 21_659 | 21_660 | 21_661 => {
            "The sender is not one of the account; check TWILIO_PHONE_NUMBER."
        }
        21_701 | 21_703 | 21_705 => {
            "The messaging service does not exist or has no numbers; check TWILIO_MESSAGING_SERVICE_SID."
        }
        21_609 => "The address for delivery reports is not accepted; check TWILIO_STATUS_CALLBACK_URL.",
        _ => advice(operation, class),
    }
}

/// What a code and a status mean. Pure; the wait is added by the caller.
fn classify(code: i64, status: u16) -> ErrorClass {
    match code {
        // Credentials, a closed account, or a sender or setting that is not ours: every job would fail alike.
        10_001 | 20_003 | 20_005 | 20_006 | 21_212 | 21_603 | 21_606 | 21_609 | 21_659 | 21_660 | 21_661
        | 21_701 | 21_703 | 21_705 | 30_002 | 30_032 | 30_034 => ErrorClass::Auth,
        30_023 | 30_027 | 30_037 | 63_038 => ErrorClass::Quota,
        14_107 | 20_429 | 21_611 | 30_001 | 30_022 => ErrorClass::RateLimited { retry_after: None },
        STOPPED => ErrorClass::Gone,
        20_500 | 20_503 => ErrorClass::ServerError,
        // No such number, country or route, and what the carrier did not deliver.
        21_211 | 21_408 | 21_602 | 21_604 | 21_605 | 21_608 | 21_612 | 21_614 | 21_617 | 30_003..=30_008 => {
            ErrorClass::Permanent
        }
        _ => by_status(status),
    }
}

/// For codes that the table does not know.
fn by_status(status: u16) -> ErrorClass {
    match status {
        // A success that cannot be read was probably carried out, and a gateway that gave up does not know.
        200..=299 | 502 | 504 => ErrorClass::Ambiguous,
        401 | 403 => ErrorClass::Auth,
        402 => ErrorClass::Quota,
        429 => ErrorClass::RateLimited { retry_after: None },
        408 | 409 | 425 | 500.. => ErrorClass::ServerError,
        _ => ErrorClass::Permanent,
    }
}
