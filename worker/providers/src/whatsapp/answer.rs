//! What the Cloud API answers, and what it means.
//!
//! Meta says to decide on `error.code` and not on the HTTP status: throttling often comes as 400. The table of codes is
//! that of <https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes>.

use std::{collections::HashMap, time::Duration};

use serde::Deserialize;

use super::PROVIDER;
use crate::{
    ErrorClass, ProviderError, Standing,
    api::{Api, advice},
    exchange::HttpAnswer,
    retry_after::MAX_RETRY_AFTER,
};

/// How long Meta asks to leave a user alone whom it keeps from too many messages (131049).
pub const LEAVE_ALONE: Duration = Duration::from_hours(24);
/// Limits of an app or account are counted by the hour; a minute is soon enough to ask again.
const ACCOUNT_LIMIT: Duration = Duration::from_mins(1);
/// Too many messages from our number to this one recipient.
const TOO_MANY_FOR_THE_PAIR: i64 = 131_056;
/// The user has not written for 24 hours.
const WINDOW_CLOSED: i64 = 131_047;
/// Meta keeps the user from too many messages.
const HEALTHY_ECOSYSTEM: i64 = 131_049;
/// The user wants no messages: said so, or blocked us.
const OPTED_OUT: [i64; 2] = [131_050, 130_403];
/// How an account's use of the API is told: for each account, how long until it may be used again.
const USAGE: &str = "x-business-use-case-usage";

#[derive(Deserialize)]
struct Refused {
    error: GraphError,
}

#[derive(Deserialize)]
struct GraphError {
    #[serde(default)]
    message: String,
    /// Missing where the answer is not Meta's own, for example that of a gateway.
    #[serde(default)]
    code: Option<i64>,
    #[serde(default)]
    is_transient: bool,
    #[serde(default)]
    error_data: Option<ErrorData>,
}

#[derive(Deserialize)]
struct ErrorData {
    #[serde(default)]
    details: String,
}

#[derive(Deserialize)]
struct AccountUsage {
    /// Minutes.
    #[serde(default)]
    estimated_time_to_regain_access: u64,
}

/// True when only a template may be sent, because the user has not written for 24 hours.
pub fn window_is_closed(error: &ProviderError) -> bool {
    has_code(error, &[WINDOW_CLOSED])
}

/// True when the user wants no messages.
pub fn has_opted_out(error: &ProviderError) -> bool {
    has_code(error, &OPTED_OUT)
}

/// True when Meta asks to leave the user alone for [`LEAVE_ALONE`].
pub fn is_left_alone(error: &ProviderError) -> bool {
    has_code(error, &[HEALTHY_ECOSYSTEM])
}

/// True for the codes of a token that is good and lacks a permission.
pub(super) fn is_permission(code: i64) -> bool {
    matches!(code, 3 | 10 | 200..=299)
}

fn has_code(error: &ProviderError, codes: &[i64]) -> bool {
    let code = error.code.as_deref().and_then(|code| code.parse().ok());
    error.provider == PROVIDER && code.is_some_and(|code| codes.contains(&code))
}

/// The error for an answer that is not what was asked for. `unknown` is the class of a call of which nobody knows whether
/// it was carried out: a success that cannot be read, a gateway that gave up.
pub(super) fn refused(
    api: &Api,
    operation: &'static str,
    answer: &HttpAnswer,
    unknown: ErrorClass,
) -> ProviderError {
    let Some(Refused { error }) = answer.json() else {
        let class = by_status(answer.status, unknown);
        let said = String::from_utf8_lossy(&answer.body);
        return api
            .error(operation, class, advice(operation, class), &said)
            .with_code(answer.status.to_string());
    };
    let (class, wait) = match error.code {
        Some(code) => classify(code, error.is_transient, answer.status, unknown),
        None => (by_status(answer.status, unknown), None),
    };
    let code = error.code.unwrap_or(i64::from(answer.status));
    let class = match (class, account_wait(answer)) {
        (ErrorClass::RateLimited { .. }, Some(wait)) => ErrorClass::RateLimited { retry_after: Some(wait) },
        (class, _) => class,
    };
    let details = error.error_data.map(|data| data.details).unwrap_or_default();
    let standing =
        if error.code == Some(TOO_MANY_FOR_THE_PAIR) { Standing::OneRecipient } else { Standing::Answered };
    api.error(operation, class, help(operation, code, class), &format!("{} {details}", error.message))
        .with_code(code.to_string())
        .with_server_wait(wait)
        .with_standing(standing)
}

fn help(operation: &str, code: i64, class: ErrorClass) -> &'static str {
    match code {
        WINDOW_CLOSED => "More than 24 hours have passed since the user wrote; send a template instead.",
        HEALTHY_ECOSYSTEM => {
            "Meta keeps this user from too many messages; one more try is made after 24 hours."
        }
        131_050 | 130_403 => "The user wants no messages; send none until they write.",
        132_000..=132_068 => {
            "Compare the job with the template in WhatsApp Manager; the same request would be refused again."
        }
        _ => advice(operation, class),
    }
}

/// What a code means, and how long to wait; `unknown` as for [`by_status`]. Pure.
fn classify(
    code: i64,
    is_transient: bool,
    status: u16,
    unknown: ErrorClass,
) -> (ErrorClass, Option<Duration>) {
    let class = match code {
        0 | 3 | 10 | 190 | 200..=299 | 368 | 131_005 | 131_031 | 131_037 | 131_045 | 133_010 => {
            ErrorClass::Auth
        }
        131_042 | 131_048 => ErrorClass::Quota,
        4 | 80_007 | 80_008 => ErrorClass::RateLimited { retry_after: Some(ACCOUNT_LIMIT) },
        TOO_MANY_FOR_THE_PAIR | 130_429 | 132_069 => ErrorClass::RateLimited { retry_after: None },
        HEALTHY_ECOSYSTEM => return (ErrorClass::ServerError, Some(LEAVE_ALONE)),
        2 | 131_000 | 131_016 | 131_052 | 131_057 | 133_004 => ErrorClass::ServerError,
        _ if is_transient => ErrorClass::ServerError,
        1
        | 33
        | 100
        | 130_403
        | 130_472
        | 131_008
        | 131_009
        | 131_021
        | 131_026
        | 131_030
        | WINDOW_CLOSED
        | 131_050
        | 131_051
        | 131_053
        | 132_000..=132_068
        | 135_000 => ErrorClass::Permanent,
        _ => by_status(status, unknown),
    };
    (class, None)
}

/// For answers without a code, or with one that the table does not know. `unknown` is the class of a call of which nobody
/// knows whether it was carried out.
fn by_status(status: u16, unknown: ErrorClass) -> ErrorClass {
    match status {
        // A success that cannot be read was probably carried out, and a gateway that gave up does not know.
        200..=299 | 502 | 504 => unknown,
        401 => ErrorClass::Auth,
        429 => ErrorClass::RateLimited { retry_after: None },
        500.. => ErrorClass::ServerError,
        _ => ErrorClass::Permanent,
    }
}

/// How long until every account may be used again, when Meta says so.
fn account_wait(answer: &HttpAnswer) -> Option<Duration> {
    let accounts: HashMap<String, Vec<AccountUsage>> = serde_json::from_str(answer.header(USAGE)?).ok()?;
    let minutes = accounts.values().flatten().map(|usage| usage.estimated_time_to_regain_access).max()?;
    (0 < minutes).then(|| Duration::from_secs(minutes.saturating_mul(60)).min(MAX_RETRY_AFTER))
}
