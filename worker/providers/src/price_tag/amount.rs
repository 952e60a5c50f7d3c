//! Money in a line: a number, and the mark before or behind it.

use std::ops::Range;

use serde::Serialize;

use super::role;

/// Most digits of an amount; longer numbers are codes.
const MOST_DIGITS: usize = 11;

/// The currencies that tags name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Currency {
    /// Mexican peso: `$`, `MN`, `MXN`, `pesos`.
    Mxn,
    /// Dollar, when it is named.
    Usd,
    /// Euro.
    Eur,
}

/// An amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// Hundredths.
    pub cents: u64,
    /// Of which money.
    pub currency: Currency,
}

/// An amount in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) amount: Amount,
    /// Its number, in bytes of the line, with the number of its cents where they are named behind it.
    pub(super) range: Range<usize>,
    /// Something beside it says that it is money.
    pub(super) is_marked: bool,
    has_cents: bool,
    /// Cents seem to stand behind it that could not be read.
    pub(super) lacks_cents: bool,
}

const BEFORE: [(&str, Currency); 6] = [
    ("usd$", Currency::Usd),
    ("us$", Currency::Usd),
    ("usd", Currency::Usd),
    ("eur", Currency::Eur),
    ("mxn", Currency::Mxn),
    ("€", Currency::Eur),
];
const BEHIND: [(&str, Currency); 12] = [
    ("usd", Currency::Usd),
    ("dólares", Currency::Usd),
    ("dolares", Currency::Usd),
    ("euros", Currency::Eur),
    ("eur", Currency::Eur),
    ("€", Currency::Eur),
    ("mxn", Currency::Mxn),
    ("m.n", Currency::Mxn),
    ("m. n", Currency::Mxn),
    ("mn", Currency::Mxn),
    ("pesos", Currency::Mxn),
    ("peso", Currency::Mxn),
];

/// Hundredths by their name, behind a number of one or two digits.
const CENTS: [&str; 4] = ["centavos", "centavo", "ctvs", "¢"];

/// What recognition makes of cents that are printed small and high, right behind a number.
const UNREAD_CENTS: [char; 8] = ['"', '“', '”', '\'', '‘', '’', '°', 'º'];

/// Words between an amount and its cents: `2 pesos con 50 centavos`.
const JOINING: [&str; 6] = ["pesos", "peso", "dólares", "dolares", "con", "y"];

impl Found {
    /// Whether a number without a mark is money all the same: it has cents, and stands alone or beside a word for prices.
    pub(super) fn is_likely(&self, line: &str) -> bool {
        let is_alone = line.chars().all(|character| !character.is_alphabetic());
        self.has_cents && ((is_alone && line.len() == self.range.len()) || role::is_about_prices(line))
    }
}

/// Every number of a line that may be money.
pub(super) fn in_line(line: &str) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) =
        line[at..].find(|character: char| character.is_ascii_digit()).map(|found| at + found)
    {
        let end = end_of_number(line, start);
        let range = start..end_of_spaced(line, start, end).unwrap_or(end);
        at = range.end;
        if let Some(one) = read(line, range) {
            at = one.range.end;
            found.push(one);
        }
    }
    found
}

/// Digits, with single points and commas between them.
pub(super) fn end_of_number(line: &str, start: usize) -> usize {
    let bytes = line.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let separator = |at: usize| matches!(bytes.get(at), Some(b'.' | b','));
    let mut at = start;
    while digit(at) || (separator(at) && digit(at + 1)) {
        at += 1;
    }
    at
}

/// Where a number ends whose thousands stand apart, `$1 099.00` (NOM-008-SCFI-2002). Without a mark before it and
/// cents behind it, it may as well be two numbers.
fn end_of_spaced(line: &str, start: usize, first_end: usize) -> Option<usize> {
    let before = line[..start].trim_end().to_lowercase();
    let is_marked = before.ends_with('$') || BEFORE.iter().any(|(word, _)| ends_with_word(&before, word));
    let mut end = first_end;
    while is_marked && (1..=3).contains(&(first_end - start)) && line[end..].starts_with(' ') {
        let group = end + 1;
        end = end_of_number(line, group);
        let whole = line[group..end].split(['.', ',']).next().unwrap_or_default();
        if whole.len() != 3 {
            return None;
        }
        if end - group == "000.00".len() {
            return Some(end);
        }
    }
    None
}

