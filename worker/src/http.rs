//! How this process answers over HTTP: admin pages for probes and Prometheus, and the connections that carry them.
//!
//! `pages.rs` says how the process is, by what it last heard from its loops (`pulse.rs`). `exposure.rs` decides which
//! addresses may be listened on, and `connections.rs` serves them with limits that a slow or rude client meets. What
//! applications and people ask of the fleet is in `crate::api`.

pub mod connections;
pub mod exposure;
mod pages;
mod pulse;
mod scalers;

pub use pages::{Health, pages};
pub use pulse::{Beat, Pulse};
pub use scalers::{Scalers, scalers};
