//! How much memory a process uses while something is done, as the kernel counts it.

use std::{process::ExitStatus, time::Duration};

use anyhow::Context;
use tokio::{
    process::Child,
    time::{MissedTickBehavior, interval},
};

/// A mebibyte, in bytes.
pub const MIB: usize = 1024 * 1024;
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// What is resident and no part of a file (proc(5), `RssAnon`), in bytes: what a program has allocated, without its own
/// code, which it loads as it is first used.
///
/// # Errors
/// When there is no such process.
pub fn allocated(process: u32) -> anyhow::Result<usize> {
    of_status(process, "RssAnon:")
}

/// Carries something out and answers the most that a process had allocated meanwhile, in bytes.
///
/// # Errors
/// When the process ends meanwhile.
pub async fn most_allocated<T>(process: u32, work: impl Future<Output = T>) -> anyhow::Result<(T, usize)> {
    let (mut most, mut looks) = (allocated(process)?, interval(LOOK));
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok((done, most)),
            _ = looks.tick() => most = most.max(allocated(process)?),
        }
    }
}

/// Waits for the end of a program. Answers the most that was ever resident of it (proc(5), `VmHWM`), in bytes.
///
/// # Errors
/// When it cannot be waited for, or was never seen.
pub async fn most_resident(mut program: Child) -> anyhow::Result<(ExitStatus, usize)> {
    let process = program.id().context("it has ended")?;
    let (mut most, mut looks) = (None, interval(LOOK));
    loop {
        tokio::select! {
            ended = program.wait() => return Ok((ended?, most.context("it was too quick to be seen")?)),
            // One that has ended and was not waited for has no memory any more.
            _ = looks.tick() => most = of_status(process, "VmHWM:").ok().or(most),
        }
    }
}

fn of_status(process: u32, field: &str) -> anyhow::Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib: usize = line.with_context(|| format!("no {field}"))?.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}
