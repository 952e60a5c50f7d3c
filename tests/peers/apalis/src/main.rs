//! apalis with apalis-redis: `bulk N | single N | paced N MS | worker`.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use apalis::prelude::*;
use apalis_redis::{Config, RedisStorage};
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

async fn handler(job: Noop) -> Result<(), BoxDynError> {
    probe::handle(job.t);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    probe::runtime()?.block_on(perform())
}

async fn perform() -> Result<(), Box<dyn Error + Send + Sync>> {
    let (task, jobs, apart) = probe::arguments();
    let connection = apalis_redis::connect(probe::setting("REDIS_URL", String::new())).await?;
    let mut config = Config::default().queue("bench").batch_size(probe::setting("FETCH", 10));
    if probe::setting("LEAN", 0_u8) == 1 {
        config = config.lock_tasks(false).persist_results(true).emit_events(false);
    }
    let mut storage: RedisStorage<Noop> = RedisStorage::new(connection).with_config(config);
    let began = Instant::now();
    match task.as_str() {
        "bulk" => {
            let size = probe::setting("BATCH", 500_usize);
            for at in (0..jobs).step_by(size) {
                storage.push_bulk((at..jobs.min(at + size)).map(noop).collect()).await?;
            }
        }
        "single" => {
            for id in 0..jobs {
                storage.push(noop(id)).await?;
            }
        }
        "paced" => {
            let mut ticks = tokio::time::interval(Duration::from_millis(apart));
            for id in 0..jobs {
                ticks.tick().await;
                storage.push(noop(id)).await?;
            }
        }
        _ => {
            probe::report_what_ran();
            WorkerBuilder::new("bench").backend(storage).build(handler).run().await?;
            return Ok(());
        }
    }
    probe::report_enqueued(jobs, began);
    Ok(())
}
