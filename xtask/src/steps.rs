//! Runs steps one after another. A failed step does not stop the next: the summary shows all that is wrong.

use std::{
    io::{BufRead, BufReader},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use crate::{
    program::shown,
    summary::{TestCounts, table},
};

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Held,
    Failed,
    Skipped,
}

/// One line of the summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
}

/// The steps taken so far.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    taken: Vec<Step>,
    tests: Option<TestCounts>,
}

impl Steps {
    /// Runs a command with its output shown; it holds if the command succeeds.
    pub(crate) fn command(&mut self, name: &'static str, mut command: Command) {
        println!("==> {name}: {}", shown(&command));
        self.timed(name, || outcome(name, command.status().map(|status| status.success())));
    }

    /// Runs a test command with its output shown, and counts the tests it reports.
    pub(crate) fn tests(&mut self, name: &'static str, mut command: Command) {
        println!("==> {name}: {}", shown(&command));
        let mut counts = TestCounts::default();
        self.timed(name, || outcome(name, run_counting(&mut command, &mut counts)));
        self.tests = Some(counts);
    }

    /// Takes a step of our own, which prints what is wrong.
    pub(crate) fn work(&mut self, name: &'static str, work: impl FnOnce() -> Outcome) {
        println!("==> {name}");
        self.timed(name, work);
    }

    /// Mentions a step that is left out on purpose.
    pub(crate) fn skip(&mut self, name: &'static str) {
        println!("==> {name}: skipped");
        self.taken.push(Step { name, outcome: Outcome::Skipped, took: Duration::ZERO });
    }

    pub(crate) fn all_held(&self) -> bool {
        self.taken.iter().all(|step| step.outcome != Outcome::Failed)
    }

    /// Prints the summary; the exit code says whether every step held.
    pub(crate) fn finish(&self) -> ExitCode {
        print!("\n{}", table(&self.taken, self.tests));
        if self.all_held() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn timed(&mut self, name: &'static str, work: impl FnOnce() -> Outcome) {
        let started = Instant::now();
        let outcome = work();
        let took = started.elapsed();
        let word = if outcome == Outcome::Held { "ok" } else { "FAILED" };
        println!("==> {name}: {word} ({:.1} s)", took.as_secs_f64());
        self.taken.push(Step { name, outcome, took });
    }
}

/// Prints a sentence when the command itself could not be run.
fn outcome(name: &str, succeeded: std::io::Result<bool>) -> Outcome {
    match succeeded {
        Ok(true) => Outcome::Held,
        Ok(false) => Outcome::Failed,
        Err(error) => {
            println!("the step {name} could not be run: {error}. Is its program installed?");
            Outcome::Failed
        }
    }
}

/// Standard output passes through us line by line, standard error goes straight to the terminal.
fn run_counting(command: &mut Command, counts: &mut TestCounts) -> std::io::Result<bool> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            counts.add_line(&line);
        }
    }
    Ok(child.wait()?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failed_step_does_not_stop_the_next_one_and_the_whole_fails() {
        let mut steps = Steps::default();

        steps.command("first", shell("exit 1"));
        steps.command("second", Command::new("/nowhere/program"));
        steps.skip("third");
        steps.command("fourth", shell("exit 0"));

        let outcomes: Vec<Outcome> = steps.taken.iter().map(|step| step.outcome).collect();
        assert_eq!(outcomes, [Outcome::Failed, Outcome::Failed, Outcome::Skipped, Outcome::Held]);
        assert!(!steps.all_held());
    }

    #[test]
    fn the_tests_of_all_binaries_are_counted_together() {
        let mut steps = Steps::default();

        steps.tests(
            "test",
            shell(
                "echo 'test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured'; \
                 echo 'test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured'; exit 101",
            ),
        );

        assert_eq!(steps.tests, Some(TestCounts { passed: 7, failed: 2, ignored: 1 }));
        assert!(!steps.all_held());
    }
}
