//! TLS from the first byte over a stream of ours, so that what is true of that stream (its gate) is true of every connection.
//!
//! lettre opens such connections over sockets of its own only. Its stream can be made over ours and switched to TLS, and is
//! handed back to it as a transport that does not know what is below.
#![expect(
    deprecated,
    reason = "lettre 0.11 has no other way to TLS over a given stream, except for STARTTLS"
)]

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use lettre::transport::smtp::{
    Error,
    client::{AsyncNetworkStream, AsyncTokioStream, TlsParameters},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};

use super::line_by_line::LineByLine;

/// A stream inside TLS.
#[derive(Debug)]
pub(super) struct InsideTls(Compat<AsyncNetworkStream>);

impl InsideTls {
    /// Shakes hands over this stream.
    pub(super) async fn over(stream: LineByLine, tls: TlsParameters) -> Result<Self, Error> {
        let mut stream = AsyncNetworkStream::use_existing_tokio1(Box::new(stream));
        stream.upgrade_tls(tls).await?;
        Ok(Self(stream.compat()))
    }
}

impl AsyncRead for InsideTls {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        wanted: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, wanted)
    }
}

impl AsyncWrite for InsideTls {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl AsyncTokioStream for InsideTls {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().peer_addr()
    }
}
