//! So many calls per second, minute or day: the windows of each provider.
//!
//! In any window at most its calls and its burst are made. What is built in is what providers document; where a limit
//! depends on the account's plan nothing is built in, and the provider's own refusals are obeyed.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use flota_providers::{chat, email, push, sms, storage, tesseract, transcription, vision, webhook, whatsapp};

/// At most `calls` in `length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How long it is.
    pub length: Duration,
    /// Calls in it, evenly spread.
    pub calls: u32,
    /// Calls that may be made at once after a pause.
    pub burst: u32,
}

impl Window {
    /// A window of at least one call.
    pub fn new(length: Duration, calls: u32, burst: u32) -> Self {
        Self { length, calls: calls.max(1), burst: burst.max(1) }
    }

    /// The window whose burst is a tenth of it.
    pub fn with_tenth(length: Duration, calls: u32) -> Self {
        Self::new(length, calls, calls / 10)
    }

    /// Time between two calls.
    pub fn gap(&self) -> Duration {
        self.length / self.calls
    }
}

/// The windows of every provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderLimits(BTreeMap<&'static str, Vec<Window>>);

impl Default for ProviderLimits {
    /// What is built in.
    fn default() -> Self {
        let windows =
            |limit: &Limit| limit.windows.iter().map(|(length, calls)| Window::with_tenth(*length, *calls));
        Self(BUILT_IN.iter().map(|limit| (limit.provider, windows(limit).collect())).collect())
    }
}

impl ProviderLimits {
    /// The windows of this provider; none means that only its refusals count.
    pub fn of(&self, provider: &str) -> &[Window] {
        self.0.get(provider).map_or(&[], Vec::as_slice)
    }

    /// Replaces the windows of a provider.
    pub fn set(&mut self, provider: &'static str, windows: Vec<Window>) {
        self.0.insert(provider, windows);
    }
}

