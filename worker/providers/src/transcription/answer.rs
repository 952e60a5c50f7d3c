//! Answers of the API: a transcript in the form that was asked for.

use serde_json::{Map, Value};

use super::TranscriptFormat;
use crate::exchange::HttpAnswer;

/// What a verbose answer is about; the rest (`task`) is known.
const VERBOSE: [&str; 5] = ["language", "duration", "segments", "words", "usage"];

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
