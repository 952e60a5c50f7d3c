//! US dollars, counted in billionths so that one token of the cheapest model is a whole number.

use std::{fmt, iter::Sum, ops::Add};

use flota_providers::chat::Usage;

const NANOS: f64 = 1e9;
/// Prices are said per million tokens.
const MILLION: f64 = 1e6;

/// An amount of US dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dollars(u64);

impl Dollars {
    /// From dollars; less than nothing is nothing.
    pub fn new(dollars: f64) -> Self {
        Self((dollars * NANOS).round() as u64)
    }

    /// In billionths, as Redis counts them. Its numbers are exact up to nine million dollars.
    pub fn nanos(self) -> u64 {
        self.0
    }

    /// From billionths.
    pub fn of_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// As a number for JSON and metrics.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / NANOS
    }
}

/// To the cent, and as far beyond it as there are digits: small models cost so little that rounding would show nothing.
impl fmt::Display for Dollars {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, nanos) = (self.0 / NANOS as u64, self.0 % NANOS as u64);
        let digits = format!("{nanos:09}");
        let (cents, rest) = digits.split_at(2);
        write!(formatter, "${whole}.{cents}{}", rest.trim_end_matches('0'))
    }
}

impl Add for Dollars {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Dollars {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

/// What a model costs, in dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Of the question.
    pub input: f64,
    /// Of the answer.
    pub output: f64,
}

impl Price {
    /// What so many tokens cost.
    pub fn of(self, prompt_tokens: u64, completion_tokens: u64) -> Dollars {
        let tokens = prompt_tokens as f64 * self.input + completion_tokens as f64 * self.output;
        Dollars::new(tokens / MILLION)
    }

    /// Whether both are numbers that a price can be.
    pub fn is_usable(self) -> bool {
        [self.input, self.output].iter().all(|price| price.is_finite() && (0.0..=10_000.0).contains(price))
    }
}

/// Who said what something cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Teller {
    /// The provider.
    Provider,
    /// Our table of prices.
    Table,
    /// Our estimate: the answer was lost or cut off and may be billed, or did not say what it took, or the model has no price
    /// and its tenant a budget.
    Estimate,
    /// Nobody: the model has no price, and counts as free where there is no budget.
    #[default]
    Nobody,
}

/// What a call cost: the provider's figure, else that of a price, with who says that one.
pub(super) fn cost(usage: Usage, price: Option<(Price, Teller)>) -> (Dollars, Teller) {
    match (usage.cost, price) {
        (Some(cost), _) => (Dollars::new(cost), Teller::Provider),
        (None, Some((price, teller))) => (price.of(usage.prompt_tokens, usage.completion_tokens), teller),
        (None, None) => (Dollars::default(), Teller::Nobody),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HAIKU: Price = Price { input: 0.25, output: 1.25 };

    #[test]
    fn a_million_tokens_cost_their_price_and_one_costs_a_whole_number() {
        assert_eq!(HAIKU.of(1_000_000, 1_000_000), Dollars::new(1.5));
        assert_eq!(HAIKU.of(1, 0).nanos(), 250);
    }

    #[test]
    fn dollars_are_shown_in_full() {
        let shown = [Dollars::new(5.0), HAIKU.of(1_000, 200), HAIKU.of(1, 0), Dollars::default()];

        assert_eq!(shown.map(|dollars| dollars.to_string()), ["$5.00", "$0.0005", "$0.00000025", "$0.00"]);
    }

    #[test]
    fn the_providers_figure_comes_before_the_table() {
        let usage = |cost| Usage { prompt_tokens: 1_000, completion_tokens: 200, cost };

        let price = Some((HAIKU, Teller::Table));
        assert_eq!(cost(usage(Some(0.001)), price), (Dollars::new(0.001), Teller::Provider));
        assert_eq!(cost(usage(None), price), (Dollars::new(0.0005), Teller::Table));
        assert_eq!(cost(usage(None), None), (Dollars::default(), Teller::Nobody));
    }
}
