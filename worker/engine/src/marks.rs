//! The counters of a job that had trouble, as one line of text in the `marks` hash.
//!
//! `run=3 attempt=1 deliveries=1 why=timeout timeout=1 note=no answer`: `run` stands first because the scripts read it,
//! the note last because it goes to the end of the line; zeros are left out. Jobs that succeed at once never have marks.

use std::{
    fmt::{self, Write},
    ops::Deref,
    sync::LazyLock,
};

use crate::failure::ErrorClass;

/// What has happened to a job so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// Number of the last run that ended. It rises with every fetch and is the fence.
    pub run: u32,
    /// Runs that failed and were charged.
    pub attempt: u32,
    /// Leases that were lost, as far as they count: see [`Marks::lost_lease`].
    pub deliveries: u32,
    /// Number of the run of which it is known that it started; 0 for none.
    begun: u32,
    /// Number of the run that started with nothing else in its process; 0 for none.
    alone: u32,
    /// Why it waits now, when it waits for a reason.
    pub why: Option<ErrorClass>,
    /// The same in words, for people.
    pub note: Option<String>,
    tries: [u32; ErrorClass::ALL.len()],
}

/// The counters of a job under way. Hardly any job has some, and those that have none carry a pointer instead of a hundred bytes.
#[derive(Debug, Default)]
pub(crate) struct RareMarks(Option<Box<Marks>>);

impl From<Marks> for RareMarks {
    fn from(marks: Marks) -> Self {
        Self(Some(Box::new(marks)))
    }
}

impl Deref for RareMarks {
    type Target = Marks;

    fn deref(&self) -> &Marks {
        static NONE: LazyLock<Marks> = LazyLock::new(Marks::default);
        self.0.as_deref().unwrap_or(&NONE)
    }
}

/// Largest count that is read: far beyond any real one, and one more of it is still a number.
const MAX_COUNT: u32 = i32::MAX as u32;
/// Longest note that is kept, in characters.
const MAX_NOTE: usize = 200;

impl Marks {
    /// Reads what Redis holds of a job, which may be nothing.
    pub(crate) fn read(line: Option<&[u8]>) -> Self {
        line.map_or_else(Self::default, |line| Self::parse(&String::from_utf8_lossy(line)))
    }

    /// Reads a line; words that a newer release added are skipped, garbage reads as zero.
    pub fn parse(line: &str) -> Self {
        let mut marks = Self::default();
        let (line, note) = line.split_once(" note=").map_or((line, None), |(line, note)| (line, Some(note)));
        marks.note = note.map(str::to_owned);
        for word in line.split_ascii_whitespace() {
            let Some((name, value)) = word.split_once('=') else { continue };
            let count = || value.parse::<u32>().unwrap_or(0).min(MAX_COUNT);
            match name {
                "run" => marks.run = count(),
                "attempt" => marks.attempt = count(),
                "deliveries" => marks.deliveries = count(),
                "begun" => marks.begun = count(),
                "alone" => marks.alone = count(),
                "why" => marks.why = ErrorClass::from_word(value),
                name => {
                    if let Some(class) = ErrorClass::from_word(name) {
                        marks.tries[class.index()] = count();
                    }
                }
            }
        }
        marks
    }

    /// How many charged runs failed with this class.
    pub fn tries(&self, class: ErrorClass) -> u32 {
        self.tries[class.index()]
    }

    /// After a failed run that is charged to the job.
    pub fn charged(&self, run: u32, class: ErrorClass, note: &str) -> Self {
        let mut marks = Self { why: Some(class), note: Some(one_line(note)), ..self.ended(run) };
        marks.attempt += 1;
        marks.tries[class.index()] += 1;
        marks
    }

    /// After a run that is not held against the job.
    pub fn excused(&self, run: u32, why: Option<ErrorClass>, note: Option<&str>) -> Self {
        Self { why, note: note.map(one_line), ..self.ended(run) }
    }

