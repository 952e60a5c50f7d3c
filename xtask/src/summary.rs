//! What is said at the end: one line per step, and how many tests passed. Pure.

use std::fmt::Write;

use crate::steps::{Outcome, Step};

/// Tests of all test binaries together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TestCounts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl TestCounts {
    /// Adds the counts of a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; …`; other lines add nothing.
    pub(crate) fn add_line(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else { return };
        self.passed += number_before(counts, " passed");
        self.failed += number_before(counts, " failed");
        self.ignored += number_before(counts, " ignored");
    }
}

fn number_before(text: &str, word: &str) -> u64 {
    let Some((before, _)) = text.split_once(word) else { return 0 };
    let start = before.rfind(|character: char| !character.is_ascii_digit()).map_or(0, |at| at + 1);
    before[start..].parse().unwrap_or(0)
}

/// The summary of a task.
pub(crate) fn table(steps: &[Step], tests: Option<TestCounts>) -> String {
    let mut text = format!("{:<12}{:<10}{:>8}\n", "step", "result", "seconds");
    for step in steps {
        let result = match step.outcome {
            Outcome::Held => "ok",
            Outcome::Failed => "FAILED",
            Outcome::Skipped => "skipped",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:<12}{result:<10}{:>8.1}", step.name, step.took.as_secs_f64());
    }
    if let Some(TestCounts { passed, failed, ignored }) = tests {
        let _ = writeln!(text, "{passed} tests passed, {failed} failed, {ignored} ignored");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_result_lines_are_counted() {
        let mut counts = TestCounts::default();

        for line in [
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.05s",
            "test a_test_that_says_99_passed ... ok",
            "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.00s",
            "test result: FAILED. 7 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out",
        ] {
            counts.add_line(line);
        }

        assert_eq!(counts, TestCounts { passed: 19, failed: 3, ignored: 1 });
    }

    #[test]
    fn the_table_has_one_line_per_step_and_the_number_of_tests() {
        let steps = [
            Step { name: "fmt", outcome: Outcome::Held, took: Duration::from_millis(740) },
            Step { name: "clippy", outcome: Outcome::Skipped, took: Duration::ZERO },
            Step { name: "test", outcome: Outcome::Failed, took: Duration::from_millis(61_250) },
        ];

        let text = table(&steps, Some(TestCounts { passed: 19, failed: 3, ignored: 1 }));

        let expected = "\
step        result     seconds
fmt         ok             0.7
clippy      skipped        0.0
test        FAILED        61.2
19 tests passed, 3 failed, 1 ignored
";
        assert_eq!(text, expected);
    }
}
