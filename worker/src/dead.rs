//! Dead letters: finding them, and deciding about them one by one or by the million.
//!
//! A letter is `dead` until somebody decides. A decision is a bulk operation, even for one letter: the selection is
//! frozen when it is made (`operation.rs`), and carried out in small transactions (`step.rs`), each of which moves its
//! letters from `dead` to `replaying` or `discarded`, writes the replays into the outbox and marks the items. A letter
//! leaves `dead` once, so whatever is killed, repeated or done twice at once, no letter is enqueued twice, and what is
//! left can be resumed (`run.rs`).
//!
//! A replay carries the envelope byte for byte, unless one letter was edited (`edit.rs`), under a new id that is minted
//! in the transaction. The letter is `replaying` from then on, and `replayed` once the recorder has written down how
//! the replay ended (`outcomes/lineage.rs`): good or bad, since a replay that dies is a letter of its own.

pub mod edit;
pub mod export;
pub mod filter;
mod groups;
mod letters;
mod operation;
mod run;
mod step;

/// In front of a query whose plan is wanted.
const EXPLAIN: &str = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF) ";

#[cfg(test)]
mod tests;

pub use filter::{Attempts, Filter, PayloadMatch, UnknownFilter};
pub use groups::{Group, explain_groups, groups};
pub use letters::{Letter, LetterRow, Lineage, Touched, count, explain_page, get, page, position_of, states};
pub use operation::{Kind, NewOperation, Operation, State, abort, create, find, list, pause, reopen};
pub use run::{Told, carry_out};
