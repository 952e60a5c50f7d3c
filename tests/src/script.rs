//! Programs that a test writes and then runs.
//!
//! The kernel runs no file that anybody has open for writing (`ETXTBSY`), and a process that another thread starts at the
//! wrong moment has everything open that this one has, until it runs its own program. So another process writes the file.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

/// Writes a shell script that can be run.
///
/// # Panics
/// When it cannot be written.
pub fn write_script(path: &Path, does: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(path).stdin(Stdio::piped());
    let mut child = shell.spawn().expect("a shell");
    let mut input = child.stdin.take().expect("it reads");
    write!(input, "#!/bin/sh\n{does}\n").expect("it reads");
    drop(input);
    assert!(child.wait().expect("it ends").success(), "{} cannot be written", path.display());
}
