//! Parts of documents that tests have seen to be true, between `<!-- NAME:begin -->` and `<!-- NAME:end -->`.
//!
//! They are compared, and with `UPDATE_DOCS=1` in the environment written.

use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

/// Parts of one file may be written by several tests.
static WRITING: Mutex<()> = Mutex::new(());

/// Compares a part of a document, by its path from the root of the repository, with what was seen.
///
/// # Panics
/// When it says something else, with the remedy.
pub fn check_part(path: &str, name: &str, seen: &str) {
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let place = repository().join(path);
    let text = fs::read_to_string(&place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
    let missing = || panic!("{path} lacks the lines\n{begin}{end}");
    let (before, rest) = text.split_once(&begin).unwrap_or_else(missing);
    let (_, after) = rest.split_once(&end).unwrap_or_else(missing);
    let seen = format!("{before}{begin}{seen}{end}{after}");
    if seen == text {
        return;
    }
    assert!(
        std::env::var_os("UPDATE_DOCS").is_some(),
        "{path} does not say what was seen; set UPDATE_DOCS=1 and run this test again"
    );
    fs::write(&place, seen).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
