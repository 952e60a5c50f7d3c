//! Schedules: jobs that the fleet enqueues by itself, by the clock.
//!
//! They stand in queues.toml. When a tick is due is decided by pure functions (`ticks.rs`); every worker process looks
//! (`scheduler.rs`), and an idempotency key per tick makes sure that one of them enqueues it.

mod scheduler;
mod ticks;

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use croner::Cron;
use flota_producer::NewJob;
use serde_json::value::RawValue;

pub use scheduler::{Scheduler, last_ticks};
pub use ticks::{Due, due, next, previous};

/// How long a tick is remembered. A process that was paused for longer than this between looking and enqueueing would
/// enqueue a tick a second time; nothing that lives is paused for two days.
const WINDOW: Duration = Duration::from_hours(48);

/// What a schedule does when the job of its last tick is still alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// The tick is left out.
    Skip,
    /// Another job is enqueued beside it.
    Allow,
}

/// What a schedule does about ticks that passed while no worker was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUp {
    /// The last of them is made up for.
    Last,
    /// They are left out.
    None,
}

/// One schedule, checked.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// When, in the time of its zone.
    pub cron: Cron,
    /// The zone.
    pub timezone: Tz,
    /// Kind of job.
    pub kind: String,
    /// Queue that it goes to.
    pub queue: String,
    /// What the job is given; its kind has checked it.
    pub payload: Box<RawValue>,
    /// Whose job it is.
    pub tenant: Option<String>,
    /// When the last job is still alive.
    pub overlap: Overlap,
    /// When ticks were missed.
    pub catch_up: CatchUp,
}

impl Schedule {
    /// The job of one tick. However many processes enqueue it, there is one.
    pub fn job_of(&self, tick: DateTime<Utc>) -> NewJob {
        let at = tick.to_rfc3339_opts(SecondsFormat::Secs, true);
        let key = format!("schedule:{}:{at}", self.name);
        self.job().key(key).key_window(WINDOW).meta("tick", at)
    }

    /// A job beside the clock, because somebody asked for it.
    pub fn job(&self) -> NewJob {
        let job =
            NewJob::untyped(&self.kind, &self.queue, self.payload.clone()).meta("schedule", &*self.name);
        let job = match self.overlap {
            Overlap::Skip => job.unique(format!("schedule:{}", self.name)),
            Overlap::Allow => job,
        };
        match &self.tenant {
            Some(tenant) => job.tenant(tenant),
            None => job,
        }
    }
}
