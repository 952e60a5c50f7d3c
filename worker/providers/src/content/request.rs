//! Pieces as the body of a request: it says its length, and is read while it is sent.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

use super::pieces::{Chunks, Pieces};

/// A file could not be read while the request with it was sent. The request broke off, so nobody has taken it for a whole
/// one.
#[derive(Debug, thiserror::Error)]
#[error("a file could not be read while it was sent")]
pub(crate) struct Unread(#[source] pub(crate) io::Error);

/// The body while it is sent.
struct InPieces {
    left: u64,
    step: Step,
    is_on_disk: bool,
}

enum Step {
    Idle(Chunks),
    /// Where that keeps nobody waiting.
    Reading(JoinHandle<Read>),
    Over,
}

/// What was read, and what there is to be read next.
type Read = (Option<io::Result<Bytes>>, Chunks);

impl Pieces {
    /// It as the body of a request. For a repeat there is another one.
    pub(crate) fn body(&self) -> reqwest::Body {
        match self.as_bytes() {
            Some(bytes) => bytes.clone().into(),
            None => reqwest::Body::wrap(InPieces {
                left: self.length(),
                step: Step::Idle(self.chunks()),
                is_on_disk: self.is_on_disk(),
            }),
        }
    }
}

impl InPieces {
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Unread>>> {
        loop {
            let (chunk, chunks) = match std::mem::replace(&mut self.step, Step::Over) {
                Step::Over => return Poll::Ready(None),
                Step::Idle(chunks) if self.is_on_disk => {
                    self.step = Step::Reading(spawn_blocking(|| read(chunks)));
                    continue;
                }
                Step::Idle(chunks) => read(chunks),
                Step::Reading(mut reading) => match Pin::new(&mut reading).poll(context) {
                    Poll::Pending => {
                        self.step = Step::Reading(reading);
                        return Poll::Pending;
                    }
                    Poll::Ready(read) => match read {
                        Ok(read) => read,
                        Err(error) => return Poll::Ready(Some(Err(Unread(io::Error::other(error))))),
                    },
                },
            };
            return Poll::Ready(match chunk {
                Some(Ok(chunk)) => {
                    self.step = Step::Idle(chunks);
                    Some(Ok(chunk))
                }
                Some(Err(error)) => Some(Err(Unread(error))),
                None => None,
            });
        }
    }
}

impl Body for InPieces {
    type Data = Bytes;
    type Error = Unread;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Unread>>> {
        let chunk = ready!(self.poll_read(context));
        if let Some(Ok(chunk)) = &chunk {
            self.left = self.left.saturating_sub(chunk.len() as u64);
        }
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

fn read(mut chunks: Chunks) -> Read {
    (chunks.next(), chunks)
}
