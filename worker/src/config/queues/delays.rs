//! A plan of delays instead of a doubling backoff: `backoff = "standard-webhooks"` or `backoff = ["5s", "5m"]`.
//!
//! A plan counts all failed runs of a job, whatever their class. Its last delay is repeated; how often a job is tried is
//! still for `max_attempts` and `tries`.

use std::time::Duration;

use toml::Value;

use super::{
    keys::spoken,
    problem::{Document, Problem},
    raw::RawQueue,
};

/// The plan of Standard Webhooks 1.0.0: the first try at once, then these delays, some 75 hours in all
/// (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#deliverability-and-reliability>).
const STANDARD_WEBHOOKS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];
/// Its name in the file.
const NAME: &str = "standard-webhooks";
/// Most delays of a plan: as many as a job may have failed runs.
const MOST: usize = 100;
/// Shortest and longest delay, in milliseconds.
const SHORTEST: u64 = 10;
const LONGEST: u64 = 7 * 24 * 60 * 60 * 1000;

/// What may stand for a plan, for sentences.
const INSTEAD: &str =
    r#"write "standard-webhooks", a list of times such as ["5s", "5m"], or { base = "1s", cap = "15m" }"#;

/// The row of the documentation.
pub(super) const ROW: &str = "| `backoff` | – | `\"10ms\"` | `\"7days\"` | Instead of `base` and `cap`: a list of \
    delays (`[\"5s\", \"5m\", \"1h\"]`), one for each failed run of any class, of which the last is repeated; or \
    `\"standard-webhooks\"` for 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h. Each is up to a fifth longer. A \
    `Retry-After` lengthens a delay of the list and never shortens it. |\n";

/// The plan of one table, if it has one. `path` is the way to the table.
pub(super) fn check(
    document: Document<'_>,
    path: &str,
    raw: &RawQueue,
    problems: &mut Vec<Problem>,
) -> Option<Vec<Duration>> {
    let written = raw.get("backoff.delays")?;
    let told = |fault: String| {
        let value = document.written(written.span());
        document.problem(written.span().start, format!("{path}.backoff = {value} {fault}"))
    };
    if raw.get("backoff.base").is_some() || raw.get("backoff.cap").is_some() {
        problems.push(told(
            "stands beside base or cap, which a list of delays replaces; remove one of them".to_owned(),
        ));
        return None;
    }
    match plan(written.get_ref()) {
        Ok(plan) => Some(plan),
        Err(fault) => {
            problems.push(told(fault));
            None
        }
    }
}

fn plan(value: &Value) -> Result<Vec<Duration>, String> {
    match value {
        Value::String(name) if name == NAME => Ok(STANDARD_WEBHOOKS.to_vec()),
        Value::Array(times) if times.is_empty() => Err(format!("is an empty list; {INSTEAD}")),
        Value::Array(times) if MOST < times.len() => {
            Err(format!("has {} delays; write at most {MOST}", times.len()))
        }
        Value::Array(times) => times.iter().map(delay).collect(),
        _ => Err(format!("is no plan of delays; {INSTEAD}")),
    }
}

fn delay(value: &Value) -> Result<Duration, String> {
    let text = value.as_str().ok_or_else(|| format!("holds {value}, which is not a time; {INSTEAD}"))?;
    let time = humantime::parse_duration(text)
        .map_err(|error| format!("holds \"{text}\", which is not a time ({error}); {INSTEAD}"))?;
    let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    if (SHORTEST..=LONGEST).contains(&milliseconds) {
        return Ok(time);
    }
    let (shortest, longest) = (spoken(SHORTEST), spoken(LONGEST));
    Err(format!("holds \"{text}\"; write times from \"{shortest}\" to \"{longest}\""))
}
