//! The transcripts of the pieces of a recording → one. Pure.
//!
//! Times count from the start of the whole. A recording in which nobody speaks has an empty transcript and says so
//! (`"silent": true`): it was heard and paid, and silence is what is in it, so the job succeeded. To fail it would only
//! make dead letters of buttons pressed by mistake.

use std::time::Duration;

use flota_providers::transcription::TranscriptFormat;
use serde_json::{Map, Value, json};

use super::subtitles;

/// Frames of a hundredth of a second, in which Whisper counts where a segment begins.
const FRAMES_PER_SECOND: f64 = 100.0;

/// One transcript from those of all pieces, each with the time at which it begins.
pub(super) fn joined(format: TranscriptFormat, mut pieces: Vec<(Duration, Value)>) -> Map<String, Value> {
    let mut result = match pieces.as_mut_slice() {
        [(_, only)] => only.as_object_mut().map(std::mem::take).unwrap_or_default(),
        _ if format == TranscriptFormat::VerboseJson => verbose(&pieces),
        _ => Map::from_iter([("text".to_owned(), text(format, &pieces).into())]),
    };
    result.remove("usage");
    let said = result.get("text").and_then(Value::as_str).unwrap_or_default();
    if subtitles::is_silent(format, said) {
        result.insert("silent".to_owned(), true.into());
    }
    result
}

fn text(format: TranscriptFormat, pieces: &[(Duration, Value)]) -> String {
    let texts: Vec<(Duration, &str)> =
        pieces.iter().map(|(from, piece)| (*from, piece["text"].as_str().unwrap_or_default())).collect();
    match format {
        TranscriptFormat::Srt => subtitles::srt(&texts),
        TranscriptFormat::Vtt => subtitles::vtt(&texts),
        TranscriptFormat::Json | TranscriptFormat::Text | TranscriptFormat::VerboseJson => {
            let said = texts.iter().map(|(_, text)| text.trim()).filter(|text| !text.is_empty());
            said.collect::<Vec<_>>().join(" ")
        }
    }
}

fn verbose(pieces: &[(Duration, Value)]) -> Map<String, Value> {
    let (mut segments, mut words, mut duration) = (Vec::new(), Vec::new(), 0.0);
    for (from, piece) in pieces {
        let from = from.as_secs_f64();
        duration += piece["duration"].as_f64().unwrap_or_default();
        for segment in piece["segments"].as_array().into_iter().flatten() {
            let mut segment = shifted(segment, from);
            segment["id"] = segments.len().into();
            if let Some(seek) = segment["seek"].as_f64() {
                segment["seek"] = ((seek + from * FRAMES_PER_SECOND).round() as u64).into();
            }
            segments.push(segment);
        }
        words.extend(piece["words"].as_array().into_iter().flatten().map(|word| shifted(word, from)));
    }
    let mut result = Map::from_iter([
        ("text".to_owned(), text(TranscriptFormat::VerboseJson, pieces).into()),
        ("duration".to_owned(), json!(duration)),
        ("segments".to_owned(), segments.into()),
    ]);
    // A piece in which nobody speaks may have any language.
    let spoken =
        pieces.iter().find(|(_, piece)| piece["text"].as_str().is_some_and(|text| !text.trim().is_empty()));
    if let Some(language) = spoken.and_then(|(_, piece)| piece.get("language")) {
        result.insert("language".to_owned(), language.clone());
    }
    if !words.is_empty() {
        result.insert("words".to_owned(), words.into());
    }
    result
}

fn shifted(timed: &Value, by: f64) -> Value {
    let mut timed = timed.clone();
    for name in ["start", "end"] {
        if let Some(time) = timed[name].as_f64() {
            timed[name] = json!(((time + by) * 1_000.0).round() / 1_000.0);
        }
    }
    timed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(first: Value, second: Value) -> Vec<(Duration, Value)> {
        vec![(Duration::ZERO, first), (Duration::from_millis(61_500), second)]
    }

    #[test]
    fn texts_follow_each_other_and_silent_pieces_add_nothing() {
        let both = pieces(json!({ "text": " Buenos días. " }), json!({ "text": "Adiós." }));
        let half = pieces(json!({ "text": "" }), json!({ "text": "Adiós." }));
        let none = pieces(json!({ "text": " " }), json!({ "text": "" }));

        assert_eq!(
            Value::Object(joined(TranscriptFormat::Json, both)),
            json!({ "text": "Buenos días. Adiós." })
        );
        assert_eq!(Value::Object(joined(TranscriptFormat::Text, half)), json!({ "text": "Adiós." }));
        assert_eq!(
            Value::Object(joined(TranscriptFormat::Json, none)),
            json!({ "text": "", "silent": true })
        );
    }

    #[test]
    fn segments_keep_their_time_in_the_whole() {
        let piece = |text: &str, language: &str| {
            json!({ "text": text, "language": language, "duration": 61.5, "usage": { "seconds": 62 },
                "segments": [{ "id": 0, "seek": 0, "start": 0.25, "end": 2.0, "text": text }] })
        };

        let whole =
            joined(TranscriptFormat::VerboseJson, pieces(piece("", "english"), piece("Adiós.", "spanish")));

        assert_eq!((&whole["language"], &whole["duration"]), (&json!("spanish"), &json!(123.0)));
        let second = json!({ "id": 1, "seek": 6_150, "start": 61.75, "end": 63.5, "text": "Adiós." });
        assert_eq!(whole["segments"][1], second);
        assert_eq!(whole.get("usage"), None);
    }

    #[test]
    fn words_keep_their_time_in_the_whole() {
        let piece = |word: &str| json!({ "text": word, "duration": 61.5, "segments": [], "words": [{ "word": word, "start": 0.5, "end": 1.25 }] });

        let whole = joined(TranscriptFormat::VerboseJson, pieces(piece("Hola"), piece("Adiós")));

        let [first, second] = [("Hola", 0.5, 1.25), ("Adiós", 62.0, 62.75)]
            .map(|(word, start, end)| json!({ "word": word, "start": start, "end": end }));
        assert_eq!(whole["words"], json!([first, second]));
    }

    #[test]
    fn one_piece_is_left_as_it_is() {
        let only = json!({ "text": "Hola", "segments": [], "words": [], "language": "spanish" });

        let whole = joined(TranscriptFormat::VerboseJson, vec![(Duration::ZERO, only.clone())]);

        assert_eq!(Value::Object(whole), only);
    }
}
