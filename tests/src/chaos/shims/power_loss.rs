//! Power loss for one Redis: killed, robbed of what is not on disk, started again.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
};

use flota_worker::dev::RedisServer;

use super::{DurableLength, durable_length::sequence};

/// Furthest from the end that an append-only file is torn.
const TORN_WITHIN: u64 = 64 * 1024;

/// What a power loss leaves of the append-only file.
#[derive(Debug, Clone, Copy)]
pub enum PowerLoss<'a> {
    /// What was on disk for certain, by this note of the server's.
    Durable(&'a DurableLength),
    /// Everything up to a byte within the last 64 KiB, chosen by this random number: transactions must be
    /// all or nothing wherever the file is torn.
    Torn {
        /// Any number.
        random: u64,
    },
}

/// What a power loss took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// Bytes that were left of the append-only files.
    pub kept_bytes: u64,
    /// Bytes that were taken.
    pub lost_bytes: u64,
}

impl PowerLoss<'_> {
    /// Kills Redis, cuts its append-only file, and starts it again.
    ///
    /// # Errors
    /// When Redis cannot be killed or started, or has no append-only file.
    pub async fn strike(self, redis: &mut RedisServer) -> anyhow::Result<Lost> {
        redis.kill().await?;
        let lost = self.cut(redis.directory())?;
        redis.start_again().await?;
        Ok(lost)
    }

    /// Cuts the append-only file of a Redis that has been killed.
    ///
    /// # Errors
    /// When there is none in its directory, or it cannot be cut.
    pub fn cut(self, redis_directory: &Path) -> anyhow::Result<Lost> {
        let files = append_only_files(redis_directory)?;
        let Some(newest) = files.last() else {
            anyhow::bail!("there is no append-only file in {}", redis_directory.display())
        };
        let mut lost = Lost { kept_bytes: 0, lost_bytes: 0 };
        for file in &files {
            let length = fs::metadata(file)?.len();
            let kept = match self {
                Self::Durable(note) => note.durable_bytes_of(file)?.min(length),
                Self::Torn { random } if file == newest => torn(length, random),
                Self::Torn { .. } => length,
            };
            OpenOptions::new().write(true).open(file)?.set_len(kept)?;
            lost.kept_bytes += kept;
            lost.lost_bytes += length - kept;
        }
        Ok(lost)
    }
}

/// Where a file of this length is torn.
fn torn(length: u64, random: u64) -> u64 {
    let furthest = length.min(TORN_WITHIN);
    length - random % (furthest + 1)
}

/// Oldest first; there are two while Redis rewrites its file.
fn append_only_files(redis_directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for file in fs::read_dir(redis_directory.join("appendonlydir"))? {
        let path = file?.path();
        if path.to_string_lossy().ends_with(".incr.aof") {
            files.push(path);
        }
    }
    files.sort_by_key(|path| sequence(path));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_torn_anywhere_in_its_last_64_kib() {
        assert_eq!(torn(1_000_000, 0), 1_000_000);
        assert_eq!(torn(1_000_000, TORN_WITHIN), 1_000_000 - TORN_WITHIN);
        assert_eq!(torn(10, u64::MAX - u64::MAX % 11 - 1), 0);
        assert!((0..200_000).all(|random| torn(1_000_000, random) >= 1_000_000 - TORN_WITHIN));
    }
}