/// What is built in for one provider.
#[derive(Debug)]
pub struct Limit {
    /// Its name in metrics, receipts and `[providers.<name>]`.
    pub provider: &'static str,
    /// Length of each window, and calls in it.
    pub windows: &'static [(Duration, u32)],
    /// Most time for one call.
    pub timeout: Duration,
    /// Whose allowance it is, and where the numbers come from.
    pub about: &'static str,
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// Messages are accepted in a second or two. Of a mail server it is one step of the conversation: RFC 5321 section
/// 4.5.3.2 allows minutes, and a worker slot is too dear for that.
const MESSAGE: Duration = Duration::from_secs(20);
/// Tens of megabytes have to be uploaded.
const LARGE_MESSAGE: Duration = Duration::from_secs(40);
/// The least that Standard Webhooks 1.0.0 recommends: 15 to 30 seconds.
const RECEIVER: Duration = Duration::from_secs(15);
/// 100 MB have to go up or down.
const MEDIA: Duration = Duration::from_mins(2);
/// Models think, and long answers take their time.
const MODEL: Duration = Duration::from_mins(2);
/// 25 MiB have to be uploaded and listened to.
const SPEECH: Duration = Duration::from_mins(5);
/// 7 MB have to be uploaded and looked at.
const PICTURE: Duration = Duration::from_mins(1);

/// Jobs move files of up to 100 MB.
const STORED: Duration = Duration::from_mins(1);

/// A page of text on a slow core; three tries of it fit into the queue's own limit with room for the rest.
const RECOGNITION: Duration = Duration::from_secs(40);

/// Every provider, in the order of the documentation.
pub const BUILT_IN: &[Limit] = &[
    Limit {
        provider: email::sendgrid::PROVIDER,
        windows: &[],
        timeout: LARGE_MESSAGE,
        about: "One key; depends on the plan. 429 and `X-RateLimit-*` are obeyed.",
    },
    Limit {
        provider: email::ses::PROVIDER,
        windows: &[],
        timeout: LARGE_MESSAGE,
        about: "One account in one region: its sending rate and quota are its own, and count recipients \
                (<https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas.html>). Set `per_second` to the rate; \
                `Maximum sending rate exceeded` is obeyed.",
    },
    Limit {
        provider: email::SMTP,
        windows: &[],
        timeout: MESSAGE,
        about: "The mail server; its own limits are in its manual. A greeting with 421 is obeyed.",
    },
    Limit {
        provider: webhook::PROVIDER,
        windows: &[],
        timeout: RECEIVER,
        about: "Each endpoint by itself. 429 and `Retry-After` are obeyed.",
    },
    Limit {
        provider: push::PROVIDER,
        windows: &[],
        timeout: MESSAGE,
        about: "Each push service by itself. 429 and `Retry-After` are obeyed.",
    },
    Limit {
        provider: whatsapp::PROVIDER,
        windows: &[(SECOND, 80)],
        timeout: MESSAGE,
        about: "One phone number: 80 messages a second unless Meta has raised it, 20 for numbers in coexistence \
                (<https://developers.facebook.com/docs/whatsapp/cloud-api/overview#throughput>).",
    },
    Limit {
        provider: whatsapp::media::PROVIDER,
        windows: &[],
        timeout: MEDIA,
        about: "Files of one phone number, going up and down. The account's own limits are obeyed.",
    },
    Limit {
        provider: sms::PROVIDER,
        windows: &[],
        timeout: MESSAGE,
        about: "One account; messages above the rate of a number wait at Twilio. 429 is obeyed.",
    },
    Limit {
        provider: chat::PROVIDER,
        windows: &[],
        timeout: MODEL,
        about: "One key; depends on model and plan. 429, 503 and `X-RateLimit-*` are obeyed.",
    },
    Limit {
        provider: transcription::PROVIDER,
        windows: &[],
        timeout: SPEECH,
        about: "One key; depends on the plan. 429 and `x-ratelimit-*` are obeyed.",
    },
    Limit {
        provider: vision::PROVIDER,
        windows: &[(MINUTE, 1_800)],
        timeout: PICTURE,
        about: "One project: 1,800 requests a minute (<https://cloud.google.com/vision/quotas>).",
    },
    Limit {
        provider: tesseract::PROVIDER,
        windows: &[],
        timeout: RECOGNITION,
        about: "Each machine by itself: as many at a time as it has cores.",
    },
    Limit {
        provider: storage::PROVIDER,
        windows: &[],
        timeout: STORED,
        about: "One bucket. S3 takes thousands of requests a second and asks to slow down above; `SlowDown` is obeyed.",
    },
];

/// The table for `docs/configuration.md`.
pub fn markdown() -> String {
    let mut text = String::from("| provider | built in | `timeout` | whose allowance |\n|---|---|---|---|\n");
    for limit in BUILT_IN {
        let windows: Vec<String> =
            limit.windows.iter().map(|(length, calls)| format!("`{} = {calls}`", key_of(*length))).collect();
        let windows = if windows.is_empty() { "–".to_owned() } else { windows.join(", ") };
        // Writing into a String cannot fail.
        let timeout = humantime::format_duration(limit.timeout);
        let _ = writeln!(text, "| `{}` | {windows} | `{timeout}` | {} |", limit.provider, limit.about);
    }
    text
}

/// The key in `[providers.<name>]` for windows of this length.
fn key_of(length: Duration) -> &'static str {
    match length.as_secs() {
        0..=1 => "per_second",
        2..=60 => "per_minute",
        _ => "per_day",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::generated_text;

    #[test]
    fn the_documentation_is_the_table() {
        generated_text::check_part("docs/configuration.md", "providers", &markdown());
    }

    #[test]
    fn a_burst_is_a_tenth_and_at_least_one() {
        assert_eq!(Window::with_tenth(SECOND, 80).burst, 8);
        assert_eq!(Window::with_tenth(SECOND, 3).burst, 1);
        assert_eq!(ProviderLimits::default().of("whatsapp")[0].gap(), Duration::from_micros(12_500));
    }
}
