//! Reads a content on the thread that asks, with a position of its own.

use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

use super::Content;

/// Reads and seeks in a content. Reading from the disk holds up its thread.
#[derive(Debug)]
pub struct ContentReader {
    content: Content,
    at: u64,
}

impl ContentReader {
    pub(super) fn new(content: Content) -> Self {
        Self { content, at: 0 }
    }
}

impl Read for ContentReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for ContentReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(off) => self.content.length().checked_add_signed(off),
            SeekFrom::Current(off) => self.at.checked_add_signed(off),
        };
        self.at = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl MediaSource for ContentReader {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.content.length())
    }
}
