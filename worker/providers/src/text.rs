//! Text from outside, made safe to keep and to show.
//!
//! Answers of servers end up in records and on terminals. Bytes that move the cursor, hide text or reorder it are
//! replaced, and the length is bounded, so that no reader needs to do it again.

/// One line of at most `most_bytes` bytes; control and reordering characters become spaces or `\u{fffd}`.
pub(crate) fn one_line(bytes: &[u8], most_bytes: usize) -> String {
    let mut line = String::new();
    for character in String::from_utf8_lossy(bytes).chars() {
        let shown = shown(character);
        if line.len() + shown.len_utf8() > most_bytes {
            break;
        }
        line.push(shown);
    }
    line.trim().to_owned()
}

const fn shown(character: char) -> char {
    match character {
        '\n' | '\r' | '\t' => ' ',
        // Zero-width and bidirectional marks can make a line read as something else.
        '\u{0}'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => char::REPLACEMENT_CHARACTER,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_codes_and_hidden_characters_do_not_survive() {
        let line = one_line("\u{1b}[31mred\u{202e}\r\nnext\0".as_bytes(), 100);

        assert_eq!(line, "\u{fffd}[31mred\u{fffd}  next\u{fffd}");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let line = one_line("ñññ".as_bytes(), 5);

        assert_eq!(line, "ññ");
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_replaced() {
        let line = one_line(b"a\xffb", 100);

        assert_eq!(line, "a\u{fffd}b");
    }
}
