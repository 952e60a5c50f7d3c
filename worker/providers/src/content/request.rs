//! Pieces as the body of a request: it says its length, and is read while it is sent.
//!
//! A request that was signed has been read before. Files may change in between, and the provider would take the mismatch for
//! a wrong key of ours; so such a body ends with an error instead of its last chunk when it is not what was signed.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use aws_lc_rs::digest::{Context as Digest, SHA256};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

use super::pieces::{Chunks, Pieces};

/// A file could not be read while the request with it was sent. The request broke off, so nobody has taken it for a whole
/// one.
#[derive(Debug, thiserror::Error)]
#[error("a file could not be read while it was sent")]
pub(crate) struct Unread(#[source] pub(crate) io::Error);

/// A body on its way.
pub(crate) struct Sending {
    pub(crate) body: reqwest::Body,
    /// Set when it cannot be read to its end. By HTTP/1 the error of the request says so too ([`Unread`]), by HTTP/2 it says
    /// no more than that the stream was reset.
    pub(crate) broke_off: Arc<AtomicBool>,
}

/// The body while it is sent.
struct InPieces {
    left: u64,
    broke_off: Arc<AtomicBool>,
    step: Step,
    is_on_disk: bool,
}

enum Step {
    Idle(Source),
    /// Where that keeps nobody waiting.
    Reading(JoinHandle<Read>),
    Over,
}

/// What was read, and what there is to be read next.
type Read = (Option<io::Result<Bytes>>, Source);

struct Source {
    chunks: Chunks,
    left: u64,
    /// Of what was read so far, and of all of it when that was read before.
    seal: Option<(Digest, [u8; 32])>,
}

impl Pieces {
    /// It as the body of a request. For a repeat there is another one. Who has read it before gives its SHA-256.
    pub(crate) fn sending(&self, sha256: Option<[u8; 32]>) -> Sending {
        let broke_off = Arc::<AtomicBool>::default();
        if let Some(bytes) = self.as_bytes() {
            return Sending { body: bytes.clone().into(), broke_off };
        }
        let (left, is_on_disk) = (self.length(), self.is_on_disk());
        let seal = sha256.map(|sha256| (Digest::new(&SHA256), sha256));
        let step = Step::Idle(Source { chunks: self.chunks(), left, seal });
        let body = InPieces { left, broke_off: Arc::clone(&broke_off), step, is_on_disk };
        Sending { body: reqwest::Body::wrap(body), broke_off }
    }
}

impl Source {
    fn read(mut self) -> Read {
        let chunk = self.chunks.next().map(|chunk| chunk.and_then(|chunk| self.check(chunk)));
        (chunk, self)
    }

    fn check(&mut self, chunk: Bytes) -> io::Result<Bytes> {
        self.left = self.left.saturating_sub(chunk.len() as u64);
        let Some((digest, expected)) = &mut self.seal else { return Ok(chunk) };
        digest.update(&chunk);
        if self.left == 0 && digest.clone().finish().as_ref() != expected {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is not the file any more that it was before",
            ));
        }
        Ok(chunk)
    }
}

impl InPieces {
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Unread>>> {
        loop {
            let (chunk, source) = match std::mem::replace(&mut self.step, Step::Over) {
                Step::Over => return Poll::Ready(None),
                Step::Idle(source) if self.is_on_disk => {
                    self.step = Step::Reading(spawn_blocking(|| source.read()));
                    continue;
                }
                Step::Idle(source) => source.read(),
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
                    self.step = Step::Idle(source);
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
        match &chunk {
            Some(Ok(chunk)) => self.left = self.left.saturating_sub(chunk.len() as u64),
            Some(Err(_)) => self.broke_off.store(true, Ordering::Relaxed),
            None => {}
        }
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::content::Content;

    async fn received(mut body: reqwest::Body) -> Result<Vec<u8>, reqwest::Error> {
        let mut all = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            all.extend(frame?.into_data().expect("data and nothing else"));
        }
        Ok(all)
    }

    #[tokio::test]
    async fn a_body_that_has_changed_since_it_was_read_before_does_not_come_to_its_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![b'a'; 1_000_000]).unwrap();
        let pieces = Pieces::from(Content::of_file(file.reopen().unwrap()).unwrap()).then("the end");
        let digest = pieces.sha256().await.unwrap();

        let Sending { body, broke_off: same } = pieces.sending(Some(digest));
        let whole = received(body).await.unwrap();
        std::os::unix::fs::FileExt::write_all_at(file.as_file(), b"b", 500_000).unwrap();
        let Sending { body, broke_off: changed } = pieces.sending(Some(digest));
        let error = received(body).await.unwrap_err();

        assert_eq!((whole.len() as u64, &whole[1_000_000..]), (pieces.length(), &b"the end"[..]));
        assert!(crate::causes::find::<Unread>(&error).is_some());
        assert_eq!([same, changed].map(|broke_off| broke_off.load(Ordering::Relaxed)), [false, true]);
    }
}
