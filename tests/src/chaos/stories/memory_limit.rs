//! Workers that may not have all the memory of the machine: a program that limits itself and becomes a worker.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::{
    chaos::scene::{Scene, WorkerOptions},
    program::built,
};

/// Most address space of a worker (`RLIMIT_AS`), in KiB; several times what one needs.
const MOST_KIB: u64 = 4 * 1024 * 1024;

/// A worker whose process ends when it takes more than its share.
pub(super) fn with_little_memory(scene: &Scene) -> anyhow::Result<WorkerOptions> {
    let worker = built("chaos_worker")?;
    let program = scene.directory().join("worker-with-little-memory");
    fs::write(&program, format!("#!/bin/sh\nulimit -v {MOST_KIB}\nexec '{}' \"$@\"\n", worker.display()))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok(WorkerOptions { program: Some(program), ..WorkerOptions::default() })
}
