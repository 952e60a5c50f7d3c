//! `[transcription]` of queues.toml: prices by the minute, and the longest recording.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use crate::llm::Dollars;

/// Seconds that a length may be: half a minute to half a day.
const LONGEST: std::ops::RangeInclusive<u64> = 30..=12 * 3_600;
const A_MINUTE: f64 = 60.0;

/// Everything about transcription that is set.
#[derive(Debug, Clone, PartialEq)]
pub struct SpeechSettings {
    /// The longest recording that is transcribed.
    pub longest: Duration,
    /// The longest recording of one call, where that is less than what the model takes.
    pub longest_call: Option<Duration>,
    /// What a minute costs, in dollars, by model.
    pub prices: BTreeMap<String, f64>,
}

/// The table as written. Each part that is there replaces the built-in one as a whole.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Written {
    longest: Option<String>,
    longest_call: Option<String>,
    prices: Option<BTreeMap<String, f64>>,
}

impl SpeechSettings {
    /// What is built in: the prices of OpenAI (<https://platform.openai.com/docs/pricing>, November 2026). Those of the
    /// `gpt-4o` family are its own estimates: it bills tokens.
    pub fn built_in() -> Self {
        let prices = [
            ("whisper-1", 0.006),
            ("gpt-4o-transcribe", 0.006),
            ("gpt-4o-mini-transcribe", 0.003),
            ("gpt-4o-transcribe-diarize", 0.006),
        ];
        let prices = prices.into_iter().map(|(model, price)| (model.to_owned(), price)).collect();
        Self { longest: Duration::from_hours(4), longest_call: None, prices }
    }

    /// What is written in the place of what is built in.
    ///
    /// # Errors
    /// Every part that cannot be meant, as the rest of a sentence that starts with `transcription.`.
    pub fn of(written: Written) -> Result<Self, Vec<String>> {
        let built_in = Self::built_in();
        let prices = written.prices.unwrap_or(built_in.prices);
        let mut problems = Vec::new();
        let mut length = |key: &str, written: Option<String>| {
            let text = written?;
            let time = humantime::parse_duration(&text).ok().filter(|time| LONGEST.contains(&time.as_secs()));
            if time.is_none() {
                problems.push(format!("{key} = \"{text}\" is no length; write \"30s\" to \"12h\""));
            }
            time
        };
        let longest = length("longest", written.longest).unwrap_or(built_in.longest);
        let longest_call = length("longest_call", written.longest_call);
        for (model, price) in prices.iter().filter(|(_, price)| !(0.0..=100.0).contains(*price)) {
            problems.push(format!(
                "prices.\"{model}\" = {price} is no price; write dollars per minute, 0 to 100"
            ));
        }
        if problems.is_empty() { Ok(Self { longest, longest_call, prices }) } else { Err(problems) }
    }

    /// What so many seconds cost; `None` for a model without a price.
    pub fn cost(&self, model: &str, seconds: u64) -> Option<Dollars> {
        self.prices.get(model).map(|price| Dollars::new(price * seconds as f64 / A_MINUTE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_costs_its_price_and_a_second_a_sixtieth() {
        let settings = SpeechSettings::built_in();

        assert_eq!(settings.cost("whisper-1", 60), Some(Dollars::new(0.006)));
        assert_eq!(settings.cost("whisper-1", 7), Some(Dollars::new(0.0007)));
        assert_eq!(settings.cost("gpt-4o-mini-transcribe", 1).map(Dollars::nanos), Some(50_000));
        assert_eq!(settings.cost("own/model", 7), None);
    }
}
