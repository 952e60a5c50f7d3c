//! The job of the stories: it has one effect outside, with time before and after it, or ends badly on purpose.
//!
//! What it does in each try is in its payload, so a story is told by what it enqueues.

use std::{sync::LazyLock, time::Duration};

use flota_engine::{ErrorClass, Failure, IfRepeated, Job, Processor, Receipt, Remedy};
use flota_producer::{Invalid, NewJob, Payload};
use flota_worker::services::Services;
use serde::{Deserialize, Serialize};

use super::{
    provider::{Effect, NotConfirmed, report_effect},
    scene::QUEUE,
};

/// What one try does, step by step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Tell the provider, which keeps it: the effect.
    Effect,
    /// Wait this many milliseconds.
    Sleep(u64),
    /// Keep the thread busy for this many milliseconds, without yielding.
    Spin(u64),
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
    /// Call itself until the stack is full, which ends the process.
    Overflow,
    /// Take this many MiB and fill them, which ends a process that may not have so much.
    Hog(usize),
}

/// A job of the stories: the steps of each try, the last of which repeats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Errand {
    /// The steps of the first try, of the second, …
    pub tries: Vec<Vec<Step>>,
}

impl Payload for Errand {
    const KIND: &'static str = "errand";
    const QUEUE: &'static str = QUEUE;

    fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless(!self.tries.is_empty(), "tries", "must say what the first try does")
    }
}

/// A job whose every try takes these steps.
pub fn errand(steps: impl IntoIterator<Item = Step>) -> NewJob {
    NewJob::new(Errand { tries: vec![steps.into_iter().collect()] })
}

/// A job that has its effect between two waits.
pub fn effect_between(before_ms: u64, after_ms: u64) -> NewJob {
    errand([Step::Sleep(before_ms), Step::Effect, Step::Sleep(after_ms)])
}

/// Where the provider is, and who we are; set for every worker of a scene.
static PROVIDER: LazyLock<String> = LazyLock::new(|| std::env::var("CHAOS_PROVIDER").unwrap_or_default());
static PROCESS: LazyLock<String> = LazyLock::new(|| std::env::var("CHAOS_PROCESS").unwrap_or_default());

impl Processor<Services> for Errand {
    const IF_REPEATED: IfRepeated = IfRepeated {
        at_worst: "The ledger has one line more.",
        key: "The job's id.",
        receiver: "Count them.",
    };

    type Error = Failure;

    async fn run(self, job: &Job, _: &Services) -> Result<Receipt, Failure> {
        let number = (job.attempt as usize).min(self.tries.len());
        for step in &self.tries[number - 1] {
            take(step, job).await?;
        }
        let id = job.id.to_string();
        Ok(Receipt { provider: Some("ledger".into()), provider_ref: Some(id), result: None })
    }
}

async fn take(step: &Step, job: &Job) -> Result<(), Failure> {
    match step {
        Step::Effect => effect(job).await?,
        Step::Sleep(ms) => tokio::time::sleep(Duration::from_millis(*ms)).await,
        Step::Spin(ms) => spin(Duration::from_millis(*ms)),
        Step::Fail(class) => {
            return Err(Failure::new(*class, Remedy::Retry { after: None }, "told to fail"));
        }
        Step::Bury => return Err(Failure::permanent("told to fail for good")),
        Step::Park(ms) => {
            let after = Some(Duration::from_millis(*ms));
            return Err(Failure::new(ErrorClass::RateLimited, Remedy::Park { after }, "told to wait"));
        }
        Step::Hang => std::future::pending().await,
        Step::Panic => panic!("told to panic"),
        Step::Abort => std::process::abort(),
        Step::Overflow => drop(overflow(0)),
        Step::Hog(mib) => hog(*mib),
    }
    Ok(())
}

async fn effect(job: &Job) -> Result<(), Failure> {
    let failed = |error: NotConfirmed| {
        let class = match error {
            NotConfirmed::Answered(_) => ErrorClass::ServerError,
            NotConfirmed::Unknown(_) => ErrorClass::Ambiguous,
        };
        Failure::new(class, Remedy::Retry { after: None }, error.to_string())
    };
    report_effect(&PROVIDER, &Effect::of(job, &PROCESS)).await.map_err(failed)
}

fn spin(time: Duration) {
    let began = std::time::Instant::now();
    while began.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn overflow(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 256]);
    if depth == u64::MAX { 0 } else { overflow(depth + 1) + frame[(depth % 256) as usize] }
}

fn hog(mib: usize) {
    let mut held = Vec::new();
    for _ in 0..mib {
        held.push(std::hint::black_box(vec![1_u8; 1024 * 1024]));
    }
}
