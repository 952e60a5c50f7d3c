//! What an amount is for, by the words beside it.

use serde::Serialize;

use super::amount::Found;

/// What an amount is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// What it costs now, as a word says.
    Now,
    /// What it cost before.
    Before,
    /// No word says anything.
    Plain,
    /// One piece.
    Each,
    /// A kilogram, a litre, a metre.
    PerMeasure,
    /// What is saved.
    Saving,
    /// One of several payments.
    Installment,
    /// The sum before tax.
    Subtotal,
    /// The tax.
    Tax,
    /// The sum.
    Total,
}

/// Which role says best what one costs.
pub(super) const BY_WEIGHT: [Role; 5] = [Role::Now, Role::Plain, Role::Each, Role::PerMeasure, Role::Total];

const BEHIND: [(&str, Role); 17] = [
    ("/kg", Role::PerMeasure),
    ("/ kg", Role::PerMeasure),
    ("/l", Role::PerMeasure),
    ("/ l", Role::PerMeasure),
    ("/m", Role::PerMeasure),
    ("/100", Role::PerMeasure),
    ("por kg", Role::PerMeasure),
    ("por kilo", Role::PerMeasure),
    ("por l", Role::PerMeasure),
    ("por m", Role::PerMeasure),
    ("por 100", Role::PerMeasure),
    ("x kg", Role::PerMeasure),
    ("el kilo", Role::PerMeasure),
    ("el litro", Role::PerMeasure),
    ("c/u", Role::Each),
    ("cada", Role::Each),
    ("por pieza", Role::Each),
];
const BEFORE: [(&str, Role); 28] = [
    ("msi", Role::Installment),
    ("meses", Role::Installment),
    ("mensual", Role::Installment),
    ("quincena", Role::Installment),
    ("pagos de", Role::Installment),
    ("ahorr", Role::Saving),
    ("descuento", Role::Saving),
    ("subtotal", Role::Subtotal),
    ("total", Role::Total),
    ("iva", Role::Tax),
    ("antes", Role::Before),
    ("regular", Role::Before),
    ("normal", Role::Before),
    ("lista", Role::Before),
    ("por kg", Role::PerMeasure),
    ("por kilo", Role::PerMeasure),
    ("por litro", Role::PerMeasure),
    ("por metro", Role::PerMeasure),
    ("por 100", Role::PerMeasure),
    ("por pieza", Role::Each),
    ("ahora", Role::Now),
    ("hoy", Role::Now),
    ("oferta", Role::Now),
    ("promo", Role::Now),
    ("contado", Role::Now),
    ("pieza", Role::Each),
    ("precio", Role::Now),
    ("solo", Role::Now),
];

/// Says what an amount is for that was found in a line, among all that were. Pure.
pub(super) fn of(line: &str, all: &[Found], found: &Found) -> Role {
    // Words belong to the amount that follows them.
    let begin = all.iter().map(|other| other.range.end).rfind(|end| *end <= found.range.start);
    let before = line[begin.unwrap_or(0)..found.range.start].to_lowercase().replace('ó', "o");
    let behind = line[found.range.end..].trim_start().to_lowercase();
    let after = BEHIND.iter().find(|(word, _)| behind.starts_with(word));
    let words = BEFORE.iter().find(|(word, _)| before.contains(word));
    if let Some((_, role)) = words.filter(|(_, role)| *role != Role::Now).or(after).or(words) {
        return *role;
    }
    match before.trim_matches(|character: char| !character.is_alphabetic()) {
        "de" => Role::Before,
        "a" => Role::Now,
        _ => Role::Plain,
    }
}

/// True for a line that speaks of prices.
pub(super) fn is_about_prices(line: &str) -> bool {
    let line = line.to_lowercase();
    ["precio", "total", "antes", "ahora", "oferta", "importe", "hoy"].iter().any(|word| line.contains(word))
}

/// Whether a line says that IVA is in the price, or comes on top.
pub(super) fn tax_included(line: &str) -> Option<bool> {
    let line = line.to_lowercase().replace("i.v.a.", "iva").replace("i.v.a", "iva");
    let says = |words: &[&str]| words.iter().any(|word| line.contains(word));
    if says(&["+ iva", "+iva", "más iva", "mas iva"]) {
        return Some(false);
    }
    says(&["iva incl", "incluye iva", "con iva", "iva inc"]).then_some(true)
}
