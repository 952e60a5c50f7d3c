//! The chaos suite's instruments: what breaks a fleet on purpose, and what tells afterwards what happened.

pub mod disk;
pub mod limits;
pub mod monotonic;
#[cfg(test)]
mod patient_redis;
pub mod provider;
pub mod proxy;
pub mod respawning;
pub mod shims;
