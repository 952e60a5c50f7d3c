//! What runs between a program and the system: a wall clock that jumps, and a note of what is really on disk.
//!
//! Both are small C libraries (`tests/shims/`) that are built when they are needed and loaded before a program's own
//! (`LD_PRELOAD`). `power_loss.rs` takes away from Redis what is not on disk.

mod clock;
mod durable_length;
mod power_loss;

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use flota_worker::dev::programs::{ProgramMissing, Programs};
use tokio::process::Command;

pub use self::{
    clock::Clock,
    durable_length::DurableLength,
    power_loss::{Lost, PowerLoss},
};

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/shims");
/// Where Debian and Ubuntu keep Postgres, which is not run under a shim.
const POSTGRES: &str = "/usr/lib/postgresql";

/// A library to be loaded before a program's own, and the one variable that it reads.
#[derive(Debug, Clone)]
pub struct Preload {
    library: PathBuf,
    variable: &'static str,
    value: PathBuf,
}

/// Why there is no shim.
#[derive(Debug, thiserror::Error)]
pub enum NoShim {
    /// No compiler.
    #[error(
        "the C compiler `cc` cannot be started, and this story needs it for a preload library: run `apt-get install gcc libc6-dev`"
    )]
    Compiler(#[source] io::Error),
    /// The compiler refuses.
    #[error("`cc` cannot build tests/shims/{name}.c: correct what it says\n{said}")]
    Build {
        /// Which shim.
        name: &'static str,
        /// What the compiler said.
        said: String,
    },
    /// There is no Redis to run under it.
    #[error(transparent)]
    Redis(#[from] ProgramMissing),
    /// A file of the shim cannot be written.
    #[error("a file of the shim cannot be written in {}: choose another folder, or make room", .directory.display())]
    File {
        /// Where.
        directory: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Preload {
    /// A wall clock that can be made to jump; its files are kept in this directory.
    ///
    /// # Errors
    /// When it cannot be built.
    pub async fn clock(directory: &Path) -> Result<Clock, NoShim> {
        Clock::build(directory).await
    }

    /// A note of how much of Redis' append-only file is on disk; its files are kept in this directory.
    ///
    /// # Errors
    /// When it cannot be built.
    pub async fn durable_length(directory: &Path) -> Result<DurableLength, NoShim> {
        DurableLength::build(directory).await
    }

    async fn build(
        name: &'static str,
        directory: &Path,
        variable: &'static str,
        value: PathBuf,
    ) -> Result<Self, NoShim> {
        let library = directory.join(format!("{name}.so"));
        let output = Command::new("cc")
            .args(["-std=c11", "-O2", "-Wall", "-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(Path::new(SOURCES).join(format!("{name}.c")))
            .arg("-ldl")
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(NoShim::Compiler)?;
        if output.status.success() {
            return Ok(Self { library, variable, value });
        }
        Err(NoShim::Build { name, said: String::from_utf8_lossy(&output.stderr).into_owned() })
    }
}

/// Variables that put a program under these shims: for `WorkerProcess::start`, which hands them to the program alone.
pub fn environment(shims: &[&Preload]) -> Vec<(String, String)> {
    let libraries: Vec<String> = shims.iter().map(|shim| shim.library.display().to_string()).collect();
    let own = shims.iter().map(|shim| (shim.variable.to_owned(), shim.value.display().to_string()));
    own.chain([("LD_PRELOAD".to_owned(), libraries.join(":"))]).collect()
}

/// For the `programs` of a `RedisServer`: the one installed here, under these shims. A small script in this directory
/// sets the variables, so no other process has them.
///
/// # Errors
/// When there is no Redis, or the script cannot be written.
pub fn redis_under(shims: &[&Preload], directory: &Path) -> Result<Programs, NoShim> {
    let folder = directory.join("under-shims");
    let cannot = |source| NoShim::File { directory: folder.clone(), source };
    let mut script = String::from("#!/bin/sh\n");
    for (name, value) in environment(shims) {
        script.push_str(&format!("export {name}={}\n", quoted(&value)));
    }
    let real =
        real_redis().ok_or(ProgramMissing { wanted: "a Redis server (redis-server or valkey-server)" })?;
    script.push_str(&format!("exec {} \"$@\"\n", quoted(&real.display().to_string())));
    fs::create_dir_all(&folder).map_err(cannot)?;
    let file = folder.join("redis-server");
    fs::write(&file, script).map_err(cannot)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).map_err(cannot)?;
    Ok(Programs::within(&OsString::from(&folder), Path::new(POSTGRES)))
}

/// The server in PATH.
fn real_redis() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let named = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
    ["redis-server", "valkey-server"].into_iter().find_map(named)
}

/// For a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
