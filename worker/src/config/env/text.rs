//! The table of variables as text for people: `.env.example`, and a part of `docs/configuration.md`.

use super::{variable::Variable, variables::VARIABLES};

/// Longest line of comment.
const WIDTH: usize = 110;

const INTRODUCTION: &str = "\
# Every environment variable of Flota. Copy this file to .env, remove the # before a line, and write your value.
# An empty variable counts as not set. Each variable X may also come as X_FILE, a file that holds the value.
# Made by `flota config env-example`; a test compares.
";

/// The text of `.env.example`. Every line is a comment, so the file as it is changes nothing.
pub fn example() -> String {
    let mut text = String::from(INTRODUCTION);
    for (group, variables) in groups() {
        text.extend(["\n# ---- ", group, " ----\n"]);
        text.extend(variables.iter().map(in_example));
    }
    text
}

fn in_example(variable: &Variable) -> String {
    let default = variable.default.map_or_else(String::new, |default| format!(" Default: {default}."));
    let comment = comment(&format!("{}{default}", variable.meaning));
    format!("\n{comment}#{}={}\n", variable.name, variable.example)
}

/// The variables as tables for `docs/configuration.md`.
pub fn markdown() -> String {
    let tables = groups().map(|(group, variables)| {
        let rows: String = variables.iter().map(in_markdown).collect();
        format!("### {group}\n\n| variable | default | example | meaning |\n|---|---|---|---|\n{rows}")
    });
    tables.collect::<Vec<_>>().join("\n")
}

fn in_markdown(variable: &Variable) -> String {
    let Variable { name, default, example, meaning, .. } = variable;
    let secret = if variable.is_secret() { " (secret)" } else { "" };
    let default = default.unwrap_or("not set");
    format!("| `{name}`{secret} | {default} | `{example}` | {meaning} |\n")
}

fn groups() -> impl Iterator<Item = (&'static str, &'static [Variable])> {
    VARIABLES.chunk_by(|one, next| one.group == next.group).map(|variables| (variables[0].group, variables))
}

/// Breaks a sentence into lines of comment.
fn comment(sentence: &str) -> String {
    let mut text = String::from("#");
    let mut line = 1;
    for word in sentence.split(' ') {
        if WIDTH < line + 1 + word.len() {
            text.push_str("\n#");
            line = 1;
        }
        text.push(' ');
        text.push_str(word);
        line += 1 + word.len();
    }
    text + "\n"
}
