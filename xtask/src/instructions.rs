//! The guard of speed: how many instructions what happens to every job takes, compared with what is written down.
//!
//! Instructions are counted and not time, since a count is the same on a busy machine and on a quiet one. Each thing is
//! done a number of times and then twice as often; the difference is what it costs, without the start of the program.
//! What is written down (`tests/instructions.txt`) is for one processor family and one compiler, so more is a failure
//! only beyond [`TOLERANCE`].

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use crate::{
    program::{cargo, root},
    steps::Outcome,
};

/// What is counted, and how often it is done the first time.
const COUNTED: [(&str, u64); 4] = [("encode", 2_000), ("decode", 2_000), ("decide", 2_000), ("run", 1_000)];
/// By so much a count may be above what is written down, and so much below before it has to be written down anew.
const TOLERANCE: f64 = 0.05;
const HEAD: &str = "\
# Instructions per job, release build: `cargo xtask check --perf` compares, `cargo xtask check --perf --update` writes.
";

/// Counts, and compares or writes down.
pub(crate) fn guard(update: bool) -> Outcome {
    let counted: Result<BTreeMap<&str, u64>, String> =
        COUNTED.iter().map(|(what, times)| Ok((*what, cost(what, *times)?))).collect();
    let counted = match counted {
        Ok(counted) => counted,
        Err(sentence) => return failed(&sentence),
    };
    if update {
        return match fs::write(kept(), written(&counted)) {
            Ok(()) => Outcome::Held,
            Err(error) => failed(&format!("{} cannot be written: {error}", kept().display())),
        };
    }
    let known = fs::read_to_string(kept()).map(|text| read(&text)).unwrap_or_default();
    let mut outcome = Outcome::Held;
    for (what, count) in counted {
        let verdict = judge(known.get(what).copied(), count);
        println!("{what:<8}{count:>8} instructions, {}", verdict.sentence(known.get(what).copied(), count));
        if verdict != Verdict::AsKnown {
            outcome = Outcome::Failed;
        }
    }
    outcome
}

fn failed(sentence: &str) -> Outcome {
    println!("{sentence}");
    Outcome::Failed
}

fn kept() -> PathBuf {
    root().join("tests/instructions.txt")
}

/// Builds what is counted.
pub(crate) fn build() -> Command {
    cargo(&[
        "build",
        "--release",
        "-p",
        "flota-engine",
        "--features",
        "measured",
        "--example",
        "instructions",
    ])
}

/// Instructions of doing it once.
fn cost(what: &str, times: u64) -> Result<u64, String> {
    let (some, twice) = (count(what, times)?, count(what, 2 * times)?);
    Ok(twice.saturating_sub(some) / times)
}

fn count(what: &str, times: u64) -> Result<u64, String> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg(target.join("release/examples/instructions")).args([what, &times.to_string()]);
    let said = command.output().map_err(|error| format!("valgrind could not be started: {error}"))?;
    let text = String::from_utf8_lossy(&said.stderr);
    collected(&text)
        .filter(|_| said.status.success())
        .ok_or_else(|| format!("`{what}` was not counted:\n{text}"))
}

/// The number behind `Collected :`.
fn collected(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.split_once("Collected :"))?;
    line.1.trim().parse().ok()
}

/// How a count stands to the one that is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    AsKnown,
    Unknown,
    More,
    Fewer,
}

impl Verdict {
    fn sentence(self, known: Option<u64>, count: u64) -> String {
        let Some(known) = known else {
            return "not written down yet: run `cargo xtask check --perf --update`".to_owned();
        };
        let change = 100.0 * (count as f64 / known as f64 - 1.0);
        match self {
            Self::AsKnown | Self::Unknown => format!("as written down ({known}, {change:+.1} %)"),
            Self::More => format!("MORE than the {known} written down ({change:+.1} %): find out why"),
            Self::Fewer => {
                format!("FEWER than the {known} written down ({change:+.1} %): write it down with --update")
            }
        }
    }
}

fn judge(known: Option<u64>, count: u64) -> Verdict {
    let Some(known) = known else { return Verdict::Unknown };
    let ratio = count as f64 / known as f64;
    if 1.0 + TOLERANCE < ratio {
        Verdict::More
    } else if ratio < 1.0 - TOLERANCE {
        Verdict::Fewer
    } else {
        Verdict::AsKnown
    }
}

fn read(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(what, count)| Some((what.to_owned(), count.trim().parse().ok()?)))
        .collect()
}

fn written(counted: &BTreeMap<&str, u64>) -> String {
    counted.iter().fold(HEAD.to_owned(), |text, (what, count)| format!("{text}{what} {count}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_judged_by_what_is_written_down() {
        assert_eq!(judge(None, 1_000), Verdict::Unknown);
        assert_eq!(judge(Some(1_000), 1_049), Verdict::AsKnown);
        assert_eq!(judge(Some(1_000), 1_051), Verdict::More);
        assert_eq!(judge(Some(1_000), 949), Verdict::Fewer);
    }

    #[test]
    fn what_is_written_down_is_read_back() {
        let counted = BTreeMap::from([("decode", 2_100), ("run", 12_345)]);

        let known = read(&written(&counted));

        assert_eq!(known, BTreeMap::from([("decode".to_owned(), 2_100), ("run".to_owned(), 12_345)]));
    }

    #[test]
    fn the_count_is_found_in_what_the_counter_says() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 123456\n==7==\n"), Some(123_456));
        assert_eq!(collected("==7== nothing"), None);
    }

    #[test]
    fn everything_that_is_counted_is_written_down() {
        let known = fs::read_to_string(kept()).map(|text| read(&text)).unwrap_or_default();

        assert_eq!(known.len(), COUNTED.len(), "run `cargo xtask check --perf --update`");
        assert!(COUNTED.iter().all(|(what, _)| known.contains_key(*what)));
    }
}
