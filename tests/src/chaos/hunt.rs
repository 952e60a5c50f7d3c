//! Hunts the mutants: each is set loose in a story that holds without it, and must be caught by an invariant.
//!
//! Scripts are read once per process, and the story enqueues and cancels with them as the workers run with them, so each
//! mutant has a process of its own: `chaos --mutant NAME`, which tells on its last line what was broken.

use std::{collections::BTreeSet, fmt::Write, io, process::Command};

use super::{
    mutants::{MUTANTS, Mutant},
    summary::Line,
};

/// The invariant that everything ends in time.
const AT_REST: &str = "I18";
/// How the last line of a hunted process begins.
const BROKE: &str = "broke ";

/// One mutant after the hunt.
pub struct Catch {
    /// Which.
    pub mutant: &'static Mutant,
    /// The invariants that it broke.
    pub invariants: BTreeSet<String>,
    /// What went wrong otherwise.
    pub trouble: Option<String>,
}

impl Catch {
    /// Hunts one mutant in a process of its own.
    ///
    /// # Errors
    /// When that cannot be started, or says nothing.
    pub fn hunt(mutant: &'static Mutant, seed: u64) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--mutant", mutant.name, "--first", &seed.to_string()]);
        command.env(super::mutants::SCRIPTS, mutant.scripts(directory.path())?);
        let said = String::from_utf8_lossy(&command.output()?.stdout).into_owned();
        let last = said.lines().rfind(|line| line.starts_with(BROKE));
        let broken =
            last.ok_or_else(|| io::Error::other(format!("{} was not hunted: {said}", mutant.name)))?;
        let invariants = broken[BROKE.len()..].split_whitespace().map(str::to_owned).collect();
        let trouble = said.lines().next().filter(|first| !first.starts_with(BROKE)).map(str::to_owned);
        Ok(Self { mutant, invariants, trouble })
    }

    /// True when an invariant was broken. That a fleet does not come to rest may also be a slow machine, so it convicts
    /// nobody.
    pub fn is_caught(&self) -> bool {
        self.invariants.iter().any(|invariant| invariant != AT_REST)
    }

    /// One sentence.
    pub fn sentence(&self) -> String {
        let Self { mutant, trouble, .. } = self;
        match (self.is_caught(), trouble) {
            (true, _) => format!("caught    {}: {} ({})", mutant.name, mutant.bug, self.by()),
            (false, Some(trouble)) => format!("ESCAPED   {}: {}; {trouble}", mutant.name, mutant.bug),
            (false, None) => format!("ESCAPED   {}: {}", mutant.name, mutant.bug),
        }
    }

    fn by(&self) -> String {
        self.invariants.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// What a hunted process says in the end: what went wrong, and which invariants were broken.
pub fn told(line: &Line) -> String {
    let invariants: BTreeSet<&str> =
        line.told.violations.iter().map(|violation| violation.invariant).collect();
    let trouble = line.trouble.as_ref().map(|trouble| format!("{}\n", trouble.replace('\n', " ")));
    let broken = invariants.into_iter().collect::<Vec<_>>().join(" ");
    format!("{}{BROKE}{broken}", trouble.unwrap_or_default())
}

/// For the repository.
pub fn report(catches: &[Catch]) -> String {
    let mut text = "| mutant | what is wrong | caught by |\n|---|---|---|\n".to_owned();
    for catch in catches {
        let by = if catch.is_caught() { catch.by() } else { "**escaped**".to_owned() };
        let _ = writeln!(text, "| {} | {} | {by} |", catch.mutant.name, catch.mutant.bug);
    }
    text
}

/// Every mutant.
pub fn quarry() -> impl Iterator<Item = &'static Mutant> {
    MUTANTS.iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caught_by(invariants: &[&str]) -> Catch {
        let invariants = invariants.iter().map(|invariant| (*invariant).to_owned()).collect();
        Catch { mutant: &MUTANTS[0], invariants, trouble: None }
    }

    #[test]
    fn a_fleet_that_is_slow_to_come_to_rest_convicts_no_mutant() {
        assert!(!caught_by(&[]).is_caught());
        assert!(!caught_by(&["I18"]).is_caught());
        assert!(caught_by(&["I18", "I3"]).is_caught());
    }

    #[test]
    fn the_report_names_what_escaped() {
        let text = report(&[caught_by(&["I3"]), caught_by(&[])]);

        assert!(text.contains("| I3 |"), "{text}");
        assert!(text.contains("| **escaped** |"), "{text}");
    }
}
