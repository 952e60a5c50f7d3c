//! Check digits of retail codes (GS1 General Specifications, section 7.9): weights 3 and 1 from the right, modulo 10.

use serde::Serialize;

use super::Symbology;

/// What the last digit of a code says about the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckDigit {
    /// It is right.
    Valid,
    /// It is wrong: a misprint, or a number without one.
    Invalid,
    /// The kind of code has none, or one of its own inside that the decoder has seen to.
    None,
}

/// Judges a decoded text. Pure.
pub(super) fn of(symbology: Symbology, text: &str) -> CheckDigit {
    let number = match symbology {
        Symbology::Ean8 | Symbology::Ean13 | Symbology::UpcA => text.to_owned(),
        Symbology::UpcE => widened(text).unwrap_or_default(),
        // Of this family only the case code of 14 digits has a check digit by its standard.
        Symbology::Itf if text.len() == 14 => text.to_owned(),
        _ => return CheckDigit::None,
    };
    if is_right(&number) { CheckDigit::Valid } else { CheckDigit::Invalid }
}

fn is_right(number: &str) -> bool {
    let digits: Option<Vec<u32>> = number.chars().map(|digit| digit.to_digit(10)).collect();
    let Some(digits) = digits.filter(|digits| digits.len() > 1) else { return false };
    let weighted = digits.iter().rev().enumerate().map(|(at, digit)| digit * if at % 2 == 0 { 1 } else { 3 });
    weighted.sum::<u32>().is_multiple_of(10)
}

/// The UPC-A number that a UPC-E number of eight digits stands for.
fn widened(text: &str) -> Option<String> {
    if text.len() != 8 || !text.is_ascii() {
        return None;
    }
    let (system, six, check) = (&text[..1], &text[1..7], &text[7..]);
    let (five, last) = six.split_at(5);
    let body = match last {
        "0" | "1" | "2" => format!("{}{last}0000{}", &five[..2], &five[2..]),
        "3" => format!("{}00000{}", &five[..3], &five[3..]),
        "4" => format!("{}00000{}", &five[..4], &five[4..]),
        _ => format!("{five}0000{last}"),
    };
    Some(format!("{system}{body}{check}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_digit_is_seen() {
        let right = [
            (Symbology::Ean13, "7501055300020"),
            (Symbology::Ean8, "75012342"),
            (Symbology::UpcA, "036000291452"),
            (Symbology::UpcE, "04252614"),
            (Symbology::Itf, "17501055300027"),
        ];

        for (symbology, text) in right {
            assert_eq!(of(symbology, text), CheckDigit::Valid, "{text}");
            for (at, other) in (0..text.len()).flat_map(|at| ('0'..='9').map(move |other| (at, other))) {
                let mut wrong: Vec<char> = text.chars().collect();
                // The sixth digit of a short code says how the others are arranged, so it is no digit of the number.
                if wrong[at] == other || (symbology == Symbology::UpcE && at == 6) {
                    continue;
                }
                wrong[at] = other;
                let wrong: String = wrong.into_iter().collect();
                assert_eq!(of(symbology, &wrong), CheckDigit::Invalid, "{wrong} for {text}");
            }
        }
    }

    #[test]
    fn short_codes_stand_for_the_long_ones_of_the_standard() {
        let pairs = [
            ("01234505", "012000003455"),
            ("01234514", "012100003454"),
            ("01234531", "012300000451"),
            ("01234543", "012340000053"),
            ("01234558", "012345000058"),
        ];

        for (short, long) in pairs {
            assert_eq!(widened(short).as_deref(), Some(long), "{short}");
        }
    }

    #[test]
    fn kinds_without_a_digit_have_none() {
        assert_eq!(of(Symbology::Code128, "7501055300021"), CheckDigit::None);
        assert_eq!(of(Symbology::Itf, "123456"), CheckDigit::None);
        assert_eq!(of(Symbology::UpcE, "señal"), CheckDigit::Invalid);
    }
}
