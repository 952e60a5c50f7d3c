//! Programs that some machines have: tests that need one run where it is, and say so where it is not.

use std::{io::Write, path::PathBuf};

/// The program with this name in `PATH`; where it is missing, that is told.
pub fn installed(program: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    if found.is_none() {
        skipped(program, package);
    }
    found
}

/// Tells that the test of this thread does nothing here. It goes to standard error past the test harness, which shows
/// nothing of tests that pass.
pub fn skipped(what: &str, package: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let told =
        format!("\nSKIPPED {test}: {what} is not installed here (Debian: apt-get install {package}).\n");
    // Nobody can be told when standard error is closed.
    let _ = std::io::stderr().write_all(told.as_bytes());
}
