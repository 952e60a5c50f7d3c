//! Phone numbers in the form of E.164, as WhatsApp and SMS want them.

use crate::payload::Invalid;

/// Most digits of a number, ITU-T E.164 section 6.1.
const MAX_DIGITS: usize = 15;
/// Fewest digits that any country's full number has.
const MIN_DIGITS: usize = 7;

/// `+` and 7 to 15 digits, the first not 0.
///
/// # Errors
/// When it is no such number.
pub fn check_number(field: &str, number: &str) -> Result<(), Invalid> {
    let digits = number.strip_prefix('+').unwrap_or_default();
    let valid = (MIN_DIGITS..=MAX_DIGITS).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0');
    Invalid::unless(valid, field, "must be a full number such as +525512345678: `+` and 7 to 15 digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_numbers_pass() {
        assert_eq!(check_number("to", "+525512345678"), Ok(()));
        for number in
            ["", "+", "5512345678", "+52 55 1234 5678", "+0525512345678", "+5255123456789012", "+52x12345678"]
        {
            assert!(check_number("to", number).is_err(), "{number}");
        }
    }
}
