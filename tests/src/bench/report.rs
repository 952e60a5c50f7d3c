//! Everything that a bench found, as it is kept in a file: from it the page can be made again.

use serde::{Deserialize, Serialize};

use super::{
    figures::FIGURES,
    judge::{Judged, Verdict, judge},
    machine::Machine,
    peers::install::Installed,
    plan::{Measure, Plan},
    sample::Sample,
};

/// A run that does not count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    /// Round.
    pub round: u32,
    /// Who.
    pub subject: String,
    /// What.
    pub measure: Measure,
    /// Why.
    pub reason: String,
}

/// A peer that could not be built here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Missing {
    /// Where it comes from.
    pub peer: String,
    /// Why.
    pub reason: String,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// On what was measured.
    pub machine: Machine,
    /// Seconds since 1970 when it began.
    pub began_unix: u64,
    /// True for a run that only shows that the measures work.
    pub quick: bool,
    /// How much was measured.
    pub plan: Plan,
    /// The figures, judged.
    pub figures: Vec<Judged>,
    /// Every number.
    pub samples: Vec<Sample>,
    /// Runs that do not count.
    pub failed: Vec<Failed>,
    /// Peers that are missing.
    pub missing: Vec<Missing>,
}

impl Report {
    /// Nothing measured yet.
    pub fn new(machine: Machine, began_unix: u64, quick: bool, plan: Plan, installed: &Installed) -> Self {
        let missing = installed.missing.iter();
        let missing = missing
            .map(|(origin, reason)| Missing { peer: format!("{origin:?}"), reason: reason.clone() })
            .collect();
        let (figures, samples, failed) = (Vec::new(), Vec::new(), Vec::new());
        Self { machine, began_unix, quick, plan, figures, samples, failed, missing }
    }

    /// Judges all figures by the samples that are there.
    pub fn judge(&mut self) {
        self.figures = FIGURES.iter().map(|figure| judge(figure, &self.samples)).collect();
    }

    /// Whether a run of ours failed, or a figure that was measured in earnest is not reached.
    pub fn is_bad(&self) -> bool {
        let ours = self.failed.iter().any(|failed| failed.subject == super::sample::FLOTA);
        let missed = self.figures.iter().any(|figure| figure.verdict == Verdict::Missed);
        ours || (missed && !self.quick)
    }
}
