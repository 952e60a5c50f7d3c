//! Puts files into the bucket: from memory, from the disk in one piece, or in parts.
//!
//! A part is a few megabytes in memory, signed with its hash and tried up to three times, while the next one is read. An
//! upload in parts that does not end well, or is given up, is taken back, because unfinished parts are paid for and
//! nobody sees them. Amazon S3 keeps a checksum of such an upload, which is announced when it begins, sent with every part,
//! and named for each of them at the end (S3 user guide, "Checking object integrity for data uploads"): one without the
//! others is refused. Every object carries a mark: when the answer to an upload was lost and its repeat is told that the
//! key is taken, the mark says whether it is the same upload.

use std::{
    future::ready,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand,
};
use aws_sdk_s3::{
    config::Builder,
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio::io::{AsyncRead, AsyncReadExt};
use tracing::warn;

use super::{
    PROVIDER, StorageClient,
    classify::{DAMAGED, broken},
    repeated, timeouts,
};
use crate::{ErrorClass, ProviderError, Receipt};

/// Size of a part; files below it are held whole.
pub const PART_BYTES: usize = 8 * 1024 * 1024;
/// Largest file that goes up in one piece.
const MOST_AT_ONCE: u64 = 16 * 1024 * 1024;
/// Most parts of one upload (S3 user guide, "Multipart upload limits").
const MOST_PARTS: u64 = 10_000;
/// Parts that are on their way at the same time.
const IN_FLIGHT: usize = 2;
/// How long a look at an object may take.
const LOOK: Duration = Duration::from_secs(5);
/// The name of an object's mark.
const MARK: &str = "flota";
const PUT: &str = "put";

/// An upload in parts that has begun. Unless it is finished it is taken back.
struct Unfinished<'a> {
    client: &'a StorageClient,
    key: &'a str,
    id: Option<String>,
}

impl StorageClient {
    /// Stores these bytes under a key that is not taken, or under which the same bytes are kept already.
    ///
    /// # Errors
    /// `Permanent` with code [`super::TAKEN`] when another file has the key.
    pub async fn put_bytes(
        &self,
        key: &str,
        media_type: &str,
        content: Bytes,
    ) -> Result<Receipt, ProviderError> {
        let mark = hex::encode(digest(&SHA256, &content));
        if PART_BYTES <= content.len() {
            let part = |at: usize| Ok(content.slice(at..content.len().min(at + PART_BYTES)));
            let parts = stream::iter((0..content.len()).step_by(PART_BYTES).map(part));
            return self.put_in_parts(key, media_type, &mark, parts, |_| ()).await;
        }
        once_more_if_damaged(|| {
            self.put_at_once(key, media_type, mark.clone(), ByteStream::from(content.clone()))
        })
        .await
    }

    /// Stores a file of this machine under a key that is not taken. `progress` hears how many bytes have been sent.
    ///
    /// # Errors
    /// As [`Self::put_stream`].
    pub async fn put_file(
        &self,
        key: &str,
        media_type: &str,
        path: &Path,
        progress: impl Fn(u64) + Send + Sync,
    ) -> Result<Receipt, ProviderError> {
        let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
        let length = file.metadata().await.map_err(unreadable)?.len();
        if length < PART_BYTES as u64 || MOST_AT_ONCE < length {
            return self.put_parts(key, media_type, file, part_bytes(length), progress).await;
        }
        let mark = random_mark();
        let receipt = once_more_if_damaged(|| async {
            let body = ByteStream::from_path(path).await.map_err(|error| {
                broken(PUT, ErrorClass::Permanent, "The file cannot be read.").with_source(error)
            })?;
            self.put_at_once(key, media_type, mark.clone(), body).await
        })
        .await?;
        progress(length);
        Ok(receipt)
    }

    /// Stores what a reader gives under a key that is not taken, however long it is. `progress` hears how many bytes have
    /// been sent.
    ///
    /// # Errors
    /// `Permanent` with code [`super::TAKEN`] when another file has the key, with code `read` when the reader fails.
    pub async fn put_stream(
        &self,
        key: &str,
        media_type: &str,
        reader: impl AsyncRead + Send + Unpin,
        progress: impl Fn(u64) + Send + Sync,
    ) -> Result<Receipt, ProviderError> {
        self.put_parts(key, media_type, reader, PART_BYTES, progress).await
    }

    async fn put_at_once(
        &self,
        key: &str,
        media_type: &str,
        mark: String,
        body: ByteStream,
    ) -> Result<Receipt, ProviderError> {
        let request = self.s3.put_object().bucket(&self.bucket).key(key).content_type(media_type);
        let request = request.if_none_match("*").metadata(MARK, &mark).body(body);
        match Box::pin(request.customize().config_override(repeated()).send()).await {
            Ok(_) => Ok(receipt(key)),
            Err(error) => self.taken_by_us(key, &mark, &error).await,
        }
    }

