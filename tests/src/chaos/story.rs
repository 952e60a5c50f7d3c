//! What a story is, and how its seed leads it.

use std::{future::Future, pin::Pin};

use super::scene::Told;

/// What telling a story once gives.
pub type Telling = Pin<Box<dyn Future<Output = anyhow::Result<Told>>>>;

/// One story: what happens to a fleet, and how often it is told.
#[derive(Clone, Copy)]
pub struct Story {
    /// What it is called on the command line: `worker-killed`.
    pub name: &'static str,
    /// The promise that it proves: `R1`.
    pub promise: &'static str,
    /// What happens, in one sentence.
    pub what: &'static str,
    /// How many seeds a full run tells.
    pub seeds: u64,
    /// Part of the quick set that every test run tells.
    pub smoke: bool,
    /// Tells it with this seed.
    pub tell: fn(u64) -> Telling,
}

/// Why a story cannot be told on this machine.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CannotBeTold(pub String);

/// Makes a [`Story::tell`] of an async function.
#[macro_export]
macro_rules! telling {
    ($tell:path) => {
        |seed| Box::pin($tell(seed))
    };
}
