//! The product of a tag: the first line, or what stands before a price on its line, that is neither money nor a code nor one
//! of the things all tags say.

use super::{
    amount, offer,
    role::{self, Role},
};

/// Fewest letters of a name.
const FEWEST_LETTERS: usize = 3;
/// Words that stand on any tag. A line of nothing else is no name, and neither is one that begins with a marked one.
const COMMON: [&str; 22] = [
    "oferta",
    "ofertas",
    "promocion",
    "promoción",
    "super",
    "súper",
    "precio",
    "precios",
    "especial",
    "bajo",
    "bajos",
    "nuevo",
    "gran",
    "venta",
    "liquidacion",
    "liquidación",
    "rebaja",
    "rebajas",
    "descuento",
    "de",
    "en",
    "el",
];
const NOTES: [&str; 17] = [
    "iva",
    "sku",
    "cod",
    "cód",
    "talla",
    "válid",
    "valid",
    "vigencia",
    "precio",
    "antes",
    "ahora",
    "hoy",
    "ahorra",
    "hasta",
    "garant",
    "prohibida",
    "total",
];

pub(super) fn of(lines: &[&str]) -> Option<String> {
    let whole_or_before_money =
        |line: &&str| if is_name(line) { Some(line.to_string()) } else { words_before_money(line) };
    let any = || lines.iter().find_map(|line| before_money(line)).map(|(name, _)| name.to_owned());
    lines.iter().find_map(whole_or_before_money).or_else(any)
}

fn is_name(line: &str) -> bool {
    let has_money = amount::in_line(line).iter().any(|found| found.is_marked);
    !has_money && offer::in_line(line).0.is_empty() && reads_like_a_name(line)
}

fn reads_like_a_name(text: &str) -> bool {
    let lower = text.to_lowercase();
    let letters = lower.chars().filter(|character| character.is_alphabetic()).count();
    let digits = lower.chars().filter(char::is_ascii_digit).count();
    let is_common = lower
        .split(|character: char| !character.is_alphabetic())
        .filter(|word| !word.is_empty())
        .all(|word| COMMON.contains(&word));
    let is_note = NOTES.iter().any(|note| lower.starts_with(note));
    FEWEST_LETTERS <= letters && digits < 2 * letters && !is_common && !is_note
}

/// A name that shares its line with the price, when it has several words and the price is not said to be anything else.
fn words_before_money(line: &str) -> Option<String> {
    let (name, role) = before_money(line)?;
    let words = name.split_whitespace().filter(|word| word.chars().all(char::is_alphabetic)).count();
    (role == Role::Plain && 2 <= words).then(|| name.to_owned())
}

/// What shares its line with the price, and what that is for.
fn before_money(line: &str) -> Option<(&str, Role)> {
    let all = amount::in_line(line);
    let first = all.iter().find(|found| found.is_marked)?;
    let before = line[..first.range.start].trim_end_matches(|character: char| !character.is_alphanumeric());
    reads_like_a_name(before).then(|| (before, role::of(line, &all, first)))
}
