//! A job kind that does what its payload says: succeed, fail, hang, panic, take the process down.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use flota_engine::{ErrorClass, Failure, Job, Processor, Receipt, Registry, Remedy};
use flota_producer::{Invalid, JobId, NewJob, Payload};
use serde::{Deserialize, Serialize};

/// What one try does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Finish at once.
    Succeed,
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
    /// Makes the payload as large as a test wants it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub filler: String,
}

impl Payload for Toy {
    const KIND: &'static str = "toy";
    const QUEUE: &'static str = "toys";

    fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless(!self.acts.is_empty(), "acts", "must name at least one act")
    }
}

/// What runs did, in this process.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<HashMap<JobId, Vec<u32>>>>);

impl Ledger {
    /// Runs of this job that got as far as their effect.
    pub fn effects(&self, id: JobId) -> Vec<u32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned().unwrap_or_default()
    }

    /// Effects of all jobs together.
    pub fn total(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().map(Vec::len).sum()
    }

    fn write(&self, job: &Job) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(job.id).or_default().push(job.run);
    }
}

impl Processor<Ledger> for Toy {
    type Error = Failure;

    async fn run(self, job: &Job, ledger: &Ledger) -> Result<Receipt, Failure> {
        let try_number = (job.attempt as usize).min(self.acts.len());
        match &self.acts[try_number - 1] {
            Act::Succeed => {}
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

/// A job that acts like this.
pub fn toy(acts: impl IntoIterator<Item = Act>) -> NewJob {
    NewJob::new(Toy { acts: acts.into_iter().collect(), filler: String::new() })
}

/// The registry with the toy alone.
pub fn registry() -> Registry<Ledger> {
    Registry::new().with::<Toy>()
}
