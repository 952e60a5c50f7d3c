//! Hunts the mutants: each is set loose in a story that holds without it, and must be caught by an invariant.

use std::{collections::BTreeSet, fmt::Write};

use super::{
    mutants::{MUTANTS, Mutant},
    summary::Line,
};

/// One mutant after the hunt.
pub struct Catch {
    /// Which.
    pub mutant: &'static Mutant,
    /// The invariants that it broke.
    pub invariants: BTreeSet<&'static str>,
    /// What went wrong otherwise.
    pub trouble: Option<String>,
}

impl Catch {
    /// What a telling with this mutant showed.
    pub fn of(mutant: &'static Mutant, line: &Line) -> Self {
        let invariants = line.told.violations.iter().map(|violation| violation.invariant).collect();
        Self { mutant, invariants, trouble: line.trouble.clone() }
    }

    /// True when an invariant was broken.
    pub fn is_caught(&self) -> bool {
        !self.invariants.is_empty()
    }

    /// One sentence.
    pub fn sentence(&self) -> String {
        let Self { mutant, invariants, trouble } = self;
        let by = invariants.iter().copied().collect::<Vec<_>>().join(" ");
        match (self.is_caught(), trouble) {
            (true, _) => format!("caught    {}: {} ({by})", mutant.name, mutant.bug),
            (false, Some(trouble)) => format!("ESCAPED   {}: {}; {trouble}", mutant.name, mutant.bug),
            (false, None) => format!("ESCAPED   {}: {}", mutant.name, mutant.bug),
        }
    }
}

/// For the repository.
pub fn report(catches: &[Catch]) -> String {
    let mut text = "| mutant | what is wrong | caught by |\n|---|---|---|\n".to_owned();
    for catch in catches {
        let by = catch.invariants.iter().copied().collect::<Vec<_>>().join(", ");
        let by = if catch.is_caught() { by } else { "**escaped**".to_owned() };
        let _ = writeln!(text, "| {} | {} | {by} |", catch.mutant.name, catch.mutant.bug);
    }
    text
}

/// Every mutant.
pub fn quarry() -> impl Iterator<Item = &'static Mutant> {
    MUTANTS.iter()
}
