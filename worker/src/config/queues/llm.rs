//! `[llm]`: tiers of language models, their prices, and budgets.

use serde_path_to_error::Segment;
use toml::{
    Spanned, Value,
    de::{DeTable, DeValue},
};

use super::problem::{Document, Problem};
use crate::llm::{LlmSettings, Written};

/// What is written, in the place of what is built in.
pub(super) fn check(
    document: Document<'_>,
    raw: Option<&Spanned<Value>>,
    problems: &mut Vec<Problem>,
) -> LlmSettings {
    let Some(raw) = raw else { return LlmSettings::built_in() };
    let mut tell = |path: &[String], sentence: String| {
        let at = place(document.text, path).unwrap_or(raw.span().start);
        problems.push(document.problem(at, sentence));
    };
    let written: Written = match serde_path_to_error::deserialize(raw.get_ref().clone()) {
        Ok(written) => written,
        Err(error) => {
            let path: Vec<String> = error.path().iter().map_while(key).collect();
            let name = [&["llm".to_owned()], path.as_slice()].concat().join(".");
            tell(&path, format!("{name}: {}", error.inner().message()));
            return LlmSettings::built_in();
        }
    };
    LlmSettings::of(written).unwrap_or_else(|faults| {
        for fault in faults {
            tell(&fault.path, format!("llm.{}", fault.problem));
        }
        LlmSettings::built_in()
    })
}

fn key(segment: &Segment) -> Option<String> {
    if let Segment::Map { key } = segment { Some(key.clone()) } else { None }
}

/// Where the last of these keys is written, or else the last that is there. The values of the table do not know where
/// they come from, so the text is looked through once more.
fn place(text: &str, path: &[String]) -> Option<usize> {
    let file = DeTable::parse(text).ok()?;
    let (mut table, mut at) = (file.get_ref(), None);
    for key in ["llm"].into_iter().chain(path.iter().map(String::as_str)) {
        let Some((found, value)) = table.iter().find(|(name, _)| name.get_ref() == key) else { break };
        at = Some(found.span().start);
        let DeValue::Table(inner) = value.get_ref() else { break };
        table = inner;
    }
    at
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
            ("[llm]\nmodels = 1", "llm.models: unknown field `models`"),
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
            // Tables of [llm] that have nothing to do with it come first.
            let before = "[queues.x]\n[llm.budgets.first]\nper_day = 1\n";
            let told = parse("queues.toml", &format!("{before}{text}\n")).unwrap_err().to_string();

            let is_about_the_table =
                sentence.contains("limits nothing") || sentence.contains("has no `default`");
            let line = if is_about_the_table { 4 } else { 3 + text.lines().count() };
            let place = format!("queues.toml:{line}: ");
            assert!(told.starts_with(&place) && told.contains(sentence), "{text}: {told}");
        }
    }

    #[test]
    fn tiers_of_ones_own_need_no_way_out_of_trouble() {
        let text = "[queues.x]\n[llm.tiers]\ndefault = [\"own/model\"]\nopen = [\"own/free\"]\n";

        let llm = parse("queues.toml", text).unwrap().llm;

        assert_eq!(llm.models.tiers.len(), 2);
        assert_eq!(
            llm.models.next,
            LlmSettings::built_in().models.next,
            "for tiers that the environment adds"
        );
    }
}
