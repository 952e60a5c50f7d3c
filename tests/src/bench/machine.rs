//! On what was measured: without it, no number means anything.

use std::{fs, path::Path, process::Command, thread};

use serde::{Deserialize, Serialize};

use crate::generated_text::repository;

/// A machine, its servers and the build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// The processor's name.
    pub processor: String,
    /// Memory, MB.
    pub memory_mb: u64,
    /// Kernel release.
    pub kernel: String,
    /// What Redis says of itself.
    pub redis: String,
    /// What Postgres says of itself.
    pub postgres: String,
    /// The commit that was built; with `+` when files were changed since.
    pub commit: String,
    /// True for a release build; others are for trying the measures out.
    pub release: bool,
}

impl Machine {
    /// This one.
    pub fn here(redis: String, postgres: String) -> Self {
        Self {
            cores: thread::available_parallelism().map_or(0, usize::from),
            processor: field("/proc/cpuinfo", "model name"),
            memory_mb: field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0)
                / 1_000,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            redis,
            postgres,
            commit: commit(&repository()),
            release: !cfg!(debug_assertions),
        }
    }

    /// In one line.
    pub fn line(&self) -> String {
        format!(
            "{} cores ({}), {} MB, Linux {}, Redis {}, Postgres {}, commit {}{}",
            self.cores,
            self.processor,
            self.memory_mb,
            self.kernel,
            self.redis,
            self.postgres,
            self.commit,
            if self.release { "" } else { ", DEBUG BUILD" }
        )
    }
}

fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    line.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

fn commit(repository: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(repository).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".to_owned() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|text| !text.is_empty());
    if changed { commit + "+" } else { commit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cores_memory_and_a_kernel() {
        let machine = Machine::here("7".to_owned(), "15".to_owned());

        assert!(0 < machine.cores && 0 < machine.memory_mb);
        assert!(machine.line().contains(&format!("Linux {}", machine.kernel)) && !machine.kernel.is_empty());
    }
}
