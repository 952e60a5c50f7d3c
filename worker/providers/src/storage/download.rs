//! Gets files out of the bucket: gathered up to a limit that the caller sets, or as a stream. Neither holds a large one in
//! memory.

use std::{fmt, io};

use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{
    StorageClient,
    classify::{broken, root},
};
use crate::{
    ErrorClass, ProviderError,
    content::{Content, FetchError, Gathering, Unkept},
    error::TOO_LARGE,
};

pub(super) const GET: &str = "get";

/// A file that has come.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// Its content.
    pub content: Content,
    /// The media type that it was stored with.
    pub media_type: Option<String>,
}

/// A file that is on its way.
pub struct StoredStream {
    /// Its length in bytes, when the storage says it.
    pub length: Option<u64>,
    /// The media type that it was stored with.
    pub media_type: Option<String>,
    body: ByteStream,
}

impl fmt::Debug for StoredStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StoredStream").field("length", &self.length).finish_non_exhaustive()
    }
}

/// Why a stream did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The storage broke off.
    #[error(transparent)]
    Storage(#[from] ProviderError),
    /// What it is written to takes no more.
    #[error("the file cannot be written: {}", room(.0))]
    Write(#[source] io::Error),
}

fn room(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "there is no room for it; make room, or write it elsewhere"
        }
        _ => "check its place and permissions",
    }
}

impl StorageClient {
    /// The file with this key.
    ///
    /// # Errors
    /// `Permanent` with code `NoSuchKey` when there is none, with code `too_large` when it is longer than it may be.
    pub async fn get(&self, key: &str, mut file: Gathering) -> Result<Stored, FetchError> {
        let StoredStream { length, media_type, mut body } = self.open(key).await?;
        let most_bytes = file.most_bytes();
        let not_kept = |unkept| match unkept {
            Unkept::TooLarge => FetchError::from(too_large(most_bytes)),
            Unkept::Disk(error) => error.into(),
        };
        file.expect(length.unwrap_or_default()).map_err(not_kept)?;
        while let Some(piece) = body.try_next().await.map_err(|error| cut_off(&error))? {
            file.add(&piece).await.map_err(not_kept)?;
        }
        Ok(Stored { content: file.finish().await?, media_type })
    }

    /// Opens the file with this key; its content is read by [`StoredStream::write_to`].
    ///
    /// # Errors
    /// `Permanent` with code `NoSuchKey` when there is none.
    pub async fn open(&self, key: &str) -> Result<StoredStream, ProviderError> {
        let request = self.s3.get_object().bucket(&self.bucket).key(key);
        let found = Box::pin(request.send()).await.map_err(|error| self.failed(GET, &error))?;
        let length = found.content_length.and_then(|length| u64::try_from(length).ok());
        Ok(StoredStream { length, media_type: found.content_type, body: found.body })
    }
}

impl StoredStream {
    /// Writes the content piece by piece and answers how long it was. `progress` hears how many bytes have been written.
    ///
    /// # Errors
    /// When the storage breaks off, or `sink` takes no more; part of it may have been written.
    pub async fn write_to(
        mut self,
        sink: &mut (impl AsyncWrite + Unpin),
        progress: impl Fn(u64),
    ) -> Result<u64, TransferError> {
        let mut written = 0;
        while let Some(piece) = self.body.try_next().await.map_err(|error| cut_off(&error))? {
            sink.write_all(&piece).await.map_err(TransferError::Write)?;
            written += piece.len() as u64;
            progress(piece.len() as u64);
        }
        sink.flush().await.map_err(TransferError::Write)?;
        Ok(written)
    }
}

fn too_large(most_bytes: usize) -> ProviderError {
    let message = format!("The file is larger than {most_bytes} bytes; make it smaller.");
    broken(GET, ErrorClass::Permanent, &message).with_code(TOO_LARGE)
}

fn cut_off(error: &ByteStreamError) -> ProviderError {
    let message = "The file stopped in the middle. The call is repeated later.";
    broken(GET, ErrorClass::Network, message).with_code("cut_off").with_source(root(error))
}
