//! Whether the figures were reached. Pure: samples in, verdicts out.
//!
//! A ratio is formed within each round, against the best that a peer reached in that round, and the median of the rounds
//! is judged.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    figures::{Asked, Figure, Over},
    metric::Better,
    peers::PEERS,
    sample::{FLOTA, Sample, Spread, of_round},
};

/// What became of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Even what would be better.
    Aim,
    /// What was asked.
    Held,
    /// Less than that.
    Missed,
    /// A number is missing: its run failed, its peer was not installed, or its measure was left out.
    NotMeasured,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aim => "held, and the aim",
            Self::Held => "held",
            Self::Missed => "MISSED",
            Self::NotMeasured => "not measured",
        })
    }
}

/// A figure with what was reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// What it says.
    pub what: String,
    /// Over all rounds.
    pub reached: Option<Spread>,
    /// What became of it.
    pub verdict: Verdict,
}

/// Judges one figure.
pub fn judge(figure: &Figure, samples: &[Sample]) -> Judged {
    let rounds = samples.iter().map(|sample| sample.round).max().unwrap_or(0);
    let values: Vec<f64> = (1..=rounds).filter_map(|round| value(figure, samples, round)).collect();
    let reached = Spread::of(&values);
    let verdict = reached.map_or(Verdict::NotMeasured, |reached| verdict(figure.asked, reached.median));
    Judged { what: figure.what.to_owned(), reached, verdict }
}

/// What the figure was in one round.
fn value(figure: &Figure, samples: &[Sample], round: u32) -> Option<f64> {
    let (case, metric) = figure.ours;
    let ours = of_round(samples, round, FLOTA, case, metric)?;
    let below = match figure.over {
        Over::Nothing => return Some(ours),
        Over::Ours(case, metric) => of_round(samples, round, FLOTA, case, metric)?,
        Over::BestOf(product, metric) => {
            let settings = PEERS.iter().filter(|peer| peer.product == product);
            let reached = settings
                .filter_map(|peer| of_round(samples, round, peer.name, super::case::Case::Usual, metric));
            match metric.better() {
                Better::Higher => reached.max_by(f64::total_cmp)?,
                Better::Lower => reached.min_by(f64::total_cmp)?,
            }
        }
    };
    // Nothing can be said of a share of nothing.
    (0.0 < below).then(|| ours / below)
}

fn verdict(asked: Asked, value: f64) -> Verdict {
    let is_at_least = |bound: u32| f64::from(bound) / 1_000.0 <= value;
    let is_at_most = |bound: u32| value <= f64::from(bound) / 1_000.0;
    let (reached, aimed) = match asked {
        Asked::AtLeast(reach, aim) => (is_at_least(reach), aim.is_some_and(is_at_least)),
        Asked::AtMost(reach, aim) => (is_at_most(reach), aim.is_some_and(is_at_most)),
        Asked::Within(bound) => (value.abs() <= f64::from(bound) / 1_000.0, false),
    };
    match (reached, aimed) {
        (_, true) => Verdict::Aim,
        (true, _) => Verdict::Held,
        _ => Verdict::Missed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{
        case::Case,
        figures::{BULLMQ, FIGURES},
        metric::Metric,
    };

    const RATE: Figure = Figure {
        what: "rate",
        ours: (Case::Usual, Metric::CommittedPerS),
        over: Over::BestOf(BULLMQ, Metric::SettledPerS),
        asked: Asked::AtLeast(6_000, Some(10_000)),
        digits: 1,
    };

    fn sample(round: u32, subject: &str, metric: Metric, value: f64) -> Sample {
        Sample { round, subject: subject.to_owned(), case: Case::Usual, metric, value }
    }

    fn settings() -> [&'static str; 2] {
        let mut settings = PEERS.iter().filter(|peer| peer.product == BULLMQ).map(|peer| peer.name);
        [settings.next().unwrap(), settings.next().unwrap()]
    }

    #[test]
    fn a_ratio_is_against_the_best_setting_of_its_round_and_the_median_is_judged() {
        let [slow, fast] = settings();
        let mut samples = Vec::new();
        for (round, ours, best) in [(1, 50.0, 10.0), (2, 140.0, 20.0), (3, 240.0, 20.0)] {
            samples.push(sample(round, FLOTA, Metric::CommittedPerS, ours));
            samples.push(sample(round, fast, Metric::SettledPerS, best));
            samples.push(sample(round, slow, Metric::SettledPerS, best / 4.0));
        }

        let judged = judge(&RATE, &samples);

        assert_eq!(judged.reached, Some(Spread { median: 7.0, least: 5.0, most: 12.0 }));
        assert_eq!(judged.verdict, Verdict::Held);
    }

    #[test]
    fn the_best_of_a_cost_is_the_lowest() {
        let [one, other] = settings();
        let cost = Figure {
            ours: (Case::Usual, Metric::RedisBothUs),
            over: Over::BestOf(BULLMQ, Metric::RedisBothUs),
            asked: Asked::AtMost(100, Some(60)),
            ..RATE
        };
        let samples = [
            sample(1, FLOTA, Metric::RedisBothUs, 10.0),
            sample(1, one, Metric::RedisBothUs, 400.0),
            sample(1, other, Metric::RedisBothUs, 125.0),
        ];

        let judged = judge(&cost, &samples);

        assert!((judged.reached.unwrap().median - 0.08).abs() < 1e-9);
        assert_eq!(judged.verdict, Verdict::Held);
    }

    #[test]
    fn a_round_without_one_of_its_numbers_does_not_count_and_no_round_at_all_is_not_measured() {
        let [fast, _] = settings();
        let samples = [
            sample(1, FLOTA, Metric::CommittedPerS, 100.0),
            sample(2, FLOTA, Metric::CommittedPerS, 100.0),
            sample(2, fast, Metric::SettledPerS, 10.0),
        ];

        assert_eq!(judge(&RATE, &samples).reached.map(|reached| reached.least), Some(10.0));
        assert_eq!(judge(&RATE, &samples).verdict, Verdict::Aim);
        assert_eq!(judge(&RATE, &samples[..2]).verdict, Verdict::NotMeasured);
        assert!(FIGURES.iter().all(|figure| judge(figure, &[]).verdict == Verdict::NotMeasured));
    }

    #[test]
    fn memory_that_shrinks_is_as_suspicious_as_memory_that_stays() {
        let within = Asked::Within(2_000);

        assert_eq!(verdict(within, 1.9), Verdict::Held);
        assert_eq!(verdict(within, -1.9), Verdict::Held);
        assert_eq!(verdict(within, -2.1), Verdict::Missed);
    }
}
