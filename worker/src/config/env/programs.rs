//! Programs on this machine that are used where they are: Tesseract, ffmpeg.

use std::path::{Path, PathBuf};

use super::reader::Reader;

/// The program in the first folder of `PATH` that has it. `PATH` is no setting of ours, so it is not in the table of
/// variables; one that cannot be read leads nowhere.
pub(super) fn in_path(reader: &Reader<'_>, program: &str) -> Option<PathBuf> {
    let path = (reader.lookup)("PATH").ok().flatten().unwrap_or_default();
    find(&path, program)
}

fn find(path: &str, program: &str) -> Option<PathBuf> {
    // An empty part would mean the working directory, which is nobody's place for programs.
    let folders = path.split(':').filter(|folder| !folder.is_empty());
    folders.map(|folder| Path::new(folder).join(program)).find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_for_in_the_folders_of_the_path() {
        let (without, with) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(with.path().join("ffmpeg"), "").unwrap();
        let path = format!(":{}:{}", without.path().display(), with.path().display());

        assert_eq!(find(&path, "ffmpeg"), Some(with.path().join("ffmpeg")));
        assert_eq!(find(&without.path().display().to_string(), "ffmpeg"), None);
    }
}
