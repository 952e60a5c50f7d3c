//! Memory for files that have to be whole in it: the pictures of a call.
//!
//! One process spends so much on them at a time and no more (`FLOTA_FILE_MEMORY`). A job takes what all its files cost at
//! once, when they are on the disk and their sizes are known, so no job waits for memory while it holds some; what it took
//! is free again when the last of its bytes is gone, however that comes about. Who finds nothing free waits in line for a
//! while, and then comes back later without being charged. A job that costs more than all there is runs alone.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use flota_providers::content::Content;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::files::FileError;

/// What is spent unless it is set, in bytes.
pub const DEFAULT: u64 = 256 * 1024 * 1024;
/// Longest that a run waits in line: it holds a slot of its queue meanwhile, and a turn at its provider.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
const KIB: u64 = 1024;

/// The memory of one process for files. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct FileMemory {
    /// One permit is one KiB.
    free: Arc<Semaphore>,
    kib: u32,
    patience: Duration,
}

/// There was no room for the files of a job.
#[derive(Debug, thiserror::Error)]
#[error(
    "the files of this job take {needed_mib} MiB of memory while they are sent, and so much was not free within {} s, so \
     nothing was sent; the job comes back by itself. If this goes on, raise FLOTA_FILE_MEMORY, which is {most_mib} MiB, or \
     start more workers",
    waited.as_secs()
)]
pub struct NoMemory {
    /// What it would have taken, in MiB.
    pub needed_mib: u64,
    /// What there is in all, in MiB.
    pub most_mib: u64,
    /// How long the job waited in line.
    pub waited: Duration,
}

/// Bytes of a file, and the room that its job has taken.
struct Roomy {
    bytes: Bytes,
    _room: Arc<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Roomy {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl FileMemory {
    /// So many bytes.
    pub fn new(bytes: u64) -> Self {
        let kib = u32::try_from(bytes / KIB).unwrap_or(u32::MAX).max(1);
        Self { free: Arc::new(Semaphore::new(kib as usize)), kib, patience: PATIENCE }
    }

    /// Lets a run wait in line for so long.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// All files of a job in memory, where each byte of them costs so many while they are worked with.
    ///
    /// # Errors
    /// When there was no room, or the disk does not give them.
    pub(crate) async fn load(&self, files: &[Content], copies: u64) -> Result<Vec<Bytes>, FileError> {
        let bytes: u64 = files.iter().map(Content::length).sum();
        if bytes == 0 {
            // Nothing costs nothing.
            return Ok(vec![Bytes::new(); files.len()]);
        }
        let room = Arc::new(self.take(bytes * copies).await?);
        let mut loaded = Vec::with_capacity(files.len());
        for file in files {
            let bytes = file.whole().await.map_err(FileError::Disk)?;
            loaded.push(Bytes::from_owner(Roomy { bytes, _room: Arc::clone(&room) }));
        }
        Ok(loaded)
    }

    async fn take(&self, bytes: u64) -> Result<OwnedSemaphorePermit, NoMemory> {
        let kib = u32::try_from(bytes.div_ceil(KIB)).unwrap_or(u32::MAX).min(self.kib);
        // In line: a large job is not kept waiting by small ones that came later.
        let taken = timeout(self.patience, Arc::clone(&self.free).acquire_many_owned(kib)).await;
        let in_mib = |kib: u64| kib.div_ceil(KIB);
        // The semaphore is never closed.
        taken.ok().and_then(Result::ok).ok_or_else(|| NoMemory {
            needed_mib: in_mib(bytes.div_ceil(KIB)),
            most_mib: in_mib(self.kib.into()),
            waited: self.patience,
        })
    }
}

impl From<NoMemory> for FileError {
    fn from(error: NoMemory) -> Self {
        Self::NoMemory(error)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, poll};

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn file(bytes: usize) -> Content {
        vec![7; bytes].into()
    }

    fn free(memory: &FileMemory) -> usize {
        memory.free.available_permits()
    }

    #[tokio::test]
    async fn what_all_files_of_a_job_cost_is_taken_and_given_back_with_the_last_of_its_bytes() {
        let memory = FileMemory::new(10 * MIB as u64);

        let mut loaded = memory.load(&[file(MIB), file(MIB + 1)], 4).await.unwrap();
        let first = loaded.remove(0);
        drop(loaded);

        assert_eq!((free(&memory), &first[..2]), (2 * 1024 - 1, &[7, 7][..]));
        let part = first.slice(..1);
        drop(first);
        assert_eq!(free(&memory), 2 * 1024 - 1);
        drop(part);
        assert_eq!(free(&memory), 10 * 1024);
    }

    #[tokio::test]
    async fn a_job_that_costs_more_than_all_there_is_runs_alone_and_is_not_overtaken() {
        let memory = FileMemory::new(2 * MIB as u64);
        let small = [file(MIB)];
        let large = [file(3 * MIB)];
        let first = memory.load(&small, 1).await.unwrap();

        let mut alone = Box::pin(memory.load(&large, 5));
        assert!(poll!(&mut alone).is_pending());
        let mut later = Box::pin(memory.load(&small, 1));
        assert!(poll!(&mut later).is_pending(), "it has overtaken the large one");
        drop(first);

        let alone = alone.await.unwrap();
        assert!(poll!(&mut later).is_pending());
        drop(alone);
        assert!(later.await.is_ok());
    }

    #[tokio::test]
    async fn who_waits_in_vain_is_told_what_to_do_and_who_is_given_up_leaves_the_line() {
        let memory = FileMemory::new(MIB as u64).patient(Duration::from_millis(50));
        let all = [file(MIB)];
        let held = memory.load(&all, 1).await.unwrap();

        let given_up = memory.load(&all, 1).now_or_never();
        let in_vain = memory.load(&all, 1).await.unwrap_err();
        drop(held);

        assert!(given_up.is_none() && free(&memory) == 1024);
        assert!(
            matches!(in_vain, FileError::NoMemory(_)) && in_vain.to_string().contains("FLOTA_FILE_MEMORY")
        );
    }
}
