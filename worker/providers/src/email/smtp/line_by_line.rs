//! Hands out what a server says one line at a time, so that nothing said before TLS counts after it.
//!
//! lettre reads ahead into a buffer that outlives the switch to TLS. Somebody on the path could append invented
//! replies to the clear-text answer to STARTTLS, and they would be taken for protected ones (CVE-2011-0411 is the
//! same defect in servers). Held back here, such bytes reach the TLS handshake instead, which fails on them. What goes out
//! passes the [`Gate`] of its connection.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::gate::Gate;

/// Bytes taken from the socket at once; replies are short.
const CHUNK: usize = 4096;

/// A TCP stream whose reads end at a line break.
#[derive(Debug)]
pub(super) struct LineByLine {
    stream: TcpStream,
    held: Vec<u8>,
    gate: Gate,
}

impl LineByLine {
    pub(super) const fn new(stream: TcpStream, gate: Gate) -> Self {
        Self { stream, held: Vec::new(), gate }
    }
}

impl AsyncRead for LineByLine {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        wanted: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.held.is_empty() {
            let mut chunk = [0; CHUNK];
            let mut read = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
            self.held.extend_from_slice(read.filled());
        }
        let line = self.held.iter().position(|byte| *byte == b'\n').map_or(self.held.len(), |end| end + 1);
        let given = line.min(wanted.remaining());
        wanted.put_slice(&self.held[..given]);
        self.held.drain(..given);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LineByLine {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.gate.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncTokioStream for LineByLine {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}
