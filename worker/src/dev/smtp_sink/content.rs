//! The content of a message, from the 354 reply to the final dot.
//!
//! Pure: lines in, content or a refusal out. A message that must be refused is still read to its end, because the
//! client listens only then.

use super::line::Line;

/// The longest line of text including CRLF (RFC 5321 section 4.5.3.1.6).
pub(super) const LONGEST_TEXT_LINE: usize = 1000;

/// A dot that the client adds for transport does not count towards the longest line.
pub(super) const LONGEST_LINE_ON_THE_WIRE: usize = LONGEST_TEXT_LINE + 1;

/// A message while it is received.
pub(super) struct Content {
    data: Vec<u8>,
    max_bytes: usize,
    refusal: Option<&'static str>,
    last_line_was_proper: bool,
}

impl Content {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { data: Vec::new(), max_bytes, refusal: None, last_line_was_proper: true }
    }

    /// Takes one line; true when it was the final dot.
    pub(super) fn take(&mut self, line: &Line) -> bool {
        match line {
            // Only CRLF . CRLF ends a message; anything looser is how mail is smuggled.
            Line::Proper(line) if line.as_slice() == b"." && self.last_line_was_proper => return true,
            Line::Proper(line) => {
                self.append(line);
                self.last_line_was_proper = true;
            }
            Line::BareLineFeed(_) => {
                self.refuse("554 5.6.0 a line ends with a bare LF; lines end with CRLF (RFC 5321 2.3.8)");
                self.last_line_was_proper = false;
            }
            Line::TooLong => {
                self.refuse("500 5.5.2 a line is longer than 998 bytes (RFC 5321 4.5.3.1.6)");
                self.last_line_was_proper = true;
            }
            Line::Closed => {}
        }
        false
    }

    /// The content, or the reply that refuses it.
    pub(super) fn finish(self) -> Result<Vec<u8>, &'static str> {
        self.refusal.map_or(Ok(self.data), Err)
    }

    fn append(&mut self, line: &[u8]) {
        let line = line.strip_prefix(b".").unwrap_or(line);
        if self.data.len() + line.len() + 2 > self.max_bytes {
            self.refuse("552 5.3.4 the message is larger than the SIZE that was announced");
        }
        // What will be refused need not be kept.
        if self.refusal.is_none() {
            self.data.extend_from_slice(line);
            self.data.extend_from_slice(b"\r\n");
        }
    }

    /// The first reason counts.
    fn refuse(&mut self, reply: &'static str) {
        self.refusal.get_or_insert(reply);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proper(line: &str) -> Line {
        Line::Proper(line.into())
    }

    fn receive(lines: Vec<Line>) -> (bool, Result<Vec<u8>, &'static str>) {
        let mut content = Content::new(100);
        let mut ended = false;
        for line in lines {
            ended = content.take(&line);
        }
        (ended, content.finish())
    }

    #[test]
    fn a_dot_added_for_transport_is_removed_and_a_lone_dot_ends_the_message() {
        let lines = vec![proper("one"), proper("..two"), proper(".. "), proper(".")];

        assert_eq!(receive(lines), (true, Ok(b"one\r\n.two\r\n. \r\n".to_vec())));
    }

    #[test]
    fn a_dot_after_a_bare_line_feed_does_not_end_the_message() {
        let (ended, content) = receive(vec![Line::BareLineFeed(b"x".to_vec()), proper(".")]);

        assert!(!ended);
        assert!(content.unwrap_err().starts_with("554 "));
    }

    #[test]
    fn a_message_with_an_overlong_line_is_refused_at_its_end() {
        let (ended, content) = receive(vec![Line::TooLong, proper("fine"), proper(".")]);

        assert!(ended);
        assert!(content.unwrap_err().starts_with("500 "));
    }

    #[test]
    fn a_message_larger_than_announced_is_refused() {
        let (ended, content) = receive(vec![proper(&"x".repeat(99)), proper(".")]);

        assert!(ended);
        assert!(content.unwrap_err().starts_with("552 "));
    }
}
