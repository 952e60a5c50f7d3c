//! Reads a content at any place, for parsers that walk: through a window on it, as large as the walk is steady.
//!
//! A walk onward makes the window larger, a jump makes it small again, so that neither a long file nor one whose parts lie
//! about costs much more than what is read of it. Parsers ask for bytes that may not be there, and stop where there are
//! none; whether that was the end of the file or the disk did not give them is remembered for whoever started the parser.
//! Reading from the disk holds up the thread.

use std::{
    cell::RefCell,
    io::{self, BufRead, Read, Seek, SeekFrom},
};

use bytes::Bytes;

use super::Content;

/// What is read of the disk after a jump, in bytes.
const LEAST: usize = 4 * 1024;
/// What is read at once on a long walk, in bytes.
const MOST: usize = 128 * 1024;

/// A content, and a piece of it in memory.
#[derive(Debug)]
pub(crate) struct Window {
    content: Content,
    /// Where the next read begins.
    at: u64,
    seen: RefCell<Seen>,
}

/// The piece in memory.
#[derive(Debug, Default)]
struct Seen {
    piece: Bytes,
    /// Where it begins.
    from: u64,
    /// Why the disk did not give the last one.
    trouble: Option<io::Error>,
}

impl Window {
    /// On a content, from its beginning.
    pub(crate) fn new(content: Content) -> Self {
        Self { content, at: 0, seen: RefCell::default() }
    }

    /// How long the content is, in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.content.length()
    }

    /// One byte.
    pub(crate) fn byte(&self, at: u64) -> Option<u8> {
        self.seen.borrow_mut().from(&self.content, at).first().copied()
    }

    /// The bytes from this place on, as many as asked for.
    pub(crate) fn array<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        let (mut bytes, mut seen) = ([0; N], self.seen.borrow_mut());
        let mut filled = 0;
        while filled < N {
            let piece = seen.from(&self.content, at.checked_add(filled as u64)?);
            let more = piece.len().min(N - filled);
            if more == 0 {
                return None;
            }
            bytes[filled..][..more].copy_from_slice(&piece[..more]);
            filled += more;
        }
        Some(bytes)
    }

    /// What there is from this place on, some of it; nothing behind the end.
    pub(crate) fn piece(&self, at: u64) -> Bytes {
        let mut seen = self.seen.borrow_mut();
        let length = seen.from(&self.content, at).len();
        seen.piece.slice(seen.piece.len() - length..)
    }

    /// True when it begins like this.
    pub(crate) fn starts_with(&self, start: &[u8]) -> bool {
        start.iter().enumerate().all(|(at, byte)| self.byte(at as u64) == Some(*byte))
    }

    /// Why bytes were not there that should have been, if that happened.
    pub(crate) fn trouble(self) -> Option<io::Error> {
        self.seen.into_inner().trouble
    }
}

impl Seen {
    /// What is in memory from this place on: at least a byte of it, where there is one.
    fn from(&mut self, content: &Content, at: u64) -> &[u8] {
        let inside = |seen: &Self| {
            let off = usize::try_from(at.checked_sub(seen.from)?).ok()?;
            (off < seen.piece.len()).then_some(off)
        };
        if inside(self).is_none() && at < content.length() {
            self.move_to(content, at);
        }
        inside(self).map_or(&[], |off| &self.piece[off..])
    }

    fn move_to(&mut self, content: &Content, at: u64) {
        // What is held is seen as a whole, at the price of nothing.
        let (from, most) = match content {
            Content::Held(_) => (0, usize::MAX),
            Content::OnDisk { .. } if at == self.from + self.piece.len() as u64 => {
                (at, (2 * self.piece.len()).clamp(LEAST, MOST))
            }
            Content::OnDisk { .. } => (at, LEAST),
        };
        match content.read_piece(from, most) {
            Ok(piece) => (self.piece, self.from) = (piece, from),
            Err(error) => {
                (self.piece, self.from) = (Bytes::new(), 0);
                self.trouble.get_or_insert(error);
            }
        }
    }
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let most = piece.len().min(buffer.len());
        buffer[..most].copy_from_slice(&piece[..most]);
        self.consume(most);
        Ok(most)
    }
}

impl BufRead for Window {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let seen = self.seen.get_mut();
        let found = seen.from(&self.content, self.at).len();
        match &seen.trouble {
            Some(error) if found == 0 => Err(error.kind().into()),
            _ => Ok(&seen.piece[seen.piece.len() - found..]),
        }
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount as u64;
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(off) => self.length().checked_add_signed(off),
            SeekFrom::Current(off) => self.at.checked_add_signed(off),
        };
        self.at = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Bytes that differ from place to place.
    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at / 251) as u8 ^ at as u8).collect()
    }

    fn both(bytes: &[u8]) -> [Window; 2] {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        [Window::new(bytes.to_vec().into()), Window::new(Content::of_file(file).unwrap())]
    }

    #[test]
    fn every_place_is_seen_in_whatever_order_and_nothing_behind_the_end() {
        let bytes = bytes(3 * MOST + 7);
        let length = bytes.len() as u64;
        for window in both(&bytes) {
            let onward = (0..length).step_by(3);
            let about = (0..length).step_by(97).map(|at| at * 7_919 % length);
            for at in onward.chain(about).chain(length - 8..length + 9) {
                let left = &bytes[bytes.len().min(at as usize)..];
                assert_eq!(window.byte(at), left.first().copied());
                assert_eq!(window.array::<4>(at), left.first_chunk().copied());
                assert!(
                    left.starts_with(&window.piece(at)) && window.piece(at).is_empty() == left.is_empty()
                );
            }
            assert_eq!((window.byte(u64::MAX), window.array::<2>(u64::MAX)), (None, None));
            assert!(window.starts_with(&bytes[..100]) && !window.starts_with(&bytes[1..3]));
            assert!(window.trouble().is_none());
        }
    }

    #[test]
    fn it_is_read_like_a_file_back_and_forth() {
        let bytes = bytes(MOST + 100);
        for mut window in both(&bytes) {
            let (mut all, mut end) = (Vec::new(), [0; 6]);

            window.read_to_end(&mut all).unwrap();
            window.seek(SeekFrom::End(-6)).unwrap();
            window.read_exact(&mut end).unwrap();
            window.seek(SeekFrom::Current(-6)).unwrap();
            let ends_here = window.fill_buf().unwrap().len();
            window.seek(SeekFrom::Start(u64::MAX)).unwrap();

            assert!(all == bytes && end == bytes[MOST + 94..] && ends_here == 6);
            assert!(window.fill_buf().unwrap().is_empty() && window.seek(SeekFrom::End(i64::MIN)).is_err());
        }
    }

    #[test]
    fn a_walk_reads_little_more_than_it_sees() {
        let [_, window] = both(&bytes(10 * MOST));

        window.byte(5);
        assert_eq!(window.seen.borrow().piece.len(), LEAST);
        (5..9 * MOST as u64).for_each(|at| _ = window.byte(at));
        assert_eq!(window.seen.borrow().piece.len(), MOST);
        window.byte(7);
        assert_eq!(window.seen.borrow().piece.len(), LEAST);
    }

    #[test]
    fn bytes_that_the_disk_does_not_give_are_trouble_and_not_the_end() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(MOST as u64).unwrap();
        let mut window = Window::new(Content::of_file(file.try_clone().unwrap()).unwrap());

        file.set_len(10).unwrap();

        assert_eq!(window.byte(LEAST as u64), None);
        assert_eq!(window.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(window.trouble().unwrap().kind(), io::ErrorKind::UnexpectedEof);
    }
}
