//! What an endpoint's reply means for a delivery.
//!
//! Standard Webhooks 1.0.0 accepts only 2xx, never follows redirects, takes 410 as "disable me" and repeats
//! everything else after its plan. So does this: a receiver that answers 401 or 404 during a deploy, or redirects until
//! its URL is registered anew, must not lose events. What no answer can mend (an address that is refused, an id that is
//! no id) fails for good before anything is sent (`deliver.rs`).

use std::time::Duration;

use reqwest::{
    Response, StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::{PROVIDER, deliver::DELIVER, redact::redact};
use crate::{ErrorClass, ProviderError, Receipt, Standing, parse_retry_after, text::one_line};

/// How much of a reply is read before the connection is given up, in bytes.
const MOST_READ_BYTES: usize = 64 * 1024;
/// How much of a reply is looked at for secrets, in bytes: more than is kept, so that none is cut in two unseen.
const MOST_SEARCHED_BYTES: usize = 4 * 1024;
/// How much of a reply is kept for people to look at, in bytes.
const MOST_KEPT_BYTES: usize = 1024;

/// The parts of a reply that matter.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    retry_after: Option<String>,
    /// From the start of the request until the answer had arrived.
    took: Duration,
    sample: String,
}

impl Answer {
    /// Reads at most [`MOST_READ_BYTES`] until `deadline`. The status has already decided, so a body that is too
    /// long, too slow or broken only makes the sample shorter. `secrets` are texts that are not kept.
    pub(super) async fn read(
        mut response: Response,
        began: Instant,
        deadline: Instant,
        secrets: &[String],
    ) -> Self {
        let mut kept = Vec::with_capacity(MOST_KEPT_BYTES);
        let mut read = 0;
        while read < MOST_READ_BYTES {
            let Ok(Ok(Some(chunk))) = timeout_at(deadline, response.chunk()).await else {
                break;
            };
            read += chunk.len();
            kept.extend_from_slice(&chunk[..chunk.len().min(MOST_SEARCHED_BYTES - kept.len())]);
        }
        Self {
            status: response.status(),
            retry_after: header_text(response.headers()),
            took: began.elapsed(),
            sample: sample(&kept, secrets),
        }
    }

    /// A receipt for 2xx, else the classified error; both with what was answered.
    pub(super) fn judge(self, id: &str, now_unix: i64) -> Result<Receipt, ProviderError> {
        let detail = self.detail();
        if self.status.is_success() {
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
        let is_overloaded = matches!(self.status.as_u16(), 502 | 504);
        let standing = if is_overloaded { Standing::Overloaded } else { Standing::Answered };
        Err(ProviderError::new(PROVIDER, DELIVER, class, self.sentence())
            .with_code(self.status.as_str())
            .with_server_wait(wait)
            .with_standing(standing)
            .with_detail(detail))
    }

    /// What is kept of the answer.
    fn detail(&self) -> Value {
        let duration_ms = self.took.as_millis() as u64;
        json!({ "status": self.status.as_u16(), "duration_ms": duration_ms, "body": self.sample })
    }

    fn sentence(&self) -> String {
        let advice = match self.status.as_u16() {
            300..=399 => "Redirects are not followed; register the final URL before the last try.",
            410 => "It asks for no more deliveries; disable it, or register a new URL.",
            401 | 403 => "It does not accept the delivery; check the signing secret and its access rules.",
            429 => "It asks to slow down.",
            502 | 504 => {
                "Its server behind a gateway does not answer; everything for this endpoint is slowed down."
            }
            _ => "Its own log should say why.",
        };
        let said = if self.sample.is_empty() { String::new() } else { format!(" It said: {}", self.sample) };
        format!("The endpoint answered {}. {advice}{said}", self.status)
    }
}

/// The start of a body as one line without secrets. Of a longer body the last word may be half a secret: it is left out.
fn sample(body: &[u8], secrets: &[String]) -> String {
    let mut text = String::from_utf8_lossy(body).into_owned();
    if body.len() == MOST_SEARCHED_BYTES {
        let half = text.floor_char_boundary(MOST_SEARCHED_BYTES / 2);
        text.truncate(text.rfind(char::is_whitespace).unwrap_or(half));
    }
    one_line(redact(&text, secrets).as_bytes(), MOST_KEPT_BYTES)
}

fn header_text(headers: &HeaderMap) -> Option<String> {
    headers.get(RETRY_AFTER)?.to_str().ok().map(ToOwned::to_owned)
}

/// The class of a status that is not 2xx. Pure; the wait is added by the caller.
fn classify(status: StatusCode) -> ErrorClass {
    match status.as_u16() {
        410 => ErrorClass::Gone,
        429 => ErrorClass::RateLimited { retry_after: None },
        _ => ErrorClass::ServerError,
    }
}
