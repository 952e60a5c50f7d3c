//! Promotions in a line: several for a price, take and pay, per cent.

use std::ops::Range;

use serde::Serialize;

use super::amount::{cents, end_of_number};

/// Most units that are sold together: copies, screws.
const MOST_UNITS: u64 = 1_000;
/// Words behind `4 x 3` that make it a size.
const SIZES: [&str; 8] = ["cm", "mm", "m ", "mts", "pulg", "in ", "\"", "px"];

/// A promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "offer", rename_all = "snake_case")]
pub enum Offer {
    /// `3x$100`.
    Several {
        /// How many.
        units: u64,
        /// For how much, in hundredths.
        cents: u64,
    },
    /// `2 x 1`.
    TakeAndPay {
        /// How many one gets.
        take: u64,
        /// How many one pays.
        pay: u64,
    },
    /// `20% de descuento`.
    Percent {
        /// How much less.
        percent: u64,
    },
}

/// The promotions of a line, and the bytes of it that belong to them.
pub(super) fn in_line(line: &str) -> (Vec<Offer>, Vec<Range<usize>>) {
    let starts = line.char_indices().filter(|(at, character)| {
        character.is_ascii_digit()
            && !line[..*at].ends_with(|before: char| before.is_alphanumeric() || ".,$".contains(before))
    });
    let (mut offers, mut taken) = (Vec::new(), Vec::<Range<usize>>::new());
    for (at, _) in starts {
        if taken.iter().any(|range| range.contains(&at)) {
            continue;
        }
        if let Some((offer, end)) = percent(line, at).or_else(|| multiple(line, at)) {
            offers.push(offer);
            taken.push(at..end);
        }
    }
    (offers, taken)
}

fn whole(line: &str, at: usize) -> Option<(u64, usize)> {
    let end = at + line[at..].find(|character: char| !character.is_ascii_digit()).unwrap_or(line.len() - at);
    Some((line[at..end].parse().ok()?, end))
}

fn percent(line: &str, at: usize) -> Option<(Offer, usize)> {
    let (percent, end) = whole(line, at)?;
    let behind = line[end..].trim_start().strip_prefix('%')?.to_lowercase();
    let is_less = ["desc", "off", "menos"].iter().any(|word| behind.contains(word));
    (is_less && (1..=99).contains(&percent)).then_some((Offer::Percent { percent }, end))
}

fn multiple(line: &str, at: usize) -> Option<(Offer, usize)> {
    let (first, end) = whole(line, at)?;
    let rest = line[end..].trim_start();
    let rest =
        ["x", "X", "por ", "POR ", "Por ", "×"].iter().find_map(|word| rest.strip_prefix(word))?.trim_start();
    // Recognition puts a 5 or an S before or in place of the `$`.
    let money =
        rest.strip_prefix('$').or_else(|| rest.strip_prefix("5$")).or_else(|| rest.strip_prefix("S$"));
    let start = |rest: &str| line.len() - rest.len();
    if let Some(money) = money.map(str::trim_start) {
        let from = start(money);
        let until = end_of_number(line, from);
        let (cents, _) = cents(&line[from..until])?;
        let is_offer = (2..=MOST_UNITS).contains(&first) && cents > 0;
        return is_offer.then_some((Offer::Several { units: first, cents }, until));
    }
    let (second, until) = whole(line, start(rest))?;
    let behind = line[until..].trim_start().to_lowercase();
    let is_size =
        SIZES.iter().any(|word| behind.starts_with(word)) || line[until..].starts_with(char::is_alphanumeric);
    let is_offer = second < first && (2..=9).contains(&first) && second > 0 && !is_size;
    is_offer.then_some((Offer::TakeAndPay { take: first, pay: second }, until))
}
