//! Reads lines of a limited length, leaving what follows for later: that is all that PIPELINING needs.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// One line as it came over the wire.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line that ended with CRLF; without it.
    Proper(Vec<u8>),
    /// A line that ended with a bare LF, which RFC 5321 section 2.3.8 forbids; without it.
    BareLineFeed(Vec<u8>),
    /// A line longer than the limit, read to its end and thrown away.
    TooLong,
    /// The client closed the connection; an unfinished line is no line.
    Closed,
}

/// Reads one line of at most `limit` bytes, its line end included.
pub(super) async fn read_line<R: AsyncBufRead + Unpin>(reader: &mut R, limit: usize) -> io::Result<Line> {
    let mut line = Vec::new();
    let mut too_long = false;
    loop {
        let buffered = reader.fill_buf().await?;
        if buffered.is_empty() {
            return Ok(Line::Closed);
        }
        let end = buffered.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(buffered.len(), |end| end + 1);
        too_long |= line.len() + taken > limit;
        if !too_long {
            line.extend_from_slice(&buffered[..taken]);
        }
        reader.consume(taken);
        if end.is_some() {
            return Ok(if too_long { Line::TooLong } else { without_end(line) });
        }
    }
}

fn without_end(mut line: Vec<u8>) -> Line {
    line.pop();
    if line.last() == Some(&b'\r') {
        line.pop();
        return Line::Proper(line);
    }
    Line::BareLineFeed(line)
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    #[tokio::test]
    async fn lines_that_arrive_together_are_read_one_by_one() {
        // A buffer of three bytes, so that lines also span reads.
        let mut reader = BufReader::with_capacity(3, &b"NOOP\r\nbare\n123456789\r\nQUIT\r\nunfinished"[..]);

        let mut lines = Vec::new();
        for _ in 0..5 {
            lines.push(read_line(&mut reader, 8).await.unwrap());
        }

        let expected = [
            Line::Proper(b"NOOP".to_vec()),
            Line::BareLineFeed(b"bare".to_vec()),
            Line::TooLong,
            Line::Proper(b"QUIT".to_vec()),
            Line::TooLong,
        ];
        assert_eq!(lines[..4], expected[..4]);
        assert_eq!(lines[4], Line::Closed);
    }
}
