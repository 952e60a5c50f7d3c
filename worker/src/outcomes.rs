//! History: what became of every job, in Postgres.
//!
//! Workers settle in Redis, and a settled run leaves one line in the queue's outcomes stream. The recorder carries
//! these lines over, and the rest of this module reads them back. Postgres may be away for hours: history is late
//! then, and nothing else notices.
//!
//! One line on its way: `stream.rs` reads it, `rows.rs` and `letter.rs` turn it into rows, `copy.rs` encodes them,
//! `write.rs` commits them, and `recorder.rs` decides when all of that happens.

mod copy;
mod dead;
mod fingerprint;
mod history;
mod letter;
mod lineage;
mod recorder;
mod rows;
mod stream;
mod write;

#[cfg(test)]
pub(crate) mod tests;

pub use dead::{DeadRow, dead_count};
pub use history::{AttemptRow, Filter, History, OutcomeRow, Position, find, recent};
pub use recorder::{Progress, RecordError, Recorder};
