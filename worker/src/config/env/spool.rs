//! What files of jobs may take up while jobs work with them: a directory, and memory.

use std::path::PathBuf;

const MIB: u64 = 1024 * 1024;
/// Units of memory, in bytes.
const UNITS: [(&str, u64); 2] = [("MiB", MIB), ("GiB", 1024 * MIB)];
/// Memory that may be set. Less than the least would let one picture of a phone run alone.
const MEMORY: std::ops::RangeInclusive<u64> = 16 * MIB..=64 * 1024 * MIB;

/// The real directory. Whether it can be written to is told when a worker starts.
pub(super) fn directory(text: &str) -> Result<PathBuf, String> {
    match std::fs::canonicalize(text) {
        Ok(path) if path.is_dir() => Ok(path),
        Ok(_) => Err(format!("{text} is not a directory; write one where files may lie for a while")),
        Err(error) => Err(format!("{text} cannot be opened ({error}); make the directory, or unset it")),
    }
}

/// `256MiB`, in bytes.
pub(super) fn memory(text: &str) -> Result<u64, String> {
    let bytes = UNITS.iter().find_map(|(unit, bytes)| {
        text.strip_suffix(unit)?.trim_end().parse::<u64>().ok()?.checked_mul(*bytes)
    });
    bytes.filter(|bytes| MEMORY.contains(bytes)).ok_or_else(|| {
        format!("\"{}\" is no size of memory for files; write 16MiB to 64GiB", text.escape_debug())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_a_number_with_a_unit_within_bounds() {
        assert_eq!((memory("256MiB"), memory("2 GiB")), (Ok(256 * MIB), Ok(2_048 * MIB)));
        for wrong in ["256", "256MB", "1MiB", "65GiB", "-1GiB", "99999999999999999999MiB", "GiB"] {
            assert!(memory(wrong).unwrap_err().contains("write 16MiB to 64GiB"), "{wrong}");
        }
    }

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
