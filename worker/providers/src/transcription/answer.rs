//! Answers of the API: a transcript in the form that was asked for, and what a call has taken.

use serde_json::{Map, Value};

use super::TranscriptFormat;
use crate::{ErrorClass, ProviderError, exchange::HttpAnswer};

/// What a verbose answer is about; the rest (`task`) is known.
const VERBOSE: [&str; 5] = ["language", "duration", "segments", "words", "usage"];

/// What a failed call took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Took {
    /// Nothing: it was refused, or never sent.
    Nothing,
    /// Nobody said, and it may be billed: it was sent and its answer was lost or cut off.
    Untold,
}

/// What a failed call took, as far as can be told.
pub fn took(error: &ProviderError) -> Took {
    if error.was_not_sent() || error.was_not_connected() {
        return Took::Nothing;
    }
    match (error.class, error.code.as_deref().unwrap_or_default()) {
        (ErrorClass::Timeout | ErrorClass::Network | ErrorClass::Ambiguous, _)
        // A gateway in between gave up, or the answer did not come whole.
        | (_, "timeout" | "408" | "504" | "524" | "unreadable" | "too_long" | "200") => Took::Untold,
        _ => Took::Nothing,
    }
}

/// `text` and `usage`, and of a verbose answer what else is in it. `None` for a success that is no transcript.
pub(super) fn read(answer: &HttpAnswer, format: TranscriptFormat) -> Option<Map<String, Value>> {
    match format {
        TranscriptFormat::Json => fields(answer, &["usage"]),
        TranscriptFormat::VerboseJson => {
            fields(answer, &VERBOSE).filter(|found| found.get("segments").is_some_and(Value::is_array))
        }
        TranscriptFormat::Text | TranscriptFormat::Srt | TranscriptFormat::Vtt => {
            let text = str::from_utf8(&answer.body).ok()?;
            let fits = match format {
                TranscriptFormat::Srt => text.trim().is_empty() || text.contains(" --> "),
                TranscriptFormat::Vtt => text.starts_with("WEBVTT"),
                // An error inside a success is JSON.
                _ => answer.json::<Map<String, Value>>().is_none_or(|inside| !inside.contains_key("error")),
            };
            fits.then(|| Map::from_iter([("text".to_owned(), text.trim_end().into())]))
        }
    }
}

fn fields(answer: &HttpAnswer, wanted: &[&str]) -> Option<Map<String, Value>> {
    let mut whole = answer.json::<Map<String, Value>>()?;
    let text = whole.remove("text").filter(Value::is_string)?;
    let mut found = Map::from_iter([("text".to_owned(), text)]);
    for name in wanted {
        found.extend(whole.remove_entry(*name).filter(|(_, value)| !value.is_null()));
    }
    Some(found)
}
