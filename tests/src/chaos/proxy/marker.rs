//! Finds a marker in a stream that arrives in pieces.

/// Looks for one marker.
#[derive(Debug, Clone)]
pub(super) struct Marker {
    wanted: Vec<u8>,
    /// The end of what has been seen, too short to hold the whole marker.
    seen: Vec<u8>,
}

impl Marker {
    pub(super) fn new(wanted: Vec<u8>) -> Self {
        Self { wanted, seen: Vec::new() }
    }

    /// Whether the stream holds the marker with these bytes that it did not hold without them.
    pub(super) fn ends_in(&mut self, piece: &[u8]) -> bool {
        if self.wanted.is_empty() {
            return false;
        }
        self.seen.extend_from_slice(piece);
        let found = self.seen.windows(self.wanted.len()).any(|window| window == self.wanted);
        let kept = self.wanted.len() - 1;
        self.seen.drain(..self.seen.len().saturating_sub(kept));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_found_wherever_the_stream_was_torn() {
        let stream = b"*3\r\n$7\r\nEVALSHA\r\n$40";
        for torn_at in 0..=stream.len() {
            let mut marker = Marker::new(b"EVALSHA".to_vec());

            let found: Vec<bool> =
                [&stream[..torn_at], &stream[torn_at..]].map(|piece| marker.ends_in(piece)).to_vec();

            assert_eq!(found.iter().filter(|found| **found).count(), 1, "torn at {torn_at}");
        }
    }

    #[test]
    fn a_marker_counts_once_and_its_parts_never() {
        let mut marker = Marker::new(b"COMMIT".to_vec());

        let found = ["COM", "COM", "MIT", "MIT", "COMMIT"].map(|piece| marker.ends_in(piece.as_bytes()));

        assert_eq!(found, [false, false, true, false, true]);
    }
}
