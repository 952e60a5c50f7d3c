//! The fleet and its peers under the same measures, on private servers: `cargo xtask bench`.
//!
//! A *run* is one subject under one measure; it gives *samples*. Runs of all subjects are told in turn, round after
//! round, so that a machine that slows down slows all of them (`conduct.rs`). What was asked for stands in one table
//! (`figures.rs`), and what came of it is decided by pure functions (`judge.rs`).

pub mod case;
pub mod conduct;
pub mod figures;
pub mod ground;
pub mod judge;
pub mod machine;
pub mod metric;
pub mod page;
pub mod payload;
pub mod peers;
pub mod plan;
pub mod report;
pub mod runs;
pub mod sample;
pub mod tally;
pub mod usage;
