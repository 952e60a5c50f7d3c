//! Bodies that nobody reads to their end: what is left of them is taken in and forgotten, beside the answer.
//!
//! A client that is cut off while it writes does not read what it is told: it would see a broken connection where there
//! is a 401, a 413 or a 429. What is taken in is bounded in size and in time; what announces more is cut off.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, Bytes, HttpBody},
    extract::Request,
};
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;

/// The most that is taken in of one body, read or not, in bytes: a batch of 8 MiB, and somewhat more.
const MOST: u64 = 9 * 1024 * 1024;
/// The longest that the rest of a body is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The request, with a body that may be left unread.
pub(super) fn allow_unread(request: Request) -> Request {
    request.map(|body| {
        if body.is_end_stream() || MOST < body.size_hint().lower() {
            return body;
        }
        Body::from_stream(MayBeLeft { rest: Some(body.into_data_stream()), taken: 0 })
    })
}

/// A body as it comes.
struct MayBeLeft {
    /// What has not come yet; `None` after its end.
    rest: Option<BodyDataStream>,
    taken: u64,
}

impl Stream for MayBeLeft {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let piece = std::task::ready!(rest.poll_next_unpin(context));
        match &piece {
            Some(Ok(bytes)) => self.taken += bytes.len() as u64,
            Some(Err(_)) | None => self.rest = None,
        }
        Poll::Ready(piece)
    }
}

impl Drop for MayBeLeft {
    fn drop(&mut self) {
        let (Some(rest), Ok(runtime)) = (self.rest.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        runtime.spawn(timeout(PATIENCE, forget(rest, self.taken)));
    }
}

async fn forget(mut rest: BodyDataStream, mut taken: u64) {
    while let Some(Ok(piece)) = rest.next().await {
        taken += piece.len() as u64;
        if MOST < taken {
            return;
        }
    }
}
