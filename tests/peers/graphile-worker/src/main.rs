//! graphile_worker, a queue in Postgres: `bulk N | single N | paced N MS | worker`.
//!
//! The setting of the crate's own benchmark is `CONCURRENCY=500 LOCAL_QUEUE=5000`.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, TaskHandler, WorkerContext, WorkerOptions,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Noop {
    t: i64,
    id: u64,
    pad: String,
}

fn noop(id: usize) -> Noop {
    Noop { t: probe::now(), id: id as u64, pad: probe::filler() }
}

impl TaskHandler for Noop {
    const IDENTIFIER: &'static str = "noop";

    async fn run(self, _: WorkerContext) -> impl IntoTaskHandlerResult {
        probe::handle(self.t);
        Ok::<(), String>(())
    }
}

fn options() -> WorkerOptions {
    WorkerOptions::default()
        .database_url(&probe::setting("DATABASE_URL", String::new()))
        .schema("graphile_worker")
        .define_job::<Noop>()
        .concurrency(probe::setting("CONCURRENCY", 100))
        .poll_interval(Duration::from_millis(100))
        .complete_job_batch_delay(Duration::from_millis(5))
        .local_queue(LocalQueueConfig::default().with_size(probe::setting("LOCAL_QUEUE", 1_000)))
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    probe::runtime()?.block_on(perform())
}

async fn perform() -> Result<(), Box<dyn Error + Send + Sync>> {
    let (task, jobs, apart) = probe::arguments();
    let worker = options().init().await?;
    let producer = worker.create_utils();
    let began = Instant::now();
    match task.as_str() {
        "bulk" => {
            let (size, spec) = (probe::setting("BATCH", 1_000_usize), JobSpec::default());
            for at in (0..jobs).step_by(size) {
                let batch: Vec<_> = (at..jobs.min(at + size)).map(|id| (noop(id), &spec)).collect();
                producer.add_jobs::<Noop>(&batch).await?;
            }
        }
        "single" => {
            for id in 0..jobs {
                producer.add_job(noop(id), JobSpec::default()).await?;
            }
        }
        "paced" => {
            let mut ticks = tokio::time::interval(Duration::from_millis(apart));
            for id in 0..jobs {
                ticks.tick().await;
                producer.add_job(noop(id), JobSpec::default()).await?;
            }
        }
        _ => {
            probe::report_what_ran();
            worker.run().await?;
            return Ok(());
        }
    }
    probe::report_enqueued(jobs, began);
    Ok(())
}
