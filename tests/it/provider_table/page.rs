//! The rows as the tables of `docs/providers.md`.

use std::fmt::Write;

use super::{
    row::{CLASSES, Row},
    subject::Subject,
};

/// Providers down, classes across.
pub(super) fn overview(subjects: &[Subject]) -> String {
    let mut text = String::from("| provider |");
    for class in CLASSES {
        let _ = write!(text, " `{class}` |");
    }
    text.push_str(" next provider |\n|---|");
    text.push_str(&"---|".repeat(CLASSES.len() + 1));
    text.push('\n');
    for subject in subjects {
        let _ = write!(text, "| `{}` |", subject.name);
        for class in CLASSES {
            let _ = write!(text, " {} |", cell(subject, class));
        }
        let _ = writeln!(text, " {} |", subject.fallback);
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

/// One table per provider, a line per row.
pub(super) fn details(subjects: &[Subject]) -> String {
    let mut text = String::new();
    for subject in subjects {
        let _ = writeln!(
            text,
            "\n### {}: `{}`\n\n| what happens | code | class | what Flota does |\n|---|---|---|---|",
            subject.title, subject.name
        );
        for row in subject.rows {
            let _ = writeln!(text, "| {} | {} | `{}` | {} |", row.what, codes(row), row.class, row.then);
        }
    }
    text.push('\n');
    text
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
