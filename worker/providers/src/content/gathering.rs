//! Gathers a file that comes piece by piece: in memory while it is small, then on the disk, and never more than it may be.
//!
//! A file on the disk has no name from its first byte on (`O_TMPFILE` where there is that, else it is unlinked at once),
//! so whatever becomes of the job or of the process, its room is free again when nobody has it open.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;

use super::{Content, run_blocking};
use crate::ProviderError;

/// Largest file that stays in memory, in bytes. Dozens of jobs work with files at a time, and the disk's cache is as fast
/// for what is larger.
pub const HELD: usize = 1024 * 1024;

/// The directory where files lie while jobs work with them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Spool {
    /// The system's own when there is none.
    directory: Option<Arc<Path>>,
}

/// The disk does not take a file, or does not give it back.
#[derive(Debug, thiserror::Error)]
#[error("a file cannot be set aside in {}: {}", directory.display(), room(source))]
pub struct SpoolError {
    /// Where.
    pub directory: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Why a file did not come.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Whoever has it did not give it.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// It came, and our own disk did not take it.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl FetchError {
    /// What a call came to for whom was called, and inside it what became of the file here: trouble with our own disk says
    /// nothing of a provider.
    ///
    /// # Errors
    /// Those of the provider.
    pub fn apart<T>(fetched: Result<T, Self>) -> Result<Result<T, SpoolError>, ProviderError> {
        match fetched {
            Ok(found) => Ok(Ok(found)),
            Err(Self::Spool(error)) => Ok(Err(error)),
            Err(Self::Provider(error)) => Err(error),
        }
    }
}

/// Why a piece was not taken.
#[derive(Debug)]
pub(crate) enum Unkept {
    /// It is more than the file may have.
    TooLarge,
    /// The disk did not take it.
    Disk(SpoolError),
}

impl From<SpoolError> for Unkept {
    fn from(error: SpoolError) -> Self {
        Self::Disk(error)
    }
}

impl Spool {
    /// In this directory, or in the system's own for temporary files.
    pub fn new(directory: Option<PathBuf>) -> Self {
        Self { directory: directory.map(Into::into) }
    }

    /// Begins a file of at most so many bytes.
    pub fn gather(&self, most_bytes: usize) -> Gathering {
        Gathering {
            spool: self.clone(),
            most_bytes,
            most_held: HELD,
            taken: 0,
            held: BytesMut::new(),
            file: None,
        }
    }

    /// Whether files can be set aside.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), SpoolError> {
        self.file_with(b"").map(drop).map_err(|error| self.trouble(error))
    }

    /// A file without a name that begins with these bytes.
    pub(super) fn file_with(&self, bytes: &[u8]) -> io::Result<File> {
        let mut file = tempfile::tempfile_in(self.place())?;
        file.write_all(bytes)?;
        Ok(file)
    }

    pub(super) fn trouble(&self, source: io::Error) -> SpoolError {
        SpoolError { directory: self.place(), source }
    }

    fn place(&self) -> PathBuf {
        self.directory.as_ref().map_or_else(std::env::temp_dir, |directory| directory.to_path_buf())
    }
}

/// A file on its way.
#[derive(Debug)]
pub struct Gathering {
    spool: Spool,
    most_bytes: usize,
    most_held: usize,
    taken: usize,
    held: BytesMut,
    /// From the moment on at which it became too large to be held.
    file: Option<tokio::fs::File>,
}

impl Gathering {
    /// Holds at most so many bytes in memory where that is less than [`HELD`]: several files of one job share that.
    #[must_use]
    pub fn holding(self, most_held: usize) -> Self {
        Self { most_held: self.most_held.min(most_held), ..self }
    }

    /// The same file from its beginning.
    pub(crate) fn again(&self) -> Self {
        self.spool.gather(self.most_bytes).holding(self.most_held)
    }

    /// The largest that the file may be, in bytes.
    pub fn most_bytes(&self) -> usize {
        self.most_bytes
    }

    /// Hears how long the file will be, if that is true. One that will not be held is not held at first.
    pub(crate) fn expect(&mut self, length: u64) -> Result<(), Unkept> {
        if (self.most_bytes as u64) < length {
            return Err(Unkept::TooLarge);
        }
        if (self.most_held as u64) < length {
            self.most_held = 0;
        }
        Ok(())
    }

    /// Takes the next piece.
    pub(crate) async fn add(&mut self, piece: &[u8]) -> Result<(), Unkept> {
        if self.most_bytes - self.taken < piece.len() {
            return Err(Unkept::TooLarge);
        }
        self.taken += piece.len();
        if self.file.is_none() && self.taken <= self.most_held {
            self.held.extend_from_slice(piece);
            return Ok(());
        }
        self.write(piece).await.map_err(|error| self.spool.trouble(error).into())
    }

    /// All pieces have come.
    pub(crate) async fn finish(mut self) -> Result<Content, SpoolError> {
        let Some(mut file) = self.file.take() else { return Ok(Content::Held(self.held.freeze())) };
        // The last piece may still be on its way to the disk.
        file.flush().await.map_err(|error| self.spool.trouble(error))?;
        let file = Arc::new(file.into_std().await);
        Ok(Content::OnDisk { file, length: self.taken as u64 })
    }

    async fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let (spool, held) = (self.spool.clone(), std::mem::take(&mut self.held).freeze());
                let file = run_blocking(move || spool.file_with(&held)).await?;
                none.insert(tokio::fs::File::from_std(file))
            }
        };
        file.write_all(piece).await
    }
}

fn room(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "there is no room for it"
        }
        ErrorKind::NotFound | ErrorKind::NotADirectory => "there is no such directory",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "it may not be written to",
        _ => "the disk failed",
    }
}
