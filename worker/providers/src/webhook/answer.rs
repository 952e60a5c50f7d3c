//! What an endpoint's reply means for a delivery.
//!
//! Standard Webhooks 1.0.0 accepts only 2xx, never follows redirects, takes 410 as "disable me" and repeats
//! everything else. The integration rules of this system do not repeat client errors (4xx), because the same
//! request gets the same answer; they win here, except for 408, 409, 425 and 429, which are about the moment and
//! not about the request. A redirect is refused like a client error: the registered URL has to change.

use reqwest::{
    Response, StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::{PROVIDER, deliver::DELIVER};
use crate::{ErrorClass, ProviderError, Receipt, parse_retry_after, text::one_line};

/// How much of a reply is read before the connection is given up, in bytes.
const MOST_READ_BYTES: usize = 64 * 1024;
/// How much of a reply is kept for people to look at, in bytes.
const MOST_KEPT_BYTES: usize = 1024;

/// The parts of a reply that matter.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    retry_after: Option<String>,
    sample: String,
}

impl Answer {
    /// Reads at most [`MOST_READ_BYTES`] until `deadline`. The status has already decided, so a body that is too
    /// long, too slow or broken only makes the sample shorter.
    pub(super) async fn read(mut response: Response, deadline: Instant) -> Self {
        let mut kept = Vec::with_capacity(MOST_KEPT_BYTES);
        let mut read = 0;
        while read < MOST_READ_BYTES {
            let Ok(Ok(Some(chunk))) = timeout_at(deadline, response.chunk()).await else {
                break;
            };
            read += chunk.len();
            kept.extend_from_slice(&chunk[..chunk.len().min(MOST_KEPT_BYTES - kept.len())]);
        }
        Self {
            status: response.status(),
            retry_after: header_text(response.headers()),
            sample: one_line(&kept, MOST_KEPT_BYTES),
        }
    }

    /// A receipt for 2xx, else the classified error.
    pub(super) fn judge(self, id: &str, now_unix: i64) -> Result<Receipt, ProviderError> {
        if self.status.is_success() {
            let detail = json!({ "status": self.status.as_u16(), "body": self.sample });
            return Ok(Receipt {
                provider: PROVIDER,
                provider_ref: Some(id.to_owned()),
                detail: Some(detail),
            });
        }
        let wait = self.retry_after.as_deref().and_then(|value| parse_retry_after(value, now_unix));
        let class = match classify(self.status) {
            ErrorClass::RateLimited { .. } => ErrorClass::RateLimited { retry_after: wait },
            other => other,
        };
        Err(ProviderError::new(PROVIDER, DELIVER, class, self.sentence())
            .with_code(self.status.as_str())
            .with_server_wait(wait))
    }

    fn sentence(&self) -> String {
        let advice = match self.status.as_u16() {
            300..=399 => "Redirects are not followed; register the final URL.",
            410 => "It asks for no more deliveries; disable it, or register a new URL.",
            401 | 403 => "It does not accept the delivery; check the signing secret and its access rules.",
            429 => "It asks to slow down.",
            408 | 409 | 425 | 500..=599 => "Its own log should say why.",
            _ => "The same request would be refused again; look at the endpoint's log, then replay the job.",
        };
        let said = if self.sample.is_empty() { String::new() } else { format!(" It said: {}", self.sample) };
        format!("The endpoint answered {}. {advice}{said}", self.status)
    }
}

fn header_text(headers: &HeaderMap) -> Option<String> {
    headers.get(RETRY_AFTER)?.to_str().ok().map(ToOwned::to_owned)
}

/// The class of a status that is not 2xx. Pure; the wait is added by the caller.
fn classify(status: StatusCode) -> ErrorClass {
    match status.as_u16() {
        410 => ErrorClass::Gone,
        429 => ErrorClass::RateLimited { retry_after: None },
        408 | 409 | 425 | 500..=599 => ErrorClass::ServerError,
        _ => ErrorClass::Permanent,
    }
}
