//! All stories, in the order of the promises that they prove. A file per story; to add one, write its file and the two
//! lines below.

use super::story::Story;

mod bustle;
mod cancel_and_pause;
mod fault_free;
mod hostile_payloads;
mod retries_and_delays;
mod slow_beside_fast;
mod worker_killed;

/// Every story.
pub const ALL: &[Story] = &[
    fault_free::STORY,
    bustle::STORY,
    worker_killed::STORY,
    retries_and_delays::STORY,
    cancel_and_pause::STORY,
    slow_beside_fast::STORY,
    hostile_payloads::STORY,
];
