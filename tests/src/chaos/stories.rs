//! All stories, in the order of the promises that they prove. A file per story; to add one, write its file and the two
//! lines below.

use super::story::Story;

mod bustle;
mod fault_free;
mod worker_killed;

/// Every story.
pub const ALL: &[Story] = &[fault_free::STORY, bustle::STORY, worker_killed::STORY];
