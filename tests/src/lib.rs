//! The whole fleet from outside: what the stories in `it/` and the benchmarks share.
//!
//! Real Redis, real Postgres, real processes. Every test has its own key prefix and database, so all run in parallel;
//! a test that stops a server starts one of its own.

pub mod api_server;
pub mod bench;
pub mod chaos;
pub mod cluster;
pub mod endpoint_register;
pub mod fleet;
pub mod foreign_mail_server;
pub mod generated_text;
pub mod hostile;
pub mod installed;
pub mod limited_provider;
pub mod program;
pub mod properties;
pub mod replays;
pub mod resident_memory;
pub mod script;
pub mod servers;
pub mod shape;
pub mod stored_file;
pub mod stories;
pub mod toys;
pub mod witness;

use std::time::Duration;

/// How long a test waits for an event before it fails: far longer than anything takes, also on a slow machine that is
/// busy with other tests. Nothing is slower for it, since an event ends the wait.
pub const PATIENCE: Duration = Duration::from_mins(2);
