//! What came of telling stories: a line for each, a table for people, a page for the repository.

use std::{fmt::Write, time::Duration};

use super::{scene::Told, story::Story};

/// One telling.
pub struct Line {
    /// Which story.
    pub story: Story,
    /// With which seed.
    pub seed: u64,
    /// What it told.
    pub told: Told,
    /// Why it could not be told to its end.
    pub trouble: Option<String>,
    /// Why it was not told at all.
    pub skipped: Option<String>,
    /// How long it took.
    pub took: Duration,
}

impl Line {
    /// True when everything held.
    pub fn held(&self) -> bool {
        self.trouble.is_none() && self.told.violations.is_empty()
    }

    /// One sentence, and what did not hold.
    pub fn sentence(&self) -> String {
        let (name, seed, told) = (self.story.name, self.seed, &self.told);
        if let Some(reason) = &self.skipped {
            return format!("skipped   {name} --first {seed}: {reason}");
        }
        let word = if self.held() { "held" } else { "FAILED" };
        let mut text = format!(
            "{word:<9} {name} --first {seed}: {} jobs, {} faults, {} lost, {} repeated, at rest after {:.1} s ({:.0} s)",
            told.accepted,
            told.faults,
            told.lost,
            told.repeated,
            told.at_rest.as_secs_f64(),
            self.took.as_secs_f64(),
        );
        for (figure, value) in &told.figures {
            let _ = write!(text, "; {figure} {value}");
        }
        for line in self.trouble.iter().cloned().chain(told.violations.iter().map(ToString::to_string)) {
            let _ = write!(text, "\n            {line}");
        }
        text
    }
}

/// All tellings of one run.
pub struct Summary {
    /// In the order of the stories and seeds.
    pub lines: Vec<Line>,
}

/// One story, all its seeds together.
struct Row<'a> {
    story: &'a Story,
    lines: Vec<&'a Line>,
}

impl Row<'_> {
    fn sum(&self, of: impl Fn(&Told) -> usize) -> usize {
        self.lines.iter().map(|line| of(&line.told)).sum()
    }

    fn result(&self) -> String {
        let failed = self.lines.iter().filter(|line| !line.held()).count();
        let skipped = self.lines.iter().filter(|line| line.skipped.is_some()).count();
        match (failed, skipped) {
            (0, 0) => "held".to_owned(),
            (0, skipped) if skipped == self.lines.len() => "skipped".to_owned(),
            (0, skipped) => format!("held, {skipped} skipped"),
            (failed, _) => format!("{failed} FAILED"),
        }
    }

    fn cells(&self) -> [String; 11] {
        let longest = self.lines.iter().map(|line| line.told.at_rest).max().unwrap_or_default();
        [
            self.story.name.to_owned(),
            self.story.promise.to_owned(),
            self.lines.len().to_string(),
            self.sum(|told| told.accepted).to_string(),
            self.sum(|told| told.faults).to_string(),
            self.sum(|told| told.lost).to_string(),
            self.sum(|told| told.doubled).to_string(),
            self.sum(|told| told.repeated).to_string(),
            self.lines.iter().filter_map(|line| line.told.picked_up).max().map_or_else(String::new, seconds),
            seconds(longest),
            self.result(),
        ]
    }
}

const HEAD: [&str; 11] = [
    "story",
    "promise",
    "seeds",
    "jobs",
    "faults",
    "lost",
    "two ends",
    "repeated",
    "picked up",
    "at rest",
    "result",
];

impl Summary {
    /// True when everything held that could be told.
    pub fn held(&self) -> bool {
        self.lines.iter().all(Line::held)
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row<'_>> = Vec::new();
        for line in &self.lines {
            match rows.last_mut().filter(|row| row.story.name == line.story.name) {
                Some(row) => row.lines.push(line),
                None => rows.push(Row { story: &line.story, lines: vec![line] }),
            }
        }
        rows
    }

    /// For a terminal.
    pub fn table(&self) -> String {
        let mut lines = vec![HEAD.map(str::to_owned)];
        lines.extend(self.rows().iter().map(Row::cells));
        let mut text = String::new();
        let width = |column: usize| lines.iter().map(|cells| cells[column].len()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
        for cells in &lines {
            let padded: Vec<String> =
                cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            text.push_str(padded.join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    /// For the repository: the table, what each story does, and what was measured.
    pub fn report(&self) -> String {
        let mut text = format!("| {} |\n|{}\n", HEAD.join(" | "), "---|".repeat(HEAD.len()));
        for row in self.rows() {
            let _ = writeln!(text, "| {} |", row.cells().join(" | "));
        }
        text.push_str("\n| story | what happens | measured |\n|---|---|---|\n");
        for row in self.rows() {
            let _ = writeln!(text, "| {} | {} | {} |", row.story.name, row.story.what, measured(&row));
        }
        text
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Each figure of a story: what the seeds gave, or the least and the most of many.
fn measured(row: &Row<'_>) -> String {
    let figures: Vec<&(String, String)> = row.lines.iter().flat_map(|line| &line.told.figures).collect();
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in &figures {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let all = names.into_iter().map(|name| {
        let values = figures.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
        format!("{name}: {}", shortly(values.collect()))
    });
    all.collect::<Vec<_>>().join("; ")
}

/// Most values that are told one by one.
const FEW: usize = 4;

fn shortly(mut values: Vec<&str>) -> String {
    let mut seen = std::collections::HashSet::new();
    values.retain(|value| seen.insert(*value));
    if values.len() <= FEW {
        return values.join(", ");
    }
    values.sort_by(|one, other| magnitude(one).total_cmp(&magnitude(other)));
    format!("{} to {}", values[0], values[values.len() - 1])
}

/// How much a value is, to compare it with others of its kind: `1.5s` is more than `900ms`.
fn magnitude(value: &str) -> f64 {
    let end = value.find(|c: char| !(c.is_ascii_digit() || ".+-".contains(c))).unwrap_or(value.len());
    let (number, unit) = value.split_at(end);
    let scale = match unit.trim() {
        "ns" => 1e-9,
        "µs" => 1e-6,
        "ms" => 1e-3,
        _ => 1.0,
    };
    number.parse::<f64>().unwrap_or(0.0) * scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_values_become_the_least_and_the_most() {
        assert_eq!(shortly(vec!["3", "5", "3"]), "3, 5");
        assert_eq!(shortly(vec!["1.2s", "90ms", "400µs", "2s", "1s"]), "400µs to 2s");
    }
}
