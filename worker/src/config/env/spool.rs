//! Where files of jobs lie while jobs work with them.

use std::path::PathBuf;

/// The real directory. Whether it can be written to is told when a worker starts.
pub(super) fn directory(text: &str) -> Result<PathBuf, String> {
    match std::fs::canonicalize(text) {
        Ok(path) if path.is_dir() => Ok(path),
        Ok(_) => Err(format!("{text} is not a directory; write one where files may lie for a while")),
        Err(error) => Err(format!("{text} cannot be opened ({error}); make the directory, or unset it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();

        assert!(directory(folder.path().to_str().unwrap()).is_ok());
        assert!(directory(file.to_str().unwrap()).unwrap_err().contains("is not a directory"));
        assert!(directory("/no/such/place").unwrap_err().contains("make the directory"));
    }
}
