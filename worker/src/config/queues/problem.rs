//! What is wrong with a queues file, and where.

use std::{fmt, ops::Range, path::PathBuf};

/// Longest value that is repeated in a sentence, in characters.
const MOST_SHOWN: usize = 60;

/// One thing that is wrong: `queues.toml:12: queues.email.lease = "1s" is shorter than 3s; write …`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Name of the file, as it was given.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1, where it helps: in text that is not TOML.
    pub column: Option<usize>,
    /// What is wrong and what to write.
    pub sentence: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        write!(f, ": {}", self.sentence)
    }
}

/// Why a queues file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QueuesError {
    /// There is no such file, or it cannot be read.
    #[error("{} cannot be read; set FLOTA_QUEUES_FILE to a file of queues, or unset it to use queues.toml here or the built-in one", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It can be read, but not used. Every problem that was found, in the order of the file.
    #[error("{}", lines(.0))]
    Refused(Vec<Problem>),
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A file's name and text, to turn byte positions into places that people find.
#[derive(Clone, Copy)]
pub(super) struct Document<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl Document<'_> {
    /// The line that a byte lies on, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.before(at).matches('\n').count() + 1
    }

    /// The text between two byte positions, as it was written; the beginning of it when it is long.
    pub(super) fn written(&self, span: Range<usize>) -> String {
        let text = self.text.get(span).unwrap_or_default();
        let shown: String = text.lines().next().unwrap_or_default().chars().take(MOST_SHOWN).collect();
        if shown.len() < text.len() { shown + "…" } else { shown }
    }

    pub(super) fn problem(&self, at: usize, sentence: String) -> Problem {
        Problem { file: self.file.to_owned(), line: self.line(at), column: None, sentence }
    }

    /// Text that is not TOML: the column matters, because the line may be hard to read.
    pub(super) fn not_toml(&self, error: &toml::de::Error) -> Problem {
        let at = error.span().map_or(self.text.len(), |span| span.start);
        let line_start = self.before(at).rfind('\n').map_or(0, |newline| newline + 1);
        let column =
            self.text.get(line_start..at.min(self.text.len())).map_or(0, |text| text.chars().count()) + 1;
        let sentence = format!("this is not TOML: {}; correct this line", error.message());
        Problem { column: Some(column), ..self.problem(at, sentence) }
    }

    fn before(&self, at: usize) -> &str {
        self.text.get(..at).unwrap_or(self.text)
    }
}
