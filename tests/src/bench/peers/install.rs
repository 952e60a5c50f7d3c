//! Builds a peer, or says why that is impossible here; then the others are measured without it.
//!
//! Everything goes into `target/peers`, nothing into the source. Versions are those of the lock files.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

use super::{Origin, PEERS};
use crate::generated_text::repository;

/// How a peer's program is called: what stands before the task.
pub type Call = Vec<PathBuf>;

/// The peers that can be called, and why the others cannot.
#[derive(Debug, Default)]
pub struct Installed {
    /// By where they come from.
    pub calls: HashMap<Origin, Call>,
    /// Origin and reason.
    pub missing: Vec<(Origin, String)>,
}

/// Builds all of them.
pub fn install() -> Installed {
    let mut installed = Installed::default();
    for origin in PEERS.map(|peer| peer.origin) {
        let is_known = installed.calls.contains_key(&origin)
            || installed.missing.iter().any(|(missing, _)| *missing == origin);
        if is_known {
            continue;
        }
        println!("==> peer: {origin:?}");
        match call_of(origin) {
            Ok(call) => drop(installed.calls.insert(origin, call)),
            Err(error) => installed.missing.push((origin, format!("{error:#}"))),
        }
    }
    installed
}

fn call_of(origin: Origin) -> anyhow::Result<Call> {
    let (source, built) = (repository().join("tests/peers"), folder()?);
    match origin {
        Origin::Npm(name) => npm(&source.join(name), &built.join(name)),
        Origin::Crates(name) => crates(name, &source, &built),
    }
}

/// Beside the folder of this program: `target/peers`, wherever `CARGO_TARGET_DIR` puts the first part.
fn folder() -> anyhow::Result<PathBuf> {
    let program = env::current_exe()?;
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    Ok(target.context("this program is not in a target directory of cargo")?.join("peers"))
}

fn npm(source: &Path, built: &Path) -> anyhow::Result<Call> {
    let node = in_path("node").context("Node.js is not installed; `apt-get install nodejs npm`")?;
    let npm = in_path("npm").context("npm is not installed; `apt-get install npm`")?;
    fs::create_dir_all(built)?;
    for file in ["package.json", "package-lock.json", "peer.js"] {
        fs::copy(source.join(file), built.join(file)).with_context(|| format!("{file} cannot be copied"))?;
    }
    // Not `npm ci`, which refuses a lock file without the optional packages of machines that are not this one.
    let install = ["install", "--no-save", "--no-audit", "--no-fund"];
    run(Command::new(npm).args(install).current_dir(built))?;
    Ok(vec![node, built.join("peer.js")])
}

/// All members are built at once, so that they share what they have in common; one that cannot be built keeps no other
/// away.
fn crates(name: &str, source: &Path, built: &Path) -> anyhow::Result<Call> {
    let program = built.join("release").join(name);
    // What an earlier run built does not stand for what cannot be built now.
    fs::remove_file(&program).ok();
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--locked", "--workspace", "--keep-going", "--manifest-path"]);
    command.arg(source.join("Cargo.toml")).arg("--target-dir").arg(built).current_dir(source);
    let outcome = run(&mut command);
    if program.is_file() {
        return Ok(vec![program]);
    }
    outcome?;
    bail!("cargo built no {name}")
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    let end = lines[lines.len().saturating_sub(5)..].join(" / ");
    bail!("{} failed: {end}", command.get_program().display())
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
