//! Configuration: what the files and the environment say, read once, checked, and passed in.
//!
//! Structure and limits come from `queues.toml` ([`Queues`]), addresses and secrets from the environment
//! ([`Environment`]). Both are read in two stages, text first and meaning second, and tell every problem they find at
//! once, each as one sentence that says where it is and what to write. Nothing else reads files or variables.
//!
//! `docs/configuration.md` and `.env.example` come from the same tables; tests compare them.

pub mod env;
pub mod queues;

pub(crate) mod nearest;

#[cfg(test)]
pub(crate) mod generated_text;

pub use env::Environment;
pub use queues::Queues;
