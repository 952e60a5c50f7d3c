//! What commands print: tables for people on a terminal, JSON for scripts.
//!
//! A closed pipe (`flota job list | head`) ends the program quietly, as it does for other tools.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde::Serialize;

/// Longest text in a table cell, in characters; JSON has all of it.
const MAX_CELL: usize = 120;
/// Longest word that is never broken, in characters; longer ones are addresses and hashes.
const LONGEST_WORD: usize = 20;
/// A space on each side of a cell.
const PADDING: u16 = 2;
/// Width of a table that does not go to a terminal.
const PIPE_WIDTH: u16 = 160;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns for people; what you get on a terminal.
    Table,
    /// One JSON document; what you get in a pipe.
    Json,
    /// One JSON document per line.
    Jsonl,
    /// Ids only, one per line.
    Id,
    /// The HTML part; `email preview` only.
    Html,
    /// The plain part; `email preview` only.
    Text,
    /// The whole message as it would travel; `email preview` only.
    Eml,
}

/// Where and how a command prints.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
    asked: bool,
}

/// Something that can be printed in every format.
pub trait Show: Serialize {
    /// Column headings.
    const COLUMNS: &'static [&'static str];

    /// One table row.
    fn row(&self) -> Vec<String>;

    /// What `-o id` prints.
    fn id(&self) -> String;
}

impl Output {
    /// The format asked for, or the one that fits where the output goes.
    pub fn new(format: Option<Format>) -> Self {
        let fitting = if io::stdout().is_terminal() { Format::Table } else { Format::Json };
        Self { format: format.unwrap_or(fitting), asked: format.is_some() }
    }

    /// A table wherever it goes, unless something else was asked for.
    pub fn or_table(self) -> Self {
        if self.asked { self } else { Self { format: Format::Table, ..self } }
    }

    /// The format that was asked for, if any was.
    pub fn asked(self) -> Option<Format> {
        self.asked.then_some(self.format)
    }

    /// True when people read along.
    pub fn is_table(self) -> bool {
        self.format == Format::Table
    }

    /// Prints a list. `empty` is said to people when there is nothing.
    pub fn list<T: Show>(self, items: &[T], empty: &str) -> io::Result<()> {
        match self.format {
            Format::Table if items.is_empty() => line(empty),
            Format::Table => line(&table(T::COLUMNS, items.iter().map(Show::row)).to_string()),
            Format::Json | Format::Html | Format::Text | Format::Eml => line(&json(&items)),
            Format::Jsonl => items.iter().try_for_each(|item| line(&json_line(item))),
            Format::Id => items.iter().try_for_each(|item| line(&item.id())),
        }
    }

    /// Prints one thing; `text` is what people get.
    pub fn one<T: Serialize>(self, item: &T, id: &str, text: impl FnOnce() -> String) -> io::Result<()> {
        match self.format {
            Format::Table => line(&text()),
            Format::Json | Format::Html | Format::Text | Format::Eml => line(&json(item)),
            Format::Jsonl => line(&json_line(item)),
            Format::Id => line(id),
        }
    }
}

/// A table as wide as its content, at most as wide as the terminal.
pub fn table(columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(columns.iter().map(|name| name.to_uppercase()));
    let mut words: Vec<usize> = columns.iter().map(|name| longest_word(name)).collect();
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| shorten(&printable(cell), MAX_CELL)).collect();
        for (word, cell) in words.iter_mut().zip(&cells) {
            *word = (*word).max(longest_word(cell));
        }
        table.add_row(cells);
    }
    if !io::stdout().is_terminal() {
        table.set_width(PIPE_WIDTH);
    }
    for (number, (column, word)) in table.column_iter_mut().zip(words).enumerate() {
        // The first column names the thing; a broken id cannot be copied. In the others words stay whole.
        column.set_constraint(match number {
            0 => ColumnConstraint::ContentWidth,
            _ => ColumnConstraint::LowerBoundary(Width::Fixed(word.min(LONGEST_WORD) as u16 + PADDING)),
        });
    }
    table
}

fn longest_word(text: &str) -> usize {
    text.split_whitespace().map(|word| word.chars().count()).max().unwrap_or_default()
}

/// Cuts a text to this many characters.
pub fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        text.to_owned()
    } else {
        text.chars().take(most - 1).chain(['…']).collect()
    }
}

/// Text from outside may hold anything; a terminal must not obey it.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Prints one line.
pub fn line(text: &str) -> io::Result<()> {
    writeln!(anstream::stdout().lock(), "{text}")
}

fn json<T: Serialize>(item: &T) -> String {
    serde_json::to_string_pretty(item).expect("views have only strings, numbers and JSON")
}

fn json_line<T: Serialize>(item: &T) -> String {
    serde_json::to_string(item).expect("views have only strings, numbers and JSON")
}

/// Milliseconds as people say them: `850 ms`, `12 s`, `3 min`, `5 h`, `2 d`.
pub fn age(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{} s", ms / 1_000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_from_outside_are_not_obeyed() {
        assert_eq!(printable("a\x1b[2Jb\nc"), "a\u{fffd}[2Jb\u{fffd}c");
    }

    #[test]
    fn ages_read_as_people_say_them() {
        let ages = [999, 1_000, 119_999, 120_000, 7_200_000, 200_000_000].map(age);

        assert_eq!(ages, ["999 ms", "1 s", "119 s", "2 min", "2 h", "2 d"]);
    }
}
