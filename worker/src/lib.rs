//! The Flota worker fleet: processors, outcomes, command line, HTTP.
//!
//! The binary `flota` is a thin shell around this library, so that tests can start the same parts. It is the
//! composition root: here, and only here, the engine meets Postgres, providers and people.

mod additions;
pub mod api;
pub mod assemble;
pub mod audit;
pub mod bucket;
pub mod chaos;
pub mod checks;
pub mod cli;
pub mod clock;
pub mod config;
pub mod database;
pub mod dead;
pub mod demo;
pub mod dev;
pub mod endpoints;
pub mod exit;
pub mod failure;
pub mod files;
pub mod http;
pub mod limits;
pub mod llm;
pub mod online;
pub mod open_files;
pub mod outbox;
pub mod outcomes;
pub mod pictures;
pub mod process;
pub mod processors;
mod results;
pub mod retention;
pub mod sandbox;
pub mod schedules;
pub mod service_manager;
pub mod service_settings;
pub mod services;
pub mod shutdown;
#[cfg(test)]
mod statements;
pub mod suppressions;
pub mod telemetry;
pub mod tokens;
pub mod transcription;
pub mod uploads;
pub mod vault;
pub mod view;

pub use additions::Additions;

/// The memory of a worker: jobs are many pieces that one thread takes and another gives back
/// (docs/decisions/0011-memory-allocator.md). A program makes it its own.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub use tikv_jemallocator::Jemalloc as Allocator;
