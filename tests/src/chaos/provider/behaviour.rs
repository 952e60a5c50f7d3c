//! How a provider treats a request: whether it does its work, and what it says about it.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

/// How every request is treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// Does its work and answers with this status, good or bad.
    Answer(u16),
    /// Does its work and answers 200 only after this long.
    HangAfterWork(Duration),
    /// Does its work and resets the connection.
    ResetAfterWork,
    /// Does nothing and answers with this status.
    FailBeforeWork(u16),
    /// Does nothing and resets the connection.
    ResetBeforeWork,
    /// Each request is treated in one of these ways, the rest of the hundred is answered with 200.
    Mixed {
        /// The same seed treats the first, second, … request with an idempotency key in the same way.
        seed: u64,
        /// Together at most a hundred percent.
        shares: Vec<Share>,
    },
}

/// Part of a mixture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// How many requests of a hundred.
    pub percent: u8,
    /// How they are treated.
    pub behaviour: Behaviour,
}

/// What is done with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) works: bool,
    pub(super) hang: Duration,
    /// `None` for a reset.
    pub(super) status: Option<u16>,
}

impl Behaviour {
    /// A mixture of these ways, each with its share of a hundred requests.
    pub fn mixed(seed: u64, shares: impl IntoIterator<Item = (u8, Self)>) -> Self {
        let shares = shares.into_iter().map(|(percent, behaviour)| Share { percent, behaviour }).collect();
        Self::Mixed { seed, shares }
    }

    /// What is done with the request that is the `number`th with this key.
    pub(super) fn step(&self, key: &str, number: u32) -> Step {
        let at_once = |works, status| Step { works, hang: Duration::ZERO, status };
        match self {
            Self::Answer(status) => at_once(true, Some(*status)),
            Self::HangAfterWork(time) => Step { works: true, hang: *time, status: Some(200) },
            Self::ResetAfterWork => at_once(true, None),
            Self::FailBeforeWork(status) => at_once(false, Some(*status)),
            Self::ResetBeforeWork => at_once(false, None),
            Self::Mixed { seed, shares } => match chosen(shares, percentile(*seed, key, number)) {
                Some(behaviour) => behaviour.step(key, number),
                None => at_once(true, Some(200)),
            },
        }
    }
}

fn chosen(shares: &[Share], percentile: u8) -> Option<&Behaviour> {
    let mut below = 0_u8;
    shares.iter().find_map(|share| {
        below = below.saturating_add(share.percent);
        (percentile < below).then_some(&share.behaviour)
    })
}

/// From 0 to 99, as good as random.
fn percentile(seed: u64, key: &str, number: u32) -> u8 {
    let mut hasher = DefaultHasher::new();
    (seed, key, number).hash(&mut hasher);
    (hasher.finish() % 100) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixture_gives_each_way_its_share_and_repeats_itself_for_a_seed() {
        let ways = [(20, Behaviour::ResetAfterWork), (10, Behaviour::FailBeforeWork(503))];
        let mixture = Behaviour::mixed(7, ways);
        let steps = |mixture: &Behaviour| -> Vec<Step> {
            (0..10_000).map(|number| mixture.step(&format!("job {number}"), 1)).collect()
        };

        let seen = steps(&mixture);

        let share =
            |status: Option<u16>| seen.iter().filter(|step| step.status == status).count() as f64 / 100.0;
        let shares = [share(None), share(Some(503)), share(Some(200))];
        assert!(
            shares.iter().zip([20.0, 10.0, 70.0]).all(|(is, wanted)| (is - wanted).abs() < 2.0),
            "{shares:?}"
        );
        assert_eq!(seen, steps(&mixture.clone()));
        let Behaviour::Mixed { shares, .. } = mixture else { unreachable!("it is one") };
        assert_ne!(seen, steps(&Behaviour::Mixed { seed: 8, shares }));
    }
}
