//! What providers say of our allowance in the headers of their answers.
//!
//! Three families are read: `X-RateLimit-*` (SendGrid, OpenRouter, many others; the reset is a Unix time in seconds or
//! milliseconds, or seconds from now, told apart by magnitude), OpenAI's `x-ratelimit-*-requests` and `-tokens` (the reset
//! is written like `6m0s`), and the IETF's `RateLimit` in its older and its current form
//! (draft-ietf-httpapi-ratelimit-headers 06 and 08). Of several the one with the least left counts.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::header::HeaderMap;

use crate::MAX_RETRY_AFTER;

/// Unix time in milliseconds is above this, in seconds below it (the year 5138).
pub(crate) const SURELY_MILLISECONDS: i64 = 100_000_000_000;
/// Unix time in seconds is above this, a number of seconds to wait below it (September 2001).
const SURELY_UNIX_TIME: f64 = 1e9;

/// What is left of an allowance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// How many calls a window allows.
    pub limit: f64,
    /// How many are left in it.
    pub remaining: f64,
    /// When the window ends, if that was said.
    pub reset: Option<Reset>,
}

/// When a window ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// At this Unix time in milliseconds.
    At(u64),
    /// This long after the answer.
    After(Duration),
}

impl Usage {
    /// The share that is used up, 0 to 1.
    pub fn used(&self) -> f64 {
        (1.0 - self.remaining / self.limit).clamp(0.0, 1.0)
    }

    /// The words of the directive's warning, when less than a fifth is left.
    pub fn warning(&self) -> Option<String> {
        let (remaining, limit) = (self.remaining, self.limit);
        (remaining < limit * 0.2).then(|| format!("Rate limit warning: {remaining}/{limit} remaining"))
    }

    /// How long until the window ends, at most [`MAX_RETRY_AFTER`] whatever was said.
    pub fn left(&self, now_unix_ms: u64) -> Option<Duration> {
        let left = match self.reset? {
            Reset::At(at) => Duration::from_millis(at.saturating_sub(now_unix_ms)),
            Reset::After(wait) => wait,
        };
        Some(left.min(MAX_RETRY_AFTER))
    }

    /// How long it takes until there is more, when nothing is left: the wait of a refusal that names none itself. A Unix time
    /// needs a clock and is read with the answer (`exchange.rs`).
    pub(crate) fn until_more(self) -> Option<Duration> {
        match self.reset? {
            Reset::After(wait) if self.remaining < 1.0 => Some(wait.min(MAX_RETRY_AFTER)),
            _ => None,
        }
    }

    /// Reads the headers of an answer.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let found = [
            plain(headers, "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"),
            plain(
                headers,
                "x-ratelimit-limit-requests",
                "x-ratelimit-remaining-requests",
                "x-ratelimit-reset-requests",
            ),
            plain(
                headers,
                "x-ratelimit-limit-tokens",
                "x-ratelimit-remaining-tokens",
                "x-ratelimit-reset-tokens",
            ),
            plain(headers, "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"),
            structured(headers),
        ];
        found.into_iter().flatten().max_by(|one, other| one.used().total_cmp(&other.used()))
    }

    fn new(limit: f64, remaining: f64, reset: Option<Reset>) -> Option<Self> {
        let sane = limit.is_finite() && 0.0 < limit && remaining.is_finite() && 0.0 <= remaining;
        sane.then_some(Self { limit, remaining, reset })
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// A header for each of the three numbers. `ratelimit-limit` may go on after a comma (`100, 100;w=60`).
fn plain(headers: &HeaderMap, limit: &str, remaining: &str, reset: &str) -> Option<Usage> {
    let number = |name| text(headers, name)?.split([',', ';']).next()?.trim().parse::<f64>().ok();
    Usage::new(number(limit)?, number(remaining)?, text(headers, reset).and_then(read_reset))
}

/// `RateLimit: limit=100, remaining=50, reset=5`, or `RateLimit: "burst";r=50;t=5` beside
/// `RateLimit-Policy: "burst";q=100;w=60`.
fn structured(headers: &HeaderMap) -> Option<Usage> {
    let here = text(headers, "ratelimit")?;
    let policy = text(headers, "ratelimit-policy").unwrap_or_default();
    let limit = parameter(here, "limit").or_else(|| parameter(policy, "q"))?;
    let remaining = parameter(here, "remaining").or_else(|| parameter(here, "r"))?;
    let reset = parameter(here, "reset").or_else(|| parameter(here, "t"));
    Usage::new(limit, remaining, reset.and_then(seconds).map(Reset::After))
}

fn parameter(text: &str, name: &str) -> Option<f64> {
    let pairs = text.split([',', ';']).filter_map(|part| part.split_once('='));
    pairs.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name)?.1.parse().ok()
}

