//! A process that may not have more memory than this, for jobs that want all of it.

use std::path::{Path, PathBuf};

/// Sets the limit on itself and becomes the program. `ulimit -v` counts KiB of address space (`RLIMIT_AS`).
const LIMIT: &str = r#"ulimit -v "$1" || exit 1; shift; exec "$@""#;

/// A program to be started with less memory: hand both fields to `WorkerProcess::start`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// What to start instead of the program.
    pub program: PathBuf,
    /// Its arguments, with those of the program at the end.
    pub arguments: Vec<String>,
}

impl Limited {
    /// This program with at most so many bytes of address space. An allocation beyond it fails, and Rust then aborts
    /// the process: what the kernel does to it in production with SIGKILL. An idle worker has 230 MB of address space,
    /// mostly reserved by its threads and not used: 1 GiB leaves it room.
    pub fn to(bytes: u64, program: &Path, arguments: &[&str]) -> Self {
        let kib = (bytes / 1024).to_string();
        let head = ["-c", LIMIT, "flota-limited", &kib].map(str::to_owned);
        let program_argument = program.display().to_string();
        let rest = arguments.iter().map(|argument| (*argument).to_owned());
        Self {
            program: "/bin/sh".into(),
            arguments: head.into_iter().chain([program_argument]).chain(rest).collect(),
        }
    }

    /// The arguments as `WorkerProcess::start` takes them.
    pub fn arguments(&self) -> Vec<&str> {
        self.arguments.iter().map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use flota_worker::dev::{private_directory::PrivateDirectory, worker_process::WorkerProcess};

    use super::*;

    #[tokio::test]
    async fn a_limited_program_gets_its_arguments_and_its_limit() {
        let home = PrivateDirectory::open(None, None).await.unwrap();
        let limited =
            Limited::to(512 << 20, Path::new("/bin/sh"), &["-c", "ulimit -v; echo \"$0\"", "it's me"]);

        let mut process =
            WorkerProcess::start(&limited.program, &limited.arguments(), &[], &home, "log").await.unwrap();
        process.gone().await;

        let said = std::fs::read_to_string(home.path().join("log")).unwrap();
        assert_eq!(said, format!("{}\nit's me\n", 512 * 1024));
    }
}
