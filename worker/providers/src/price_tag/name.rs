//! The product of a tag: the first line that is neither money nor a code nor one of the things all tags say.

use super::{amount, offer};

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
    let whole = lines.iter().find(|line| is_name(line)).copied();
    whole.or_else(|| lines.iter().find_map(|line| before_money(line))).map(str::to_owned)
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

/// A name that shares its line with the price.
fn before_money(line: &str) -> Option<&str> {
    let first = amount::in_line(line).into_iter().find(|found| found.is_marked)?;
    let before = line[..first.range.start].trim_end_matches(|character: char| !character.is_alphanumeric());
    reads_like_a_name(before).then_some(before)
}
