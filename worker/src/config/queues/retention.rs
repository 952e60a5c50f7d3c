//! `[retention]`: how long history is kept.

use std::time::Duration;

use toml::{Spanned, Value};

use super::{
    problem::{Document, Problem},
    raw::RawRetention,
};
use crate::retention::Ages;

const DAY: Duration = Duration::from_hours(24);

/// The ages that were written, or the built-in ones.
pub(super) fn check(document: Document<'_>, raw: &RawRetention, problems: &mut Vec<Problem>) -> Ages {
    let mut age = |key: &str, written: &Option<Spanned<Value>>, default: Option<Duration>| {
        let Some(written) = written else { return default };
        read(written.get_ref()).unwrap_or_else(|fault| {
            let shown = document.written(written.span());
            let sentence = format!("retention.{key} = {shown} {fault}");
            problems.push(document.problem(written.span().start, sentence));
            default
        })
    };
    let built_in = Ages::default();
    Ages {
        outcomes: age("outcomes", &raw.outcomes, built_in.outcomes),
        attempts: age("attempts", &raw.attempts, built_in.attempts),
        dead_letters: age("dead_letters", &raw.dead_letters, built_in.dead_letters),
        waiting_dead_letters: age(
            "waiting_dead_letters",
            &raw.waiting_dead_letters,
            built_in.waiting_dead_letters,
        ),
    }
}

fn read(value: &Value) -> Result<Option<Duration>, String> {
    let form = "write a time of at least a day, such as \"90d\", or \"never\"";
    let Value::String(text) = value else { return Err(format!("is not a time; {form}")) };
    if text == "never" {
        return Ok(None);
    }
    let time = humantime::parse_duration(text).map_err(|error| format!("is not a time ({error}); {form}"))?;
    if time < DAY { Err(format!("is shorter than a day; {form}")) } else { Ok(Some(time)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::queues::parse;

    #[test]
    fn the_built_in_file_says_what_the_code_says() {
        assert_eq!(crate::config::Queues::built_in().unwrap().ages, Ages::default());
    }

    #[test]
    fn ages_are_read_and_the_rest_is_built_in() {
        let text = "[queues.x]\n[retention]\noutcomes = \"7d\"\nattempts = \"never\"\n";

        let ages = parse("queues.toml", text).unwrap().ages;

        let expected = Ages { outcomes: Some(DAY * 7), attempts: None, ..Ages::default() };
        assert_eq!(ages, expected);
    }

    #[test]
    fn an_age_that_cannot_be_is_told_with_its_line() {
        let text = "[queues.x]\n[retention]\noutcomes = \"1h\"\nattempts = 30\nletters = \"1d\"\n";

        let told = parse("queues.toml", text).unwrap_err().to_string();

        assert!(told.contains("queues.toml:3: retention.outcomes = \"1h\" is shorter than a day"), "{told}");
        assert!(told.contains("queues.toml:4: retention.attempts = 30 is not a time"), "{told}");
        assert!(told.contains("queues.toml:5: retention.letters is not a setting of this file"), "{told}");
    }
}
