//! How much memory `flota storage` takes to move a large file to the storage and back.
//!
//! Both ways are the program as people run it, from the same build as the measurement; the storage is another process.
//! What counts is how much more is resident at most than when a file of one byte is moved.

use std::{
    collections::BTreeMap,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    program::built,
    resident_memory::{MIB, most_resident},
};

/// The most that is promised, in MiB.
pub const PROMISED: f64 = 32.0;

/// One way.
#[derive(Debug, Clone, Copy)]
pub struct Leg {
    /// How long it took.
    pub took: Duration,
    /// How much more was resident at most than for a file of one byte, in MiB.
    pub most_memory: f64,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Moved {
    /// To the storage.
    pub up: Leg,
    /// Back.
    pub down: Leg,
}

/// One run of the program.
struct Run {
    said: String,
    took: Duration,
    /// In bytes.
    most_resident: usize,
}

/// Moves a file of this size up and down.
///
/// # Errors
/// When the sandbox does not start, the storage fails, or another length comes back.
pub async fn move_one(mebibytes: usize) -> anyhow::Result<Moved> {
    let folder = tempfile::tempdir()?;
    let (_sandbox, environment) = storage(folder.path()).await?;
    let small = there_and_back(folder.path(), 1, &environment).await?;
    let large = there_and_back(folder.path(), mebibytes * MIB, &environment).await?;
    let legs = large.iter().zip(&small).map(|(large, small)| {
        let most_memory = large.most_resident.saturating_sub(small.most_resident) as f64 / MIB as f64;
        Leg { took: large.took, most_memory }
    });
    let [up, down] = legs.collect::<Vec<_>>()[..] else { anyhow::bail!("there are two ways") };
    Ok(Moved { up, down })
}

async fn there_and_back(
    folder: &Path,
    bytes: usize,
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<[Run; 2]> {
    let (file, back) = (folder.join(format!("{bytes}")), folder.join(format!("{bytes}-back")));
    std::fs::File::create(&file)?.set_len(bytes as u64)?;
    let up = run(&["storage", "put", path(&file)?, "-o", "id"], environment).await?;
    let down = run(&["storage", "get", up.said.trim(), path(&back)?], environment).await?;
    ensure!(std::fs::metadata(&back)?.len() == bytes as u64, "another length came back");
    Ok([up, down])
}

async fn run(arguments: &[&str], environment: &BTreeMap<String, String>) -> anyhow::Result<Run> {
    let began = Instant::now();
    let mut command = Command::new(built("flota")?);
    command.args(arguments).env_clear().envs(environment).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut program = command.kill_on_drop(true).spawn()?;
    let mut output = program.stdout.take().context("its output")?;
    let mut said = String::new();
    let (ended, _) =
        tokio::try_join!(most_resident(program), async { Ok(output.read_to_string(&mut said).await?) })?;
    let (status, most_resident) = ended;
    ensure!(status.success(), "flota {arguments:?} ended with {status}");
    Ok(Run { said, took: began.elapsed(), most_resident })
}

fn path(file: &Path) -> anyhow::Result<&str> {
    file.to_str().context("the folder for temporary files has a name that is no text")
}

/// A sandbox with its bucket in this folder, and the variables that lead to it.
async fn storage(folder: &Path) -> anyhow::Result<(Child, BTreeMap<String, String>)> {
    let mut command = Command::new(built("flota")?);
    command.args(["sandbox", "-o", "jsonl", "--bucket"]).arg(folder.join("bucket"));
    let mut sandbox = command.stdout(Stdio::piped()).stdin(Stdio::null()).kill_on_drop(true).spawn()?;
    let mut said = BufReader::new(sandbox.stdout.take().context("its output")?).lines();
    let document: Value = serde_json::from_str(&said.next_line().await?.context("the sandbox has ended")?)?;
    let mut environment: BTreeMap<String, String> = serde_json::from_value(document["environment"].clone())?;
    environment.retain(|name, _| name.starts_with("MINIO_") || name.starts_with("STORAGE_"));
    // No command begins without an address of Redis; this one never calls it.
    environment.insert("REDIS_URL".to_owned(), "redis://127.0.0.1:1/".to_owned());
    // The server puts the parts together at the end, on a disk that may be slow.
    let queues = folder.join("queues.toml");
    std::fs::write(&queues, "[queues.email]\n[providers.storage]\ntimeout = \"5m\"\n")?;
    environment.insert("FLOTA_QUEUES_FILE".to_owned(), path(&queues)?.to_owned());
    Ok((sandbox, environment))
}
