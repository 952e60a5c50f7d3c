//! All stories, in the order of the promises that they prove. A file per story; to add one, write its file and the two
//! lines below.

use super::story::Story;

mod bad_records;
mod dead_letters_replayed;
mod fault_free;
mod history_backlog;
mod lost_enqueue_replies;
mod network_cut;
mod outbox_relay_killed;
mod postgres_away;
mod postgres_away_long;
mod postgres_disk_full;
mod provider_faults;
mod recorder_killed;
mod worker_killed;

/// Every story.
pub const ALL: &[Story] = &[
    fault_free::STORY,
    worker_killed::STORY,
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
];