    /// Before a run starts whose job lost a lease before, alone in its process or not.
    pub fn begun(&self, run: u32, alone: bool) -> Self {
        Self { begun: run, alone: if alone { run } else { 0 }, ..self.clone() }
    }

    /// After a lost lease. The first one always counts; another only when it is known that the run had started; and
    /// the last one before `max_deliveries` only when it ran alone, since nothing else can have ended its process then.
    pub fn lost_lease(&self, run: u32, max_deliveries: u32) -> Self {
        let deliveries = if self.alone == run {
            self.deliveries.saturating_add(1)
        } else if self.begun == run || self.deliveries == 0 {
            self.deliveries.max((self.deliveries + 1).min(Self::most_without_proof(max_deliveries)))
        } else {
            self.deliveries
        };
        Self { deliveries, ..self.ended(run) }
    }

    /// True when the lease of this run, just lost, proves that the job takes its worker down once too often.
    pub fn is_poison(&self, run: u32, max_deliveries: u32) -> bool {
        self.alone == run && max_deliveries <= self.deliveries.saturating_add(1)
    }

    /// Lost leases beyond which a job runs alone. Only what is lost there can bury it.
    pub(crate) fn most_without_proof(max_deliveries: u32) -> u32 {
        max_deliveries.saturating_sub(1).max(1)
    }

    fn ended(&self, run: u32) -> Self {
        Self { run, begun: 0, alone: 0, ..self.clone() }
    }
}

impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run={}", self.run)?;
        for (name, count) in [
            ("attempt", self.attempt),
            ("deliveries", self.deliveries),
            ("begun", self.begun),
            ("alone", self.alone),
        ] {
            if 0 < count {
                write!(f, " {name}={count}")?;
            }
        }
        if let Some(why) = self.why {
            write!(f, " why={}", why.word())?;
        }
        for class in ErrorClass::ALL {
            if 0 < self.tries(class) {
                f.write_char(' ')?;
                write!(f, "{}={}", class.word(), self.tries(class))?;
            }
        }
        match &self.note {
            Some(note) => write!(f, " note={note}"),
            None => Ok(()),
        }
    }
}

fn one_line(text: &str) -> String {
    text.chars().take(MAX_NOTE).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_as_it_was_written() {
        let marks = Marks::default().charged(1, ErrorClass::Timeout, "slow").lost_lease(2, 4);
        let marks = marks.charged(3, ErrorClass::Network, "no\nroute run=9");

        let line = "run=3 attempt=2 deliveries=1 why=network timeout=1 network=1 note=no route run=9";
        assert_eq!(marks.to_string(), line);
        assert_eq!(Marks::parse(line), marks);
    }

    #[test]
    fn a_lease_that_was_never_used_is_charged_once_at_most() {
        let lost = (1..=9).fold(Marks::default(), |marks, run| marks.lost_lease(run, 4));

        assert_eq!((lost.run, lost.deliveries), (9, 1));
    }

    #[test]
    fn only_a_run_that_was_alone_proves_a_poison_pill() {
        let beside_others = (1..=9).fold(Marks::default(), |marks, run| {
            let begun = marks.begun(run, false);
            assert!(!begun.is_poison(run, 4));
            begun.lost_lease(run, 4)
        });
        assert_eq!(beside_others.deliveries, 3);

        let alone = Marks::parse(&beside_others.begun(10, true).to_string());

        assert!(alone.is_poison(10, 4) && !alone.is_poison(11, 4));
        assert_eq!(alone.lost_lease(10, 4).deliveries, 4);
    }

    #[test]
    fn what_was_known_of_a_start_does_not_outlive_its_run() {
        let marks = Marks::default().begun(2, true);

        assert_eq!(marks.excused(2, None, None).to_string(), "run=2");
    }

    #[test]
    fn unknown_words_and_garbage_do_no_harm() {
        assert_eq!(Marks::parse("run=2 colour=blue attempt=x ="), Marks { run: 2, ..Marks::default() });
        assert!(Marks::parse("run=4294967295 deliveries=4294967295").lost_lease(1, 4).deliveries <= 1 << 31);
    }
}
