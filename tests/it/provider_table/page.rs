//! The rows as the tables of `docs/providers.md`.

use std::fmt::Write;

use super::{
    row::{CLASSES, Row},
    subject::{Next, Subject},
};

/// Providers down, classes across.
pub(super) fn overview(subjects: &[Subject]) -> String {
    let mut text = String::from("| provider |");
    for class in CLASSES {
        let _ = write!(text, " `{class}` |");
    }
    text.push_str(" fallback |\n|---|");
    text.push_str(&"---|".repeat(CLASSES.len() + 1));
    text.push('\n');
    for subject in subjects {
        let _ = write!(text, "| `{}` |", subject.name);
        for class in CLASSES {
            let _ = write!(text, " {} |", cell(subject, class));
        }
        let _ = writeln!(text, " {} |", next(subject));
    }
    text
}

/// What follows a class of one provider: each different thing once, the most frequent first.
fn cell(subject: &Subject, class: &str) -> String {
    if let Some((_, why)) = subject.never.iter().find(|(never, _)| *never == class) {
        return format!("– {why}");
    }
    let mut found: Vec<(usize, &str)> = Vec::new();
    for row in subject.rows.iter().filter(|row| row.class == class) {
        match found.iter_mut().find(|(_, then)| *then == row.then) {
            Some((count, _)) => *count += 1,
            None => found.push((1, row.then)),
        }
    }
    found.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    found.iter().map(|(_, then)| *then).collect::<Vec<_>>().join("<br>")
}

/// Who takes over, and after which classes and codes.
fn next(subject: &Subject) -> String {
    let (name, after) = match subject.next {
        Next::Nobody(why) => return format!("– {why}"),
        Next::Provider { name, after } => (format!("`{name}`"), after),
        Next::Model { after } => ("another model".to_owned(), after),
    };
    let seen =
        |word: &&&str| subject.rows.iter().any(|row| row.class == **word || codes(row).contains(**word));
    let words: Vec<String> = after.iter().filter(seen).map(|word| format!("`{word}`")).collect();
    format!("{name} after {}", words.join(", "))
}

/// One table per provider, a line per row.
pub(super) fn details(subjects: &[Subject]) -> String {
    let mut text = String::new();
    for subject in subjects {
        let heading = match subject.next {
            Next::Nobody(_) => "",
            Next::Provider { .. } => " next provider |",
            Next::Model { .. } => " another model |",
        };
        let line = if heading.is_empty() { "" } else { "---|" };
        let _ = writeln!(
            text,
            "\n### {}: `{}`\n\n| what happens | code | class | what Flota does |{heading}\n|---|---|---|---|{line}",
            subject.title, subject.name
        );
        for row in subject.rows {
            let goes_on = if heading.is_empty() { "" } else { goes_on(subject, row) };
            let _ =
                writeln!(text, "| {} | {} | `{}` | {} |{goes_on}", row.what, codes(row), row.class, row.then);
        }
    }
    text.push('\n');
    text
}

/// The cell that says whether somebody takes over.
fn goes_on(subject: &Subject, row: &Row) -> &'static str {
    let asked = |word: &&str| subject.next.is_asked_after(row.class, &row.code.replace('=', word));
    match (row.class, row.order.words().iter().filter(|word| asked(word)).count()) {
        ("ok", _) => " |",
        (_, 0) => " no |",
        (_, count) if count == row.order.words().len() => " yes |",
        _ => " some |",
    }
}

/// Every code that is kept, once.
fn codes(row: &Row) -> String {
    let mut codes: Vec<String> = row
        .order
        .words()
        .iter()
        .map(|word| row.code.replace('=', word))
        .filter(|code| !code.is_empty())
        .collect();
    codes.dedup();
    codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", ")
}
