//! All stories, in the order of the promises that they prove. A file per story; to add one, write its file and the two
//! lines below.

use super::story::Story;

mod fault_free;
mod fault_free_large;
mod fleet_killed;
mod frozen_idle;
mod killed_between;
mod memory_limit;
mod mixed_versions;
mod poison_pills;
mod rolling_restart;
mod shutdown_pressed;
mod spinning_jobs;
mod worker_frozen;
mod worker_killed;

/// Every story.
pub const ALL: &[Story] = &[
    fault_free::STORY,
    fault_free_large::STORY,
    worker_killed::STORY,
    fleet_killed::STORY,
    killed_between::STORY,
    worker_frozen::STORY,
    worker_frozen::AFTER_AN_EFFECT,
    frozen_idle::STORY,
    poison_pills::BESIDE_INNOCENTS,
    poison_pills::AMONG_MANY,
    spinning_jobs::STORY,
    rolling_restart::STORY,
    rolling_restart::LONG,
    shutdown_pressed::STORY,
    mixed_versions::STORY,
];
