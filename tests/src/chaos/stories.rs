//! All stories, in the order of the promises that they prove. A file per story; to add one, write its file and the two
//! lines below.

use super::story::Story;

mod fault_free;
mod large_backlog;
mod power_loss;
mod redis_clock_jumps;
mod redis_disk_full;
mod redis_full;
mod redis_killed;
mod redis_refuses;
mod redis_restart;
mod redis_wiped;
mod torn_aof;
mod worker_clock_jumps;
mod worker_killed;

/// Every story.
pub const ALL: &[Story] = &[
    fault_free::STORY,
    worker_killed::STORY,
    redis_killed::STORY,
    power_loss::ALWAYS,
    power_loss::EVERYSEC,
    torn_aof::STORY,
    redis_restart::STORY,
    redis_restart::FROZEN,
    redis_refuses::STORY,
    large_backlog::STORY,
    large_backlog::HUGE,
    redis_full::STORY,
    redis_disk_full::EVERYSEC,
    redis_disk_full::ALWAYS,
    redis_clock_jumps::STORY,
    worker_clock_jumps::STORY,
    redis_wiped::STORY,
];
