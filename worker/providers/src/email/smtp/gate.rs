//! A message that cannot be read to its end must not look finished.
//!
//! lettre takes a message as an iterator and, whatever ended that, writes the line with the dot, upon which the server takes
//! what it has for the whole message. So when a file of it cannot be read, a gate in front of the socket is shut before
//! the iterator ends: nothing goes through any more, the write of the dot fails, and the connection is dropped. A server throws
//! away what came without its end (RFC 5321 section 4.1.1.4).

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;

use crate::content::{Chunks, Pieces};

/// The way out of one connection. Cheap to clone; once it is shut, nothing opens it again.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<AtomicBool>);

/// A message on its way through the gate.
pub(super) struct Passing<'a> {
    chunks: Chunks,
    gate: &'a Gate,
    unread: Option<io::Error>,
}

impl Gate {
    /// Fails when it is shut.
    pub(super) fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the message could not be read to its end",
            ));
        }
        Ok(())
    }

    fn shut(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<'a> Passing<'a> {
    /// This message, from its beginning.
    pub(super) fn new(message: &Pieces, gate: &'a Gate) -> Self {
        Self { chunks: message.chunks(), gate, unread: None }
    }

    /// Why it broke off.
    pub(super) fn unread(self) -> Option<io::Error> {
        self.unread
    }
}

impl Iterator for Passing<'_> {
    type Item = Bytes;

    /// Reads from the disk on the thread that asks: lettre asks in the middle of a future. It is a piece of 128 KiB that was
    /// written a moment ago, so it comes from the system's memory.
    fn next(&mut self) -> Option<Bytes> {
        self.chunks
            .next()?
            .map_err(|error| {
                self.gate.shut();
                self.unread = Some(error);
            })
            .ok()
    }
}