    async fn put_parts(
        &self,
        key: &str,
        media_type: &str,
        mut reader: impl AsyncRead + Send + Unpin,
        part_bytes: usize,
        progress: impl Fn(u64) + Send + Sync,
    ) -> Result<Receipt, ProviderError> {
        let first = read_part(&mut reader, part_bytes).await?;
        if first.len() < part_bytes {
            let length = first.len() as u64;
            let receipt = self.put_bytes(key, media_type, first).await?;
            progress(length);
            return Ok(receipt);
        }
        let parts = stream::iter([Ok(first)]).chain(parts(reader, part_bytes));
        self.put_in_parts(key, media_type, &random_mark(), parts, progress).await
    }

    /// In parts, with a mark that tells this upload from others.
    async fn put_in_parts(
        &self,
        key: &str,
        media_type: &str,
        mark: &str,
        parts: impl Stream<Item = Result<Bytes, ProviderError>> + Send,
        progress: impl Fn(u64) + Send + Sync,
    ) -> Result<Receipt, ProviderError> {
        let created = self.s3.create_multipart_upload().bucket(&self.bucket).key(key);
        let created = created.content_type(media_type).metadata(MARK, mark);
        let created = created.set_checksum_algorithm(self.checksum_of_parts.clone());
        let created = Box::pin(created.send()).await.map_err(|error| self.failed(PUT, &error))?;
        let id = created.upload_id.unwrap_or_default();
        let mut unfinished = Unfinished { client: self, key, id: Some(id.clone()) };
        let ended = match self.send_parts(key, &id, parts, &progress).await {
            Ok(parts) => self.complete(key, &id, mark, parts).await,
            Err(error) => Err(error),
        };
        match ended {
            Ok(receipt) => {
                unfinished.id = None;
                Ok(receipt)
            }
            Err(error) => {
                unfinished.take_back().await;
                Err(error)
            }
        }
    }

    async fn send_parts(
        &self,
        key: &str,
        id: &str,
        parts: impl Stream<Item = Result<Bytes, ProviderError>> + Send,
        progress: &(impl Fn(u64) + Send + Sync),
    ) -> Result<Vec<CompletedPart>, ProviderError> {
        let failed = AtomicBool::new(false);
        let numbered = parts.zip(stream::iter(1..)).take_while(|_| ready(!failed.load(Ordering::Relaxed)));
        let sending = numbered.map(|(part, number)| async move {
            let part = part?;
            let length = part.len() as u64;
            let done = once_more_if_damaged(|| Box::pin(self.send_part(key, id, number, part.clone()))).await;
            progress(length);
            done
        });
        // After a failure nothing more is begun, but what is under way is waited for: a part that arrived after the abort
        // would stay in the bucket.
        let ended = sending.buffered(IN_FLIGHT).inspect_err(|_| failed.store(true, Ordering::Relaxed));
        ended.collect::<Vec<_>>().await.into_iter().collect()
    }

    async fn send_part(
        &self,
        key: &str,
        id: &str,
        number: i32,
        part: Bytes,
    ) -> Result<CompletedPart, ProviderError> {
        let algorithm = self.checksum_of_parts.clone();
        let is_announced = algorithm.is_some();
        let request = self.s3.upload_part().bucket(&self.bucket).key(key).upload_id(id).part_number(number);
        let request = request.set_checksum_algorithm(algorithm).body(ByteStream::from(part));
        let request = request.customize().config_override(repeated());
        let sent = Box::pin(request.send()).await.map_err(|error| self.failed(PUT, &error))?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .set_checksum_crc32(sent.checksum_crc32.filter(|_| is_announced))
            .build())
    }

    async fn complete(
        &self,
        key: &str,
        id: &str,
        mark: &str,
        parts: Vec<CompletedPart>,
    ) -> Result<Receipt, ProviderError> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self.s3.complete_multipart_upload().bucket(&self.bucket).key(key).upload_id(id);
        let request = request.multipart_upload(parts).if_none_match("*");
        match Box::pin(request.customize().config_override(repeated()).send()).await {
            Ok(_) => Ok(receipt(key)),
            Err(error) => {
                let receipt = self.taken_by_us(key, mark, &error).await?;
                // The same bytes may be there by an upload before this one, whose parts would then stay.
                self.abort(key, id).await;
                Ok(receipt)
            }
        }
    }

    /// A success after all, when what lies under the key is this very upload, whose first answer was lost. Services tell
    /// the repeat of an upload in different words, so the mark is looked for whatever was answered.
    async fn taken_by_us<E>(
        &self,
        key: &str,
        mark: &str,
        error: &SdkError<E>,
    ) -> Result<Receipt, ProviderError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let failed = self.failed(PUT, error);
        let request = self.s3.head_object().bucket(&self.bucket).key(key).customize();
        let brief = Builder::new().timeout_config(timeouts(LOOK));
        let head = Box::pin(request.config_override(brief).send()).await;
        let metadata = head.ok().and_then(|head| head.metadata);
        let is_ours = metadata.is_some_and(|metadata| metadata.get(MARK).is_some_and(|kept| kept == mark));
        if is_ours { Ok(receipt(key)) } else { Err(failed) }
    }

    async fn abort(&self, key: &str, id: &str) {
        let request = self.s3.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(id);
        let Err(error) = Box::pin(request.customize().config_override(repeated()).send()).await else {
            return;
        };
        let error = self.failed("abort", &error);
        if error.code.as_deref() != Some("NoSuchUpload") {
            warn!(%error, key, "an unfinished upload stays in the bucket until the bucket's own rule removes it; see `flota storage lifetime`");
        }
    }
}

