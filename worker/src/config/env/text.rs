//! The table of variables as text for people: `.env.example`, and a part of `docs/configuration.md`.

use std::fmt::Write;

use super::variables::{VARIABLES, Variable};

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
    for_each_group(|group, variables| {
        text.push_str(&format!("\n# ---- {group} ----\n"));
        for variable in variables {
            let default =
                variable.default.map_or_else(String::new, |default| format!(" Default: {default}."));
            text.push('\n');
            text.push_str(&comment(&format!("{}{default}", variable.meaning)));
            text.push_str(&format!("#{}={}\n", variable.name, variable.example));
        }
    });
    text
}

/// The variables as tables for `docs/configuration.md`.
pub fn markdown() -> String {
    let mut text = String::new();
    for_each_group(|group, variables| {
        let line_break = if text.is_empty() { "" } else { "\n" };
        text.push_str(&format!(
            "{line_break}### {group}\n\n| variable | default | example | meaning |\n|---|---|---|---|\n"
        ));
        for variable in variables {
            let Variable { name, example, meaning, .. } = variable;
            let secret = if variable.is_secret() { " (secret)" } else { "" };
            let default = variable.default.unwrap_or("not set");
            text.push_str(&format!("| `{name}`{secret} | {default} | `{example}` | {meaning} |\n"));
        }
    });
    text
}

fn for_each_group(mut told: impl FnMut(&'static str, &'static [Variable])) {
    for variables in VARIABLES.chunk_by(|one, next| one.group == next.group) {
        told(variables[0].group, variables);
    }
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
        // Writing into a String cannot fail.
        let _ = write!(text, " {word}");
        line += 1 + word.len();
    }
    text + "\n"
}
