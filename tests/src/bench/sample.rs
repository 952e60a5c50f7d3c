//! Numbers that runs gave, and looking them up.

use serde::{Deserialize, Serialize};

use super::{case::Case, metric::Metric};

/// The name of this fleet among subjects.
pub const FLOTA: &str = "Flota";

/// One number of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Round, from 1. Numbers of one round were taken within minutes of each other.
    pub round: u32,
    /// Who was measured: [`FLOTA`] or the name of a peer.
    pub subject: String,
    /// Under which circumstances.
    pub case: Case,
    /// What it is.
    pub metric: Metric,
    /// The number.
    pub value: f64,
}

/// What a run gives, before it is known as whose.
pub type Readings = Vec<(Case, Metric, f64)>;

/// The value of one round.
pub fn of_round(samples: &[Sample], round: u32, subject: &str, case: Case, metric: Metric) -> Option<f64> {
    let wanted = |sample: &&Sample| {
        (sample.round, &*sample.subject, sample.case, sample.metric) == (round, subject, case, metric)
    };
    samples.iter().find(wanted).map(|sample| sample.value)
}

/// The values of all rounds.
pub fn of_all_rounds(samples: &[Sample], subject: &str, case: Case, metric: Metric) -> Vec<f64> {
    let wanted = |sample: &&Sample| (&*sample.subject, sample.case, sample.metric) == (subject, case, metric);
    samples.iter().filter(wanted).map(|sample| sample.value).collect()
}

/// Median, least and most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The middle one; of an even number the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// Of these values; `None` where there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { median, least, most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 9.0]), Some(Spread { median: 3.0, least: 1.0, most: 9.0 }));
        assert_eq!(Spread::of(&[7.0]), Some(Spread { median: 7.0, least: 7.0, most: 7.0 }));
        assert_eq!(Spread::of(&[]), None);
    }
}
