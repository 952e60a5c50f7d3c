//! What is in a file of a job: a little of it in memory, all of a larger one on the disk.
//!
//! Whoever gets a file gathers it piece by piece ([`Gathering`]): it stays in memory while it is small, and goes to a file
//! without a name when it is not, so that many large files at once take room on the disk and none in memory, and nothing
//! is left behind even after SIGKILL. From there on it is read from any place and as often as is needed: each reader has a
//! position of its own. A request around a file is put together from [`Pieces`] and read while it is sent. Nothing that works
//! for a job has all of a file in memory.

mod gathering;
mod in_base64;
pub(crate) mod json;
mod pieces;
mod reader;
mod request;
mod window;

#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{self, Seek},
    os::unix::fs::FileExt,
    process::Stdio,
    sync::{Arc, atomic::AtomicBool},
};

use bytes::Bytes;
use reqwest::multipart::Part;
use tokio::task::spawn_blocking;

pub(crate) use self::{
    gathering::Unkept,
    request::{Sending, Unread},
    window::Window,
};
pub use self::{
    gathering::{FetchError, Gathering, HELD, Spool, SpoolError},
    in_base64::Lines,
    pieces::{Chunks, Pieces},
    reader::ContentReader,
};

/// How much is read from the disk at once, in bytes.
const PIECE: usize = 128 * 1024;

/// What is in a file. Cheap to clone: a clone reads the same.
#[derive(Debug, Clone)]
pub enum Content {
    /// In memory.
    Held(Bytes),
    /// On the disk.
    OnDisk {
        /// The file, which need not have a name any more.
        file: Arc<File>,
        /// How long it was when it was put there, in bytes.
        length: u64,
    },
}

impl Default for Content {
    /// Nothing.
    fn default() -> Self {
        Self::Held(Bytes::new())
    }
}

impl<B: Into<Bytes>> From<B> for Content {
    fn from(bytes: B) -> Self {
        Self::Held(bytes.into())
    }
}

impl Content {
    /// What is in an open file from its beginning. It is not copied, so it should stay as it is while it is read.
    ///
    /// # Errors
    /// When the system does not say how long it is.
    pub fn of_file(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self::OnDisk { file: Arc::new(file), length })
    }

    /// How long it is, in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Held(bytes) => bytes.len() as u64,
            Self::OnDisk { length, .. } => *length,
        }
    }

    /// How much of it is in memory, in bytes.
    pub fn held(&self) -> usize {
        match self {
            Self::Held(bytes) => bytes.len(),
            Self::OnDisk { .. } => 0,
        }
    }

    /// Reads it where that keeps nobody waiting, from its beginning.
    pub fn reader(&self) -> ContentReader {
        ContentReader::new(self.clone())
    }

    /// Its first bytes, at most so many.
    ///
    /// # Errors
    /// When the disk does not give them.
    pub async fn start(&self, most: usize) -> io::Result<Bytes> {
        self.piece(0, most).await
    }

    /// All of it in memory, for whoever knows that it is small.
    ///
    /// # Errors
    /// When the disk does not give it.
    pub async fn whole(&self) -> io::Result<Bytes> {
        self.piece(0, self.length() as usize).await
    }

    /// Its digest.
    ///
    /// # Errors
    /// When the disk does not give it.
    pub async fn sha256(&self) -> io::Result<[u8; 32]> {
        Pieces::from(self.clone()).sha256().await
    }

    /// It as a part of a form, read while it is sent; and what is set when it cannot be read to its end.
    pub(crate) fn part(&self) -> (Part, Arc<AtomicBool>) {
        let Sending { body, broke_off } = Pieces::from(self.clone()).sending(None);
        (Part::stream_with_length(body, self.length()), broke_off)
    }

    /// It as the standard input of a program, which may open it anew and read at any place. What is held goes to the disk
    /// for that.
    pub(crate) async fn as_input(&self, spool: &Spool) -> Result<Stdio, SpoolError> {
        let (content, place) = (self.clone(), spool.clone());
        let opened = run_blocking(move || {
            let mut file = match content {
                Self::Held(bytes) => place.file_with(&bytes)?,
                Self::OnDisk { file, .. } => file.try_clone()?,
            };
            // For one that does not open it anew. Our own readers have their places.
            file.rewind()?;
            Ok(file)
        });
        opened.await.map(Stdio::from).map_err(|error| spool.trouble(error))
    }

    async fn piece(&self, from: u64, most: usize) -> io::Result<Bytes> {
        if let Self::Held(_) = self {
            return self.read_piece(from, most);
        }
        let content = self.clone();
        run_blocking(move || content.read_piece(from, most)).await
    }

    /// Fills as much of the buffer as there is from this place on, or less.
    fn read_at(&self, buffer: &mut [u8], from: u64) -> io::Result<usize> {
        let most = self.most_from(from, buffer.len());
        match self {
            // Beyond the end.
            _ if most == 0 => Ok(0),
            Self::Held(bytes) => {
                buffer[..most].copy_from_slice(&bytes[from as usize..][..most]);
                Ok(most)
            }
            Self::OnDisk { file, .. } => file.read_at(&mut buffer[..most], from),
        }
    }

    /// At most so many bytes from this place; fewer only at the end.
    pub(crate) fn read_piece(&self, from: u64, most: usize) -> io::Result<Bytes> {
        let most = self.most_from(from, most);
        match self {
            _ if most == 0 => Ok(Bytes::new()),
            Self::Held(bytes) => Ok(bytes.slice(from as usize..from as usize + most)),
            Self::OnDisk { file, .. } => {
                let mut piece = vec![0; most];
                file.read_exact_at(&mut piece, from)?;
                Ok(piece.into())
            }
        }
    }

    fn most_from(&self, from: u64, most: usize) -> usize {
        (most as u64).min(self.length().saturating_sub(from)) as usize
    }
}

/// Work with the disk, where it keeps nobody waiting.
async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}
