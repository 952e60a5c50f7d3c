//! One thing that a job did to the outside world, as the ledger keeps it.

use std::{io, path::Path};

use flota_engine::Job;
use flota_producer::JobId;
use serde::{Deserialize, Serialize};

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// The job.
    pub job: JobId,
    /// Number of its run; 0 where it is not known.
    pub run: u32,
    /// Number of its try; 0 where it is not known.
    pub attempt: u32,
    /// Who ran it; empty where it is not known.
    pub worker: String,
    /// Idempotency key that came with it.
    pub key: String,
    /// When it was written into the ledger, in nanoseconds of [`now_ns`](crate::chaos::monotonic::now_ns). A report
    /// leaves it at 0.
    #[serde(default)]
    pub ns: u64,
    /// What did it.
    #[serde(default)]
    pub kind: EffectKind,
}

/// What did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectKind {
    /// A toy job, which knows its run and its try.
    #[default]
    Toy,
    /// A real webhook, of which only the job is known.
    Webhook,
}

impl Effect {
    /// What a run of this job is about to do. The job's id is its idempotency key.
    pub fn of(job: &Job, worker: &str) -> Self {
        Self {
            job: job.id,
            run: job.run,
            attempt: job.attempt,
            worker: worker.to_owned(),
            key: job.id.to_string(),
            ns: 0,
            kind: EffectKind::Toy,
        }
    }

    pub(super) fn webhook(job: JobId, key: &str) -> Self {
        Self {
            job,
            run: 0,
            attempt: 0,
            worker: String::new(),
            key: key.to_owned(),
            ns: 0,
            kind: EffectKind::Webhook,
        }
    }
}

/// Reads a ledger. A line that is being written is not an effect yet.
pub(super) fn read(ledger: &Path) -> io::Result<Vec<Effect>> {
    let text = std::fs::read(ledger)?;
    let complete = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let lines = text[..complete].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).map_err(io::Error::from)).collect()
}
