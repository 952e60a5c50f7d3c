//! A message that cannot be read to its end must not look finished.
//!
//! lettre takes a message as an iterator and, whatever ended that, writes the line with the dot, upon which the server takes
//! what it has for the whole message. So when a file of it cannot be read, a gate in front of the socket is shut before
//! the iterator ends: nothing goes through any more, the write of the dot fails, and the connection is dropped. A server throws
//! away what came without its end (RFC 5321 section 4.1.1.4).
//!
//! lettre asks for the next piece in the middle of a future. A disk may let us wait for it (one over the network does), so
//! meanwhile the other tasks of the thread go on elsewhere.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};

use crate::content::{Chunks, Pieces};

/// The way out of one connection. Cheap to clone; once it is shut, nothing opens it again.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<AtomicBool>);

/// A message on its way through the gate.
pub(super) struct Passing<'a> {
    chunks: Chunks,
    is_on_disk: bool,
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
        Self { chunks: message.chunks(), is_on_disk: message.is_on_disk(), gate, unread: None }
    }

    /// Why it broke off.
    pub(super) fn unread(self) -> Option<io::Error> {
        self.unread
    }
}

impl Iterator for Passing<'_> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let Self { chunks, is_on_disk, .. } = self;
        let chunk = if *is_on_disk { wait_for(|| chunks.next()) } else { chunks.next() };
        chunk?
            .map_err(|error| {
                self.gate.shut();
                self.unread = Some(error);
            })
            .ok()
    }
}

/// Does what may take a while, and lets the runtime's other tasks go on. A runtime of one thread has no place for them; workers
/// have one of several.
fn wait_for<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;
    use crate::content::Content;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn other_tasks_go_on_while_a_disk_lets_us_wait() {
        let (sender, receiver) = mpsc::channel();
        // On the one thread of the runtime, which a test itself is not on.
        let waiting = tokio::spawn(async move {
            let another = tokio::spawn(async move { sender.send("done") });
            let heard = wait_for(|| receiver.recv_timeout(Duration::from_secs(20)));
            another.await.unwrap().unwrap();
            heard
        });

        assert_eq!(waiting.await.unwrap(), Ok("done"));
    }

    #[test]
    fn a_message_on_the_disk_is_read_whatever_reads_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![b'a'; 300_000]).unwrap();
        let content = Content::of_file(file.reopen().unwrap()).unwrap();
        let message = Pieces::from("From: ada").then(content);
        let read = || Passing::new(&message, &Gate::default()).map(|chunk| chunk.len()).sum::<usize>();
        let build = |mut builder: tokio::runtime::Builder| builder.build().unwrap();
        let one = build(tokio::runtime::Builder::new_current_thread());
        let several = build(tokio::runtime::Builder::new_multi_thread());

        let lengths = [read(), one.block_on(async { read() }), several.block_on(async { read() })];

        assert_eq!(lengths, [300_009; 3]);
    }
}
