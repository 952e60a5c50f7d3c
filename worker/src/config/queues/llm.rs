//! `[llm]`: tiers of language models, their prices, and budgets.

use toml::{Spanned, Value};

use super::problem::{Document, Problem};
use crate::llm::{LlmSettings, Written};

/// What is written, in the place of what is built in.
pub(super) fn check(
    document: Document<'_>,
    raw: Option<&Spanned<Value>>,
    problems: &mut Vec<Problem>,
) -> LlmSettings {
    let Some(raw) = raw else { return LlmSettings::built_in() };
    let mut tell = |sentence: String| problems.push(document.problem(raw.span().start, sentence));
    let written = raw.get_ref().clone().try_into::<Written>();
    let checked = written.map_err(|error| vec![format!(": {}", error.message())]).and_then(LlmSettings::of);
    checked.unwrap_or_else(|faults| {
        for fault in faults {
            tell(format!("llm{}{fault}", if fault.starts_with(':') { "" } else { "." }));
        }
        LlmSettings::built_in()
    })
}

#[cfg(test)]
mod tests {
    use chrono_tz::America::Mexico_City;

    use crate::{
        config::{Queues, queues::parse},
        llm::{Dollars, LlmSettings, WhenSpent},
    };

    #[test]
    fn the_built_in_file_says_what_the_code_says() {
        assert_eq!(Queues::built_in().unwrap().llm, LlmSettings::built_in());
    }

    #[test]
    fn what_is_written_replaces_a_part_and_leaves_the_others() {
        let text = r#"
[queues.x]
[llm.tiers]
default = ["own/model"]
open = ["own/free"]
[llm.next]
trouble = ["open"]
[llm.budgets."*"]
per_day = 5
[llm.budgets.acme]
per_month = 100.5
timezone = "America/Mexico_City"
when_spent = "open"
"#;

        let llm = parse("queues.toml", text).unwrap().llm;

        assert_eq!(llm.models.tiers["default"], ["own/model"]);
        assert_eq!(llm.models.prices, LlmSettings::built_in().models.prices);
        assert_eq!(llm.budgets.of(Some("globex")).unwrap().per_day, Some(Dollars::new(5.0)));
        let acme = llm.budgets.of(Some("acme")).unwrap();
        assert_eq!((acme.timezone, &acme.when_spent), (Mexico_City, &WhenSpent::Tier("open".into())));
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        let cases = [
            ("[llm]\nmodels = 1", "llm: unknown field `models`"),
            ("[llm.tiers]\nbest = [\"m\"]", "llm.tiers has no `default`"),
            ("[llm.tiers]\ndefault = []", "llm.tiers.default names no model"),
            ("[llm.prices]\nm = { input = -1.0, output = 1.0 }", "llm.prices.\"m\" = -1 and 1 is no price"),
            ("[llm.next]\ntrouble = [\"best\"]", "llm.next.trouble names tier best"),
            ("[llm.budgets.acme]\nper_day = 0", "per_day = 0 is no budget"),
            ("[llm.budgets.acme]\ntimezone = \"UTC\"", "limits nothing"),
            ("[llm.budgets.acme]\nper_day = 1\ntimezone = \"Mars\"", "is no time zone"),
            ("[llm.budgets.acme]\nper_day = 1\nwhen_spent = \"fail\"", "neither \"wait\" nor a tier"),
        ];
        for (text, sentence) in cases {
            let told = parse("queues.toml", &format!("[queues.x]\n{text}\n")).unwrap_err().to_string();

            assert!(told.starts_with("queues.toml:2: ") && told.contains(sentence), "{text}: {told}");
        }
    }
}