fn read_reset(text: &str) -> Option<Reset> {
    match text.parse::<f64>() {
        Ok(number) if (SURELY_MILLISECONDS as f64) < number => Some(Reset::At(number as u64)),
        Ok(number) if SURELY_UNIX_TIME < number => Some(Reset::At((number * 1_000.0) as u64)),
        Ok(number) => seconds(number).map(Reset::After),
        Err(_) => go_duration(text).map(Reset::After),
    }
}

fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok()
}

/// Go's way to write a duration: `1h2m3.5s`, `120ms`.
fn go_duration(mut text: &str) -> Option<Duration> {
    let mut sum = 0.0;
    while !text.is_empty() {
        let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = text[..digits].parse().ok()?;
        let rest = &text[digits..];
        let unit = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        sum += number
            * match &rest[..unit] {
                "h" => 3_600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "µs" | "us" => 1e-6,
                _ => return None,
            };
        text = &rest[unit..];
    }
    seconds(sum)
}

tokio::task_local! {
    static LISTENER: Heard;
}

/// Keeps what the answers of one call say of the allowance, so that no client has to carry it through.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Option<Usage>>>);

impl Heard {
    /// Runs a call and listens to its answers.
    pub(crate) async fn during<F: Future>(&self, call: F) -> F::Output {
        LISTENER.scope(self.clone(), call).await
    }

    /// What was said last.
    pub(crate) fn take(&self) -> Option<Usage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Tells whoever listens what an answer says. Nobody does outside the pipeline.
pub(crate) fn tell(headers: &HeaderMap) {
    let _ = LISTENER.try_with(|heard| {
        if let Some(usage) = Usage::of(headers) {
            *heard.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(usage);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &str)]) -> Option<(f64, f64, Option<u64>)> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let usage = Usage::of(&headers.collect::<HeaderMap>())?;
        Some((
            usage.limit,
            usage.remaining,
            usage.left(1_700_000_000_000).map(|left| left.as_millis() as u64),
        ))
    }

    #[test]
    fn every_family_of_headers_is_read() {
        let three = |reset| {
            read(&[
                ("x-ratelimit-limit", "600"),
                ("x-ratelimit-remaining", "42"),
                ("x-ratelimit-reset", reset),
            ])
        };

        assert_eq!(three("1700000030"), Some((600.0, 42.0, Some(30_000))));
        assert_eq!(three("1700000030500"), Some((600.0, 42.0, Some(30_500))));
        assert_eq!(three("30"), Some((600.0, 42.0, Some(30_000))));
        assert_eq!(three("6m0.5s"), Some((600.0, 42.0, Some(360_500))));
        assert_eq!(three("soon"), Some((600.0, 42.0, None)));
        assert_eq!(
            read(&[("ratelimit", "limit=100, remaining=50, reset=5")]),
            Some((100.0, 50.0, Some(5_000)))
        );
        assert_eq!(
            read(&[("ratelimit-policy", "\"burst\";q=100;w=60"), ("ratelimit", "\"burst\";r=7;t=9")]),
            Some((100.0, 7.0, Some(9_000)))
        );
    }

    #[test]
    fn of_several_allowances_the_scarcest_counts() {
        let usage = read(&[
            ("x-ratelimit-limit-requests", "100"),
            ("x-ratelimit-remaining-requests", "90"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-limit-tokens", "10000"),
            ("x-ratelimit-remaining-tokens", "100"),
            ("x-ratelimit-reset-tokens", "120ms"),
        ]);

        assert_eq!(usage, Some((10_000.0, 100.0, Some(120))));
    }

    #[test]
    fn nonsense_says_nothing() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[("x-ratelimit-limit", "0"), ("x-ratelimit-remaining", "0")]), None);
        assert_eq!(read(&[("x-ratelimit-limit", "nan"), ("x-ratelimit-remaining", "1")]), None);
        assert_eq!(read(&[("x-ratelimit-limit", "5"), ("x-ratelimit-remaining", "-1")]), None);
        assert_eq!(go_duration("5x"), None);
    }

    #[test]
    fn the_warning_comes_below_a_fifth() {
        let usage = |remaining| Usage { limit: 100.0, remaining, reset: None };

        assert_eq!(usage(20.0).warning(), None);
        assert_eq!(usage(19.0).warning().as_deref(), Some("Rate limit warning: 19/100 remaining"));
    }
}