fn read(line: &str, mut range: Range<usize>) -> Option<Found> {
    let (before, number, behind) = (&line[..range.start], &line[range.clone()], &line[range.end..]);
    if let Some(cents) = named_cents(number, behind) {
        let amount = Amount { cents, currency: Currency::Mxn };
        return Some(Found { amount, range, is_marked: true, has_cents: true, lacks_cents: false });
    }
    let (mut cents, mut has_cents) = cents(&number.replace(' ', ","))?;
    let mark = mark(before, behind, has_cents);
    if let (Some(_), false, Some(small)) = (mark, number.contains(['.', ',']), raised_cents(behind)) {
        (cents, has_cents) = (cents + small, true);
    }
    if let (Some(_), false, Some((small, length))) = (mark, has_cents, cents_behind(behind)) {
        (cents, has_cents) = (cents + small, true);
        range.end += length;
    }
    let is_part_of_word = before
        .ends_with(|character: char| character.is_alphanumeric() || "/-#".contains(character))
        || behind.starts_with(['%', '/', '-', ':']);
    if mark.is_none() && is_part_of_word {
        return None;
    }
    let amount = Amount { cents, currency: mark.unwrap_or(Currency::Mxn) };
    let lacks_cents = mark.is_some() && !has_cents && behind.starts_with(UNREAD_CENTS);
    Some(Found { amount, range, is_marked: mark.is_some(), has_cents, lacks_cents })
}

/// What a number says, in hundredths, and whether it says hundredths at all. The last separator divides them off when
/// one or two digits follow; any other must divide thousands.
pub(super) fn cents(number: &str) -> Option<(u64, bool)> {
    if MOST_DIGITS < number.bytes().filter(u8::is_ascii_digit).count() {
        return None;
    }
    let (whole, part) = match number.rfind(['.', ',']) {
        Some(at) if number.len() - at <= 3 => (&number[..at], &number[at + 1..]),
        _ => (number, ""),
    };
    let groups: Vec<&str> = whole.split(['.', ',']).collect();
    let is_one_kind = !(whole.contains('.') && whole.contains(','));
    let is_grouped =
        groups[1..].iter().all(|group| group.len() == 3) && (groups.len() == 1 || groups[0].len() <= 3);
    if !is_one_kind || !is_grouped {
        return None;
    }
    let whole: u64 = groups.concat().parse().ok()?;
    let part: u64 = match part.len() {
        0 => 0,
        1 => part.parse::<u64>().ok()? * 10,
        _ => part.parse().ok()?,
    };
    Some((whole * 100 + part, number.len() > groups.iter().map(|group| group.len() + 1).sum::<usize>() - 1))
}

/// The mark of money beside a number. A name behind it is more exact than a `$` before it.
fn mark(before: &str, behind: &str, has_cents: bool) -> Option<Currency> {
    let (close, before) = (before, before.trim_end().to_lowercase());
    let behind = behind.trim_start().to_lowercase();
    let named = BEHIND.iter().find(|(word, _)| begins_with_word(&behind, word));
    let told = BEFORE.iter().find(|(word, _)| ends_with_word(&before, word));
    if let Some((_, currency)) = named.or(told) {
        return Some(*currency);
    }
    // Recognition takes `$` for `S`.
    let is_misread =
        has_cents && close.strip_suffix('S').is_some_and(|rest| rest.is_empty() || rest.ends_with(' '));
    (before.ends_with('$') || is_misread).then_some(Currency::Mxn)
}

fn begins_with_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

fn ends_with_word(text: &str, word: &str) -> bool {
    text.strip_suffix(word).is_some_and(|rest| !rest.ends_with(char::is_alphanumeric))
}

/// `80 centavos`.
fn named_cents(number: &str, behind: &str) -> Option<u64> {
    let behind = behind.trim_start().to_lowercase();
    let is_named = number.len() <= 2 && CENTS.iter().any(|word| begins_with_word(&behind, word));
    number.parse().ok().filter(|_| is_named)
}

/// Cents of the amount before them, `con 50 centavos`, and where their number ends.
fn cents_behind(behind: &str) -> Option<(u64, usize)> {
    let start = behind.find(|character: char| character.is_ascii_digit())?;
    let is_joined =
        behind[..start].split_whitespace().all(|word| JOINING.contains(&word.to_lowercase().as_str()));
    let end = end_of_number(behind, start);
    let cents = named_cents(&behind[start..end], &behind[end..]).filter(|_| is_joined)?;
    Some((cents, end))
}

/// Cents that are printed small and high, and recognised as a number of their own at the end of the line.
fn raised_cents(behind: &str) -> Option<u64> {
    let digits = behind.strip_prefix(' ')?;
    if digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit()) {
        digits.parse().ok()
    } else {
        None
    }
}