impl Unfinished<'_> {
    async fn take_back(&mut self) {
        if let Some(id) = &self.id {
            self.client.abort(self.key, id).await;
            self.id = None;
        }
    }
}

impl Drop for Unfinished<'_> {
    /// The upload was given up in the middle: its parts are removed by a task of its own.
    fn drop(&mut self) {
        if let (Some(id), Ok(runtime)) = (self.id.take(), tokio::runtime::Handle::try_current()) {
            let (client, key) = (self.client.clone(), self.key.to_owned());
            let abort = async move { client.abort(&key, &id).await };
            self.client.aborts.spawn_on(abort, &runtime);
        }
    }
}

/// Sends something, and once more when it did not arrive as it was sent: a second time that is no accident of the way.
async fn once_more_if_damaged<T, F>(mut send: impl FnMut() -> F) -> Result<T, ProviderError>
where
    F: Future<Output = Result<T, ProviderError>>,
{
    match send().await {
        Err(error) if error.code.as_deref() == Some(DAMAGED) => send().await,
        ended => ended,
    }
}

/// The parts of a reader, each read when it is wanted.
fn parts(
    reader: impl AsyncRead + Send + Unpin,
    part_bytes: usize,
) -> impl Stream<Item = Result<Bytes, ProviderError>> + Send {
    stream::try_unfold(Some(reader), move |reader| async move {
        let Some(mut reader) = reader else { return Ok(None) };
        let part = read_part(&mut reader, part_bytes).await?;
        let more = (part.len() == part_bytes).then_some(reader);
        Ok((!part.is_empty()).then_some((part, more)))
    })
}

async fn read_part(reader: &mut (impl AsyncRead + Unpin), part_bytes: usize) -> Result<Bytes, ProviderError> {
    let mut part = Vec::with_capacity(part_bytes);
    reader.take(part_bytes as u64).read_to_end(&mut part).await.map_err(unreadable)?;
    Ok(part.into())
}

/// A part so large that a file of this length has not too many.
fn part_bytes(length: u64) -> usize {
    PART_BYTES.max(length.div_ceil(MOST_PARTS) as usize)
}

fn random_mark() -> String {
    let mut mark = [0; 16];
    // Without randomness two uploads have one mark, and only a repeat of a lost answer looks at it.
    let _ = rand::fill(&mut mark);
    hex::encode(mark)
}

fn unreadable(error: std::io::Error) -> ProviderError {
    broken(PUT, ErrorClass::Permanent, "The file cannot be read, so it was not stored.")
        .with_code("read")
        .with_source(error)
}

fn receipt(key: &str) -> Receipt {
    Receipt { provider: PROVIDER, provider_ref: Some(key.to_owned()), detail: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_only_with_files_that_would_have_too_many() {
        let gib = 1024 * 1024 * 1024;

        assert_eq!(part_bytes(gib), PART_BYTES);
        assert!((5 * 1024 * gib).div_ceil(part_bytes(5 * 1024 * gib) as u64) <= MOST_PARTS);
    }

    #[tokio::test]
    async fn a_reader_is_cut_into_parts_without_an_empty_one_at_the_end() {
        for (length, expected) in
            [(0, vec![]), (1, vec![1]), (4, vec![4]), (9, vec![4, 4, 1]), (8, vec![4, 4])]
        {
            let content = vec![7; length];

            let parts: Vec<Bytes> = parts(&content[..], 4).try_collect().await.unwrap();

            assert_eq!(parts.iter().map(Bytes::len).collect::<Vec<_>>(), expected, "{length} bytes");
        }
    }
}
