//! A body that is put together from pieces and is never whole in memory: bytes, files, and base64 of such a body.
//!
//! How long it is can be told before any of it is read, so it is sent with its length and held to limits beforehand; who
//! sends it fails rather than ends when the disk does not give all that was promised. It is read from its beginning as often
//! as is needed (once to sign it, once to send it), in chunks of some hundred kilobytes at most.

use std::{io, sync::Arc, vec};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Bytes, BytesMut};

use super::{
    Content, HELD, PIECE,
    in_base64::{InBase64, Lines},
    run_blocking,
};

/// A body of pieces. Cheap to clone: a clone reads the same.
#[derive(Debug, Clone, Default)]
pub struct Pieces {
    pieces: Vec<Piece>,
    length: u64,
}

#[derive(Debug, Clone)]
enum Piece {
    AsIs(Content),
    Base64(Arc<Pieces>, Lines),
}

/// Reads a body from its beginning, chunk by chunk, on the thread that asks. Ends after an error; what came before is then
/// not all of it.
#[derive(Debug)]
pub struct Chunks {
    pieces: vec::IntoIter<Piece>,
    reading: Option<Reading>,
}

#[derive(Debug)]
enum Reading {
    AsIs { content: Content, at: u64 },
    Base64(Box<InBase64>),
}

impl<C: Into<Content>> From<C> for Pieces {
    fn from(content: C) -> Self {
        let content = content.into();
        Self { length: content.length(), pieces: vec![Piece::AsIs(content)] }
    }
}

impl Pieces {
    /// This, and that behind it.
    #[must_use]
    pub fn then(mut self, more: impl Into<Self>) -> Self {
        let more = more.into();
        self.length += more.length;
        self.pieces.extend(more.pieces);
        self
    }

    /// Its base64.
    #[must_use]
    pub fn base64(self, lines: Lines) -> Self {
        let length = lines.length(self.length);
        Self { pieces: vec![Piece::Base64(Arc::new(self), lines)], length }
    }

    /// How long it is, in bytes.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// It in one piece of bytes, where it is that.
    pub(crate) fn as_bytes(&self) -> Option<&Bytes> {
        match &self.pieces[..] {
            [Piece::AsIs(Content::Held(bytes))] => Some(bytes),
            _ => None,
        }
    }

    /// The same in one piece of bytes when it is small and none of it is on the disk, which spares its readers the steps.
    pub(crate) fn joined(self) -> Self {
        if self.is_on_disk() || HELD as u64 <= self.length {
            return self;
        }
        let mut all = BytesMut::with_capacity(self.length as usize);
        // What is in memory can be read.
        self.chunks().map_while(Result::ok).for_each(|chunk| all.extend_from_slice(&chunk));
        all.freeze().into()
    }

    /// Reads it where that keeps nobody waiting, from its beginning.
    pub fn chunks(&self) -> Chunks {
        Chunks { pieces: self.pieces.clone().into_iter(), reading: None }
    }

    /// Its digest.
    ///
    /// # Errors
    /// When the disk does not give it.
    pub async fn sha256(&self) -> io::Result<[u8; 32]> {
        let mut chunks = self.chunks();
        let mut digest = move || {
            let mut context = Context::new(&SHA256);
            for chunk in &mut chunks {
                context.update(&chunk?);
            }
            let mut digest = [0; 32];
            digest.copy_from_slice(context.finish().as_ref());
            Ok(digest)
        };
        if self.length <= PIECE as u64 && !self.is_on_disk() { digest() } else { run_blocking(digest).await }
    }

    /// True when some of it has to be read from the disk.
    pub(crate) fn is_on_disk(&self) -> bool {
        self.pieces.iter().any(|piece| match piece {
            Piece::AsIs(content) => matches!(content, Content::OnDisk { .. }),
            Piece::Base64(of, _) => of.is_on_disk(),
        })
    }
}

impl Chunks {
    fn read(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let chunk = match &mut self.reading {
                Some(reading) => reading.next()?,
                None => match self.pieces.next() {
                    Some(piece) => {
                        self.reading = Some(piece.open());
                        continue;
                    }
                    None => return Ok(None),
                },
            };
            match chunk {
                Some(chunk) if chunk.is_empty() => {}
                Some(chunk) => return Ok(Some(chunk)),
                None => self.reading = None,
            }
        }
    }
}

impl Iterator for Chunks {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<io::Result<Bytes>> {
        let chunk = self.read();
        if chunk.is_err() {
            (self.pieces, self.reading) = (Vec::new().into_iter(), None);
        }
        chunk.transpose()
    }
}

impl Piece {
    fn open(self) -> Reading {
        match self {
            Self::AsIs(content) => Reading::AsIs { content, at: 0 },
            Self::Base64(of, lines) => Reading::Base64(Box::new(InBase64::new(of.chunks(), lines))),
        }
    }
}

impl Reading {
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        match self {
            Self::AsIs { content, at } => {
                // Less than was promised is an error.
                let chunk = content.read_piece(*at, PIECE)?;
                *at += chunk.len() as u64;
                Ok((!chunk.is_empty()).then_some(chunk))
            }
            Self::Base64(encoder) => encoder.next(),
        }
    }
}

#[cfg(test)]
mod tests;
