//! A job kind that does what its payload says: succeed, fail, hang, panic, take the process down.

use std::{
    collections::HashMap,
    fs::OpenOptions,
    io::Write,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use flota_engine::{ErrorClass, Failure, IfRepeated, Job, Processor, Receipt, Registry, Remedy};
use flota_producer::{Invalid, JobId, NewJob, Payload, clock};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What one try does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Finish at once.
    Succeed,
    /// Finish once this file is there.
    Until(PathBuf),
    /// Finish after this many milliseconds.
    Sleep(u64),
    /// Keep the thread busy for this many milliseconds, without yielding.
    Block(u64),
    /// Fail with this class, worth a retry.
    Fail(ErrorClass),
    /// Fail for good.
    Bury,
    /// Ask to wait this many milliseconds.
    Park(u64),
    /// Never finish.
    Hang,
    /// Panic.
    Panic,
    /// End the whole process at once.
    Abort,
}

/// Acts one after the other, one per try; the last one repeats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Toy {
    /// What each try does.
    pub acts: Vec<Act>,
}

impl Payload for Toy {
    const KIND: &'static str = "toy";
    const QUEUE: &'static str = "toys";

    fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless(!self.acts.is_empty(), "acts", "must name at least one act")
    }
}

/// What runs did. In memory, or in a file that several processes append to.
#[derive(Debug, Clone)]
pub enum Ledger {
    /// For workers inside the test.
    Memory(Arc<Mutex<HashMap<JobId, Vec<u32>>>>),
    /// For worker processes: one line `id run` per effect.
    File(Arc<PathBuf>),
}

impl Default for Ledger {
    fn default() -> Self {
        Self::Memory(Arc::default())
    }
}

impl Ledger {
    /// Runs of this job that got as far as their effect.
    pub fn effects(&self, id: JobId) -> Vec<u32> {
        self.all().remove(&id).unwrap_or_default()
    }

    /// Effects of all jobs together.
    pub fn total(&self) -> usize {
        self.all().values().map(Vec::len).sum()
    }

    /// Effects of every job.
    pub fn all(&self) -> HashMap<JobId, Vec<u32>> {
        match self {
            Self::Memory(effects) => effects.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            Self::File(path) => {
                let mut effects = HashMap::<JobId, Vec<u32>>::new();
                for line in std::fs::read_to_string(&**path).unwrap_or_default().lines() {
                    let (id, run) = line.split_once(' ').expect("a line of the ledger");
                    let run = run.parse().expect("a number of a run");
                    effects.entry(id.parse().expect("an id")).or_default().push(run);
                }
                effects
            }
        }
    }

    fn write(&self, job: &Job) {
        match self {
            Self::Memory(effects) => {
                effects
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .entry(job.id)
                    .or_default()
                    .push(job.run);
            }
            Self::File(path) => {
                let line = format!("{} {}\n", job.id, job.run);
                let file = OpenOptions::new().create(true).append(true).open(&**path);
                // One write of one short line: appends of several processes do not mix.
                file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the ledger can be written");
            }
        }
    }
}

impl Processor<Ledger> for Toy {
    const IF_REPEATED: IfRepeated = IfRepeated {
        at_worst: "The ledger has one line more.",
        key: "The job's id.",
        receiver: "Count them.",
    };

    type Error = Failure;

    async fn run(self, job: &Job, ledger: &Ledger) -> Result<Receipt, Failure> {
        let try_number = (job.attempt as usize).min(self.acts.len());
        match &self.acts[try_number - 1] {
            Act::Succeed => {}
            Act::Until(file) => {
                while !file.exists() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Act::Sleep(ms) => tokio::time::sleep(Duration::from_millis(*ms)).await,
            Act::Block(ms) => std::thread::sleep(Duration::from_millis(*ms)),
            Act::Fail(class) => {
                return Err(Failure::new(*class, Remedy::Retry { after: None }, "told to fail"));
            }
            Act::Bury => return Err(Failure::permanent("told to fail for good")),
            Act::Park(ms) => {
                let after = Some(Duration::from_millis(*ms));
                return Err(Failure::new(ErrorClass::RateLimited, Remedy::Park { after }, "told to wait"));
            }
            Act::Hang => std::future::pending().await,
            Act::Panic => panic!("told to panic"),
            Act::Abort => std::process::abort(),
        }
        ledger.write(job);
        Ok(Receipt { provider: Some("toy".into()), provider_ref: Some(job.id.to_string()), result: None })
    }
}

/// A job that does nothing, for measurements. Its payload is read like any other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noop {
    /// Makes the payload as large as it should be.
    pub filler: String,
}

impl Payload for Noop {
    const KIND: &'static str = "noop";
    const QUEUE: &'static str = "toys";

    fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }
}

impl Processor<Ledger> for Noop {
    const IF_REPEATED: IfRepeated = IfRepeated {
        at_worst: "The ledger has one line more.",
        key: "The job's id.",
        receiver: "Count them.",
    };

    type Error = Failure;

    async fn run(self, _: &Job, _: &Ledger) -> Result<Receipt, Failure> {
        Ok(Receipt::default())
    }
}

/// A job that tells how long it was on its way, as `waited_us` of its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timed {
    /// Unix time before it was enqueued, in microseconds, by the clock of this machine.
    pub sent_us: u64,
}

impl Payload for Timed {
    const KIND: &'static str = "timed";
    const QUEUE: &'static str = "toys";

    fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }
}

impl Processor<Ledger> for Timed {
    const IF_REPEATED: IfRepeated = Noop::IF_REPEATED;

    type Error = Failure;

    async fn run(self, _: &Job, _: &Ledger) -> Result<Receipt, Failure> {
        let waited_us = (clock::unix_now().as_micros() as u64).saturating_sub(self.sent_us);
        Ok(Receipt { result: Some(json!({ "waited_us": waited_us })), ..Receipt::default() })
    }
}

/// A job that does nothing with a payload of this many bytes.
pub fn noop(bytes: usize) -> NewJob {
    let frame = r#"{"filler":""}"#.len();
    NewJob::new(Noop { filler: "x".repeat(bytes.saturating_sub(frame)) })
}

/// A job that acts like this.
pub fn toy(acts: impl IntoIterator<Item = Act>) -> NewJob {
    NewJob::new(Toy { acts: acts.into_iter().collect() })
}

/// The registry with toys alone.
pub fn registry() -> Registry<Ledger> {
    Registry::new().with::<Toy>().with::<Noop>().with::<Timed>()
}
