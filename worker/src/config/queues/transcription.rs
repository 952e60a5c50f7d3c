//! `[transcription]`: prices by the minute, and the longest recording.

use toml::{Spanned, Value};

use super::problem::{Document, Problem};
use crate::transcription::{SpeechSettings, Written};

/// What is written, in the place of what is built in.
pub(super) fn check(
    document: Document<'_>,
    raw: Option<&Spanned<Value>>,
    problems: &mut Vec<Problem>,
) -> SpeechSettings {
    let Some(raw) = raw else { return SpeechSettings::built_in() };
    let written = raw.get_ref().clone().try_into::<Written>();
    let checked =
        written.map_err(|error| vec![format!(": {}", error.message())]).and_then(SpeechSettings::of);
    checked.unwrap_or_else(|faults| {
        for fault in faults {
            let dot = if fault.starts_with(':') { "" } else { "." };
            problems.push(document.problem(raw.span().start, format!("transcription{dot}{fault}")));
        }
        SpeechSettings::built_in()
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        config::{Queues, queues::parse},
        transcription::SpeechSettings,
    };

    #[test]
    fn the_built_in_file_says_what_the_code_says() {
        assert_eq!(Queues::built_in().unwrap().speech, SpeechSettings::built_in());
    }

    #[test]
    fn what_is_written_replaces_a_part_and_leaves_the_others() {
        let text = "[queues.x]\n[transcription]\nlongest = \"90m\"\nlongest_call = \"5m\"\n";

        let speech = parse("queues.toml", text).unwrap().speech;

        assert_eq!(speech.longest, Duration::from_mins(90));
        assert_eq!(speech.longest_call, Some(Duration::from_mins(5)));
        assert_eq!(speech.prices, SpeechSettings::built_in().prices);
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        let cases = [
            ("[transcription]\nprice = 1", "transcription: unknown field `price`"),
            ("[transcription]\nlongest = \"13h\"", "transcription.longest = \"13h\" is no length"),
            ("[transcription]\nlongest_call = \"1s\"", "transcription.longest_call = \"1s\" is no length"),
            ("[transcription]\nlongest = \"soon\"", "write \"30s\" to \"12h\""),
            ("[transcription.prices]\nm = -1.0", "transcription.prices.\"m\" = -1 is no price"),
            ("[transcription.prices]\nm = 6000.0", "dollars per minute, 0 to 100"),
        ];
        for (text, sentence) in cases {
            let told = parse("queues.toml", &format!("[queues.x]\n{text}\n")).unwrap_err().to_string();

            assert!(told.starts_with("queues.toml:2: ") && told.contains(sentence), "{text}: {told}");
        }
    }
}
