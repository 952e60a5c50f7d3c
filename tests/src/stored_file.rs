//! How much memory it takes to move a large file to the storage and back.
//!
//! The storage is a process of its own, so that only our side is measured.

use std::{
    collections::BTreeMap,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use flota_producer::StorageKey;
use flota_providers::storage::{StorageClient, StoragePlace, StorageSettings};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, empty, sink},
    process::{Child, Command},
    time::{MissedTickBehavior, interval},
};

use crate::program::built;

const MIB: usize = 1024 * 1024;
/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// One way.
#[derive(Debug, Clone, Copy)]
pub struct Leg {
    /// How long it took.
    pub took: Duration,
    /// Most resident memory above that before, in MiB.
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

/// Moves a file of this size up and down.
///
/// # Errors
/// When the sandbox does not start, the storage fails, or another length comes back.
pub async fn move_one(mebibytes: usize) -> anyhow::Result<Moved> {
    let folder = tempfile::tempdir()?;
    let (_sandbox, client) = storage(folder.path()).await?;
    let file = folder.path().join("large");
    std::fs::File::create(&file)?.set_len((mebibytes * MIB) as u64)?;
    // What is only needed once is there before it is measured.
    client.put_stream(&StorageKey::mint(None)?.to_string(), "text/plain", empty(), |_| ()).await?;
    let key = StorageKey::mint(None)?.to_string();
    let (sent, up) = measured(client.put_file(&key, "application/octet-stream", &file, |_| ())).await?;
    sent?;
    let download = async { anyhow::Ok(client.open(&key).await?.write_to(&mut sink(), |_| ()).await?) };
    let (came, down) = measured(download).await?;
    ensure!(came? == (mebibytes * MIB) as u64, "another length came back");
    Ok(Moved { up, down })
}

/// A sandbox with its bucket in this folder, and its client.
async fn storage(folder: &Path) -> anyhow::Result<(Child, StorageClient)> {
    let mut command = Command::new(built("flota")?);
    command.args(["sandbox", "-o", "jsonl", "--bucket"]).arg(folder.join("bucket"));
    let mut sandbox = command.stdout(Stdio::piped()).stdin(Stdio::null()).kill_on_drop(true).spawn()?;
    let mut said = BufReader::new(sandbox.stdout.take().context("its output")?).lines();
    let document: Value = serde_json::from_str(&said.next_line().await?.context("the sandbox has ended")?)?;
    let environment: BTreeMap<String, String> = serde_json::from_value(document["environment"].clone())?;
    let client = StorageClient::new(StorageSettings {
        place: StoragePlace::Compatible { base_url: environment["MINIO_ENDPOINT"].clone() },
        region: "us-east-1".to_owned(),
        bucket: environment["MINIO_BUCKET"].clone(),
        access_key_id: environment["MINIO_ACCESS_KEY"].clone(),
        secret_access_key: environment["MINIO_SECRET_KEY"].clone().into(),
        // The server puts the parts together at the end, on a disk that may be slow.
        timeout: Duration::from_mins(5),
    });
    Ok((sandbox, client))
}

/// Carries something out and looks at our memory meanwhile.
async fn measured<T>(work: impl Future<Output = T>) -> anyhow::Result<(T, Leg)> {
    let (before, began) = (resident()?, Instant::now());
    let (mut most, mut looks) = (before, interval(LOOK));
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut work = std::pin::pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            _ = looks.tick() => most = most.max(resident()?),
        }
    };
    let most_memory = (most - before) as f64 / MIB as f64;
    Ok((done, Leg { took: began.elapsed(), most_memory }))
}

/// Our resident memory in bytes (proc(5), `VmRSS`).
fn resident() -> anyhow::Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: usize = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib * 1024)
}
