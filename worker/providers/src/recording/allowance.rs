//! A recording that gives only so much at once.
//!
//! A packet of sound has some kilobytes, but its length stands in the file, and a demultiplexer reads all of it into memory. So
//! whoever walks over the packets allows so much for each; more than that is not read, however long a packet claims to be.

use std::{
    io::{self, Read, Seek, SeekFrom},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use symphonia::core::io::MediaSource;

use crate::content::ContentReader;

/// Most that is read at once, in MiB.
pub(super) const MOST_MIB: u64 = 8;

/// What may still be read. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Allowance(Arc<AtomicU64>);

impl Allowance {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(MOST_MIB << 20)))
    }

    /// Allows for the next packet.
    pub(super) fn renew(&self) {
        self.0.store(MOST_MIB << 20, Relaxed);
    }

    /// True when something wanted more.
    pub(super) fn is_used_up(&self) -> bool {
        self.0.load(Relaxed) == 0
    }
}

/// Reads within an allowance.
#[derive(Debug)]
pub(super) struct Allowed {
    pub(super) reader: ContentReader,
    pub(super) allowance: Allowance,
}

impl Read for Allowed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowance.0.load(Relaxed);
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if most == 0 && !buffer.is_empty() {
            return Err(io::Error::other("one packet is longer than what is read at once"));
        }
        let read = self.reader.read(&mut buffer[..most])?;
        self.allowance.0.store(left - read as u64, Relaxed);
        Ok(read)
    }
}

impl Seek for Allowed {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.reader.seek(to)
    }
}

impl MediaSource for Allowed {
    fn is_seekable(&self) -> bool {
        self.reader.is_seekable()
    }

    fn byte_len(&self) -> Option<u64> {
        self.reader.byte_len()
    }
}
