//! How many messages a text is billed as.
//!
//! A text of the alphabet GSM-7 (3GPP TS 23.038 section 6.2.1) has 160 places in one message, and 153 in each of several;
//! some of its characters take two. Any other character makes the whole text UCS-2, with 70 and 67.

/// The basic alphabet; each character takes one place.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// Characters behind an escape; each takes two places.
const EXTENDED: &str = "\u{c}^{}\\[~]|€";

/// What a text is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// Seven bits for a character.
    Gsm7,
    /// Sixteen bits for a character.
    Ucs2,
}

impl Alphabet {
    /// Its name in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gsm7 => "gsm-7",
            Self::Ucs2 => "ucs-2",
        }
    }

    /// Places in one message, and in each of several.
    const fn places(self) -> (usize, usize) {
        match self {
            Self::Gsm7 => (160, 153),
            Self::Ucs2 => (70, 67),
        }
    }
}

/// What a text comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segments {
    /// What it is written in.
    pub alphabet: Alphabet,
    /// As how many messages it is billed.
    pub count: usize,
}

impl Segments {
    /// Counts a text. A character of two places is not divided between two messages.
    pub fn of(text: &str) -> Self {
        let seven_bits: Option<Vec<usize>> = text.chars().map(gsm7).collect();
        let (alphabet, widths) = seven_bits.map_or_else(
            || (Alphabet::Ucs2, text.chars().map(char::len_utf16).collect()),
            |widths| (Alphabet::Gsm7, widths),
        );
        Self { alphabet, count: count(&widths, alphabet) }
    }
}

fn gsm7(character: char) -> Option<usize> {
    match character {
        _ if BASIC.contains(character) => Some(1),
        _ if EXTENDED.contains(character) => Some(2),
        _ => None,
    }
}

fn count(widths: &[usize], alphabet: Alphabet) -> usize {
    let (alone, each) = alphabet.places();
    if widths.iter().sum::<usize>() <= alone {
        return 1;
    }
    let (mut messages, mut left) = (1, each);
    for width in widths {
        if left < *width {
            (messages, left) = (messages + 1, each);
        }
        left -= width;
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_counted_as_the_network_counts_it() {
        let times = |text: &str, times: usize| text.repeat(times);
        let rows = [
            (String::new(), Alphabet::Gsm7, 1),
            (times("x", 160), Alphabet::Gsm7, 1),
            (times("x", 161), Alphabet::Gsm7, 2),
            (times("x", 306), Alphabet::Gsm7, 2),
            (times("x", 307), Alphabet::Gsm7, 3),
            (times("ñ", 160), Alphabet::Gsm7, 1),
            (times("€", 80), Alphabet::Gsm7, 1),
            // 76 of them fill 152 of 153 places, and none is divided.
            (times("€", 153), Alphabet::Gsm7, 3),
            (times("á", 70), Alphabet::Ucs2, 1),
            (times("á", 71), Alphabet::Ucs2, 2),
            (times("x", 70) + "ç", Alphabet::Ucs2, 2),
            (times("🙂", 35), Alphabet::Ucs2, 1),
            (times("🙂", 67), Alphabet::Ucs2, 3),
        ];

        for (text, alphabet, count) in rows {
            assert_eq!(Segments::of(&text), Segments { alphabet, count }, "{text}");
        }
    }

    #[test]
    fn the_alphabet_has_its_128_places() {
        // One of them is the escape, which is no character.
        assert_eq!(BASIC.chars().count(), 127);
    }
}
