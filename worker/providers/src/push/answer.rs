//! What push services answer, and what it means.
//!
//! Statuses are those of RFC 8030; the words about keys are those of Google's, Apple's and Mozilla's services.

use super::{PROVIDER, SEND};
use crate::{ErrorClass, ProviderError, Standing, api::advice, exchange::HttpAnswer, text::one_line};

/// How much of a refusal is kept, in bytes.
const MOST_SAID: usize = 400;
/// How push services say that the browser subscribed with another key pair: Google's, Apple's and Mozilla's.
const OTHER_KEY: [&str; 3] = [
    "do not correspond to the credentials used to create the subscription",
    "VapidPkHashMismatch",
    "key mismatch",
];
/// The code of such a refusal.
pub(super) const VAPID_MISMATCH: &str = "vapid_mismatch";

/// The error for an answer that is no success.
pub(super) fn refused(answer: &HttpAnswer, now_unix: i64) -> ProviderError {
    let wait = answer.wait(now_unix);
    let said = one_line(&answer.body, MOST_SAID);
    let mismatch =
        matches!(answer.status, 400 | 401 | 403) && OTHER_KEY.iter().any(|word| said.contains(word));
    let class = match classify(answer.status) {
        _ if mismatch => ErrorClass::Gone,
        ErrorClass::RateLimited { .. } => ErrorClass::RateLimited { retry_after: wait },
        other => other,
    };
    let advice = match answer.status {
        _ if mismatch => {
            "The browser subscribed with another VAPID key; it has to subscribe again, or that key be put back."
        }
        404 | 410 => "The subscription has ended; delete it.",
        300..=399 => {
            "The subscription has moved and redirects are not followed; the browser has to subscribe again."
        }
        401 | 403 => {
            "It does not accept our signature; check the VAPID keys and that the browser subscribed with them."
        }
        413 => "The notification is too long for it; shorten it.",
        _ => advice(SEND, class),
    };
    let said = if said.is_empty() { said } else { format!(" It said: {said}") };
    let message = format!("The push service answered {}. {advice}{said}", answer.status);
    let code = if mismatch { VAPID_MISMATCH.to_owned() } else { answer.status.to_string() };
    // One browser may have subscribed with another key: no reason to let all others wait.
    let standing = if class == ErrorClass::Auth { Standing::OneRecipient } else { Standing::Answered };
    ProviderError::new(PROVIDER, SEND, class, message)
        .with_code(code)
        .with_server_wait(wait)
        .with_standing(standing)
}

/// What a status means. Pure; the wait is added by the caller.
fn classify(status: u16) -> ErrorClass {
    match status {
        404 | 410 => ErrorClass::Gone,
        401 | 403 => ErrorClass::Auth,
        // 406 is how the service of Windows says that it is too much (WNS).
        406 | 429 => ErrorClass::RateLimited { retry_after: None },
        408 | 425 | 500.. => ErrorClass::ServerError,
        _ => ErrorClass::Permanent,
    }
}
