//! How much of Redis' append-only file is on disk.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{NoShim, Preload};

/// The note that the library keeps for one Redis. Built once for each server, since all keep their files under the same
/// names.
#[derive(Debug)]
pub struct DurableLength {
    preload: Preload,
    notes: PathBuf,
}

impl DurableLength {
    pub(super) async fn build(directory: &Path) -> Result<Self, NoShim> {
        let notes = directory.join("durable");
        fs::create_dir_all(&notes).map_err(|source| NoShim::File { directory: notes.clone(), source })?;
        let variable = "DURABLE_LENGTH_DIRECTORY";
        let preload = Preload::build("durable_length", directory, variable, notes.clone()).await?;
        Ok(Self { preload, notes })
    }

    /// To start Redis under.
    pub fn preload(&self) -> &Preload {
        &self.preload
    }

    /// Durable bytes of the newest append-only file; 0 before the first sync.
    ///
    /// # Errors
    /// When the note cannot be read.
    pub fn durable_bytes(&self) -> io::Result<u64> {
        let names = fs::read_dir(&self.notes)?.map(|note| Ok(note?.file_name()));
        let names: Vec<_> = names.collect::<io::Result<_>>()?;
        let newest = names.iter().max_by_key(|name| sequence(Path::new(name)));
        newest.map_or(Ok(0), |name| self.durable_bytes_of(Path::new(name)))
    }

    /// Durable bytes of this append-only file.
    pub(super) fn durable_bytes_of(&self, append_only_file: &Path) -> io::Result<u64> {
        let note = self.notes.join(append_only_file.file_name().unwrap_or_default());
        match fs::read_to_string(note) {
            Ok(text) => text.trim().parse().map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }
}

/// The number in `appendonly.aof.<number>.incr.aof`; 0 without one.
pub(super) fn sequence(append_only_file: &Path) -> u64 {
    let name = append_only_file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let number = name.strip_suffix(".incr.aof").and_then(|rest| rest.rsplit_once('.'));
    number.and_then(|(_, number)| number.parse().ok()).unwrap_or_default()
}
