//! For tests: text in the repository that comes from tables in the code.
//!
//! A whole file is compared, or the part of a document between `<!-- NAME:begin -->` and `<!-- NAME:end -->`. With
//! `UPDATE_DOCS=1` in the environment it is written instead.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Compares a file with what the code says. `remedy` is the command that writes it.
pub(crate) fn check_whole(path: &str, expected: &str, remedy: &str) {
    let (place, text) = file(path);
    settle(path, &place, &text, expected, remedy);
}

/// Compares a part of a document with what the code says.
pub(crate) fn check_part(path: &str, name: &str, expected: &str) {
    let (place, text) = file(path);
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
    let missing = || panic!("{path} lacks the lines\n{begin}{end}");
    let (before, rest) = text.split_once(&begin).unwrap_or_else(missing);
    let (_, after) = rest.split_once(&end).unwrap_or_else(missing);
    let expected = format!("{before}{begin}{expected}{end}{after}");
    settle(
        path,
        &place,
        &text,
        &expected,
        "UPDATE_DOCS=1 cargo test -p flota-worker --lib the_documentation_is",
    );
}

fn settle(path: &str, place: &Path, text: &str, expected: &str, remedy: &str) {
    if text == expected {
        return;
    }
    assert!(
        std::env::var_os("UPDATE_DOCS").is_some(),
        "{path} does not say what the code says; run `{remedy}`"
    );
    fs::write(place, expected).unwrap();
}

/// A file of the repository, by its path from the root.
fn file(path: &str) -> (PathBuf, String) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (path, text)
}
