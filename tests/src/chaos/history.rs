//! What every process of a story did, one JSON line each, in the order it happened.
//!
//! The story itself, and each worker, appends to a file of its own. A line is one write to a file opened for appending,
//! so a killed process leaves whole lines. Times are those of the machine's monotonic clock, which all processes share
//! and no clock jump moves.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::Path,
    sync::Arc,
};

use flota_engine::{Event, Observer, Verdict};
use flota_producer::{EnqueueError, JobId, Receipt};
use serde::{Deserialize, Serialize};

use super::monotonic::now_ns;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Who says so: `story`, `worker-1`, …
    pub process: String,
    /// When, in nanoseconds of the machine's monotonic clock.
    pub ns: u64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// The kinds of things that happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// A producer was told that the job is accepted.
    Accepted { job: JobId },
    /// That job was enqueued in order, after all others of this line that were told before it.
    InOrder { job: JobId, line: String },
    /// A producer cannot know whether the job was accepted.
    Unknown { job: JobId },
    /// A producer was told for certain that the job was not accepted.
    Refused { why: String },
    /// A run was given to a processor.
    Started { job: JobId, run: u32 },
    /// A verdict was carried out.
    Settled { job: JobId, run: u32, verdict: Carried },
    /// A run was told that its lease is gone.
    LeaseLost { job: JobId, run: u32 },
    /// Runs of a vanished worker were taken back.
    Recovered { ready_again: usize, buried: usize },
    /// A cancellation came back: the job will not run, or its worker was asked.
    Cancelled { job: JobId, at_once: bool },
    /// A queue was paused.
    Paused,
    /// It goes on.
    Resumed,
    /// A fault begins. `target` is a process, or `everything`.
    FaultBegan { fault: String, target: String },
    /// It is over.
    FaultEnded { fault: String, target: String },
    /// A worker could not reach Redis, or was refused.
    Trouble { step: String },
    /// A worker found that Redis has lost a queue.
    Wiped,
}

/// What a producer was answered.
impl From<&Result<Receipt, EnqueueError>> for What {
    fn from(outcome: &Result<Receipt, EnqueueError>) -> Self {
        match outcome {
            Ok(receipt) => Self::Accepted { job: receipt.id },
            Err(EnqueueError::Unknown { id, .. }) => Self::Unknown { job: *id },
            Err(error) => Self::Refused { why: error.to_string() },
        }
    }
}

/// A verdict, as the checker needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Carried {
    /// It ended the job.
    Ended,
    /// The run failed and was charged.
    Retried,
    /// It will run again, uncharged.
    Excused,
}

impl From<Verdict> for Carried {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Complete | Verdict::Bury | Verdict::Cancel | Verdict::Expire => Self::Ended,
            Verdict::Retry(_) => Self::Retried,
            Verdict::Park(_) | Verdict::Release | Verdict::Shelve => Self::Excused,
        }
    }
}

/// A fault that hits every process at once.
pub const EVERYTHING: &str = "everything";

/// Where one process writes what it did.
#[derive(Debug, Clone)]
pub struct History {
    process: Arc<str>,
    file: Arc<File>,
}

impl History {
    /// The file `<process>.jsonl` in this directory.
    pub fn open(directory: &Path, process: &str) -> std::io::Result<Self> {
        let path = directory.join(format!("{process}.jsonl"));
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { process: process.into(), file: Arc::new(file) })
    }

    /// Writes one line.
    ///
    /// # Panics
    /// When it cannot be written: a story without its history proves nothing.
    pub fn tell(&self, what: What) {
        let entry = Entry { process: self.process.to_string(), ns: now_ns(), what };
        let mut line = serde_json::to_vec(&entry).expect("an entry is plain data");
        line.push(b'\n');
        (&*self.file).write_all(&line).expect("the history can be written");
    }
}

impl Observer for History {
    fn observe(&self, event: &Event<'_>) {
        self.tell(match *event {
            Event::Started { id, run, .. } => What::Started { job: id, run },
            Event::Settled { id, run, verdict, .. } => {
                What::Settled { job: id, run, verdict: verdict.into() }
            }
            Event::LeaseLost { id, run, .. } => What::LeaseLost { job: id, run },
            Event::Recovered { ready_again, buried, .. } => What::Recovered { ready_again, buried },
            Event::Wiped { .. } => What::Wiped,
            Event::Trouble { step, .. } => What::Trouble { step: step.to_owned() },
            _ => return,
        });
    }
}

/// Reads every history in a directory, in the order of time. A last line that a crash cut short is left out.
pub fn read_all(directory: &Path) -> std::io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for file in std::fs::read_dir(directory)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            for line in BufReader::new(File::open(path)?).split(b'\n') {
                entries.extend(serde_json::from_slice::<Entry>(&line?).ok());
            }
        }
    }
    entries.sort_by_key(|entry| entry.ns);
    Ok(entries)
}
