//! All stories, in the order of the promises that they prove. A file per story; to add one, write its file and the two
//! lines below.

use super::story::Story;

mod bad_records;
mod bustle;
mod cancel_and_pause;
mod dead_letters_replayed;
mod fault_free;
mod fault_free_large;
mod fleet_killed;
mod frozen_idle;
mod history_backlog;
mod hostile_payloads;
mod in_order;
mod killed_between;
mod large_backlog;
mod lost_enqueue_replies;
mod memory_limit;
mod mixed_versions;
mod network_cut;
mod outbox_relay_killed;
mod poison_pills;
mod postgres_away;
mod postgres_away_long;
mod postgres_disk_full;
mod power_loss;
mod provider_faults;
mod recorder_killed;
mod redis_clock_jumps;
mod redis_disk_full;
mod redis_full;
mod redis_killed;
mod redis_refuses;
mod redis_restart;
mod redis_wiped;
mod retries_and_delays;
mod rolling_restart;
mod shutdown_pressed;
mod slow_beside_fast;
mod spinning_jobs;
mod torn_aof;
mod worker_clock_jumps;
mod worker_frozen;
mod worker_killed;

/// Every story.
pub const ALL: &[Story] = &[
    fault_free::STORY,
    fault_free_large::STORY,
    bustle::STORY,
    in_order::STORY,
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
    redis_killed::STORY,
    redis_killed::EVERYSEC,
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
    network_cut::STORY,
    lost_enqueue_replies::STORY,
    postgres_away::STORY,
    postgres_away_long::STORY,
    history_backlog::STORY,
    postgres_disk_full::STORY,
    recorder_killed::STORY,
    bad_records::STORY,
    dead_letters_replayed::STORY,
    provider_faults::STORY,
    outbox_relay_killed::STORY,
    retries_and_delays::STORY,
    cancel_and_pause::STORY,
    slow_beside_fast::STORY,
    hostile_payloads::STORY,
];

/// Stories that need the machine for themselves, to be as fast as it is: told one at a time, after the others.
pub const ALONE: [&str; 4] = ["fault-free-large", "large-backlog", "huge-backlog", "slow-beside-fast"];
