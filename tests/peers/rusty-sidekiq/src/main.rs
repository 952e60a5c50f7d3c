//! rusty-sidekiq: `bulk N | single N | paced N MS | worker`.
//!
//! It has no bulk call: `bulk` is eight callers at once, the fastest way that it offers.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sidekiq::{Processor, ProcessorConfig, RedisConnectionManager, RedisPool, Worker};
use tokio::task::JoinSet;

const CALLERS: usize = 8;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Noop {
    t: i64,
    id: u64,
    pad: String,
}

fn noop(id: usize) -> Noop {
    Noop { t: probe::now(), id: id as u64, pad: probe::filler() }
}

#[derive(Clone)]
struct NoopWorker;

#[async_trait]
impl Worker<Noop> for NoopWorker {
    async fn perform(&self, job: Noop) -> sidekiq::Result<()> {
        probe::handle(job.t);
        Ok(())
    }
}

async fn enqueue(redis: RedisPool, ids: impl Iterator<Item = usize>) -> sidekiq::Result<()> {
    for id in ids {
        NoopWorker::perform_async(&redis, noop(id)).await?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    probe::runtime()?.block_on(perform())
}

async fn perform() -> Result<(), Box<dyn Error + Send + Sync>> {
    let (task, jobs, apart) = probe::arguments();
    let workers = probe::setting("CONCURRENCY", 50_usize);
    let manager = RedisConnectionManager::new(probe::setting("REDIS_URL", String::new()))?;
    let redis = bb8::Pool::builder().max_size(workers as u32 + 8).build(manager).await?;
    let began = Instant::now();
    match task.as_str() {
        "bulk" => {
            let mut callers = JoinSet::new();
            for first in 0..CALLERS {
                callers.spawn(enqueue(redis.clone(), (first..jobs).step_by(CALLERS)));
            }
            for ended in callers.join_all().await {
                ended?;
            }
        }
        "single" => enqueue(redis, 0..jobs).await?,
        "paced" => {
            let mut ticks = tokio::time::interval(Duration::from_millis(apart));
            for id in 0..jobs {
                ticks.tick().await;
                NoopWorker::perform_async(&redis, noop(id)).await?;
            }
        }
        _ => {
            probe::report_what_ran();
            let config = ProcessorConfig::default().num_workers(workers);
            let mut processor = Processor::new(redis, vec!["default".to_owned()]).with_config(config);
            processor.register(NoopWorker);
            processor.run().await;
            return Ok(());
        }
    }
    probe::report_enqueued(jobs, began);
    Ok(())
}
