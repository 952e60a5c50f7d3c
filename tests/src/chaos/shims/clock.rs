//! A wall clock that can be made to jump, for every program that is started under it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use super::{NoShim, Preload};

/// A clock of a story's own. Programs under it that have the same `Clock` jump together; use several for several.
#[derive(Debug)]
pub struct Clock {
    preload: Preload,
    offset_file: PathBuf,
    offset: Mutex<i64>,
}

impl Clock {
    /// A jump is seen by every program after this long; the library looks every 5 ms.
    pub const SEEN_WITHIN: Duration = Duration::from_millis(10);

    pub(super) async fn build(directory: &Path) -> Result<Self, NoShim> {
        let offset_file = directory.join("clock_offset");
        let preload =
            Preload::build("clock_offset", directory, "CLOCK_OFFSET_FILE", offset_file.clone()).await?;
        let clock = Self { preload, offset_file, offset: Mutex::default() };
        clock.jump(0)?;
        Ok(clock)
    }

    /// To start programs under.
    pub fn preload(&self) -> &Preload {
        &self.preload
    }

    /// Lets the clock jump by this many seconds, from where it is now; backward if negative.
    ///
    /// # Errors
    /// When the offset cannot be written.
    pub fn jump(&self, seconds: i64) -> Result<(), NoShim> {
        let mut offset = self.offset.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let wanted = *offset + seconds;
        // A reader must never see half a number.
        let new = self.offset_file.with_extension("new");
        fs::write(&new, format!("{wanted}\n"))
            .and_then(|()| fs::rename(&new, &self.offset_file))
            .map_err(|source| NoShim::File { directory: self.offset_file.clone(), source })?;
        *offset = wanted;
        Ok(())
    }

    /// How far it is from the real time, in seconds.
    pub fn offset(&self) -> i64 {
        *self.offset.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Sets it right again.
    ///
    /// # Errors
    /// When the offset cannot be written.
    pub fn set_right(&self) -> Result<(), NoShim> {
        self.jump(-self.offset())
    }
}
