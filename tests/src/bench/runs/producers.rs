//! Calls the producer of a peer, a process of its own.

use std::process::Stdio;

use anyhow::Context;
use serde::Deserialize;
use tokio::process::Command;

use super::workers::peer_environment;
use crate::bench::{
    ground::Field,
    peers::{Peer, install::Call},
};

/// What a producer prints at its end.
#[derive(Debug, Deserialize)]
struct Enqueued {
    jobs: u64,
    secs: f64,
}

/// Runs a producer to its end. Answers the jobs a second that it measured, its own start left out.
///
/// # Errors
/// When it fails or enqueued another number of jobs.
pub(super) async fn enqueue(
    field: &Field<'_>,
    (peer, call): (&Peer, &Call),
    task: &str,
    jobs: usize,
    apart_ms: u64,
) -> anyhow::Result<f64> {
    let (program, script) = call.split_first().context("a peer without a program")?;
    let output = Command::new(program)
        .args(script)
        .args([task, &jobs.to_string(), &apart_ms.to_string()])
        .env_clear()
        .envs(peer_environment(field, peer))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stdout);
    anyhow::ensure!(output.status.success(), "{task}: {}", String::from_utf8_lossy(&output.stderr).trim());
    let line = said.lines().rfind(|line| line.starts_with('{')).context("the producer printed nothing")?;
    let enqueued: Enqueued = serde_json::from_str(line)?;
    anyhow::ensure!(enqueued.jobs == jobs as u64, "{} of {jobs} jobs were enqueued", enqueued.jobs);
    Ok(enqueued.jobs as f64 / enqueued.secs)
}
