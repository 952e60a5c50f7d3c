//! The chaos suite: what breaks a fleet on purpose, and what tells afterwards what happened.
//!
//! A story (`stories/`) opens a [`scene::Scene`] with servers and real worker processes of its own, does harm, and closes
//! it; the [`checker`] judges what everybody wrote down. `runner.rs` tells many stories with many seeds.

pub mod checker;
pub mod conservation;
pub mod disk;
pub mod errand;
pub mod evidence;
pub mod history;
pub mod hunt;
pub mod leftovers;
pub mod limits;
pub mod monotonic;
pub mod mutants;
#[cfg(test)]
mod patient_redis;
pub mod percentile;
pub mod provider;
pub mod proxy;
pub mod redis_time;
pub mod report;
pub mod respawning;
pub mod runner;
pub mod scene;
pub mod shims;
pub mod stories;
pub mod story;
pub mod summary;
pub mod timeline;
mod toy_for_services;
