//! The seam to the worker runtime: leased jobs go in, each is executed once, finished runs come out elsewhere.
//!
//! The engine needs nothing more from a runtime than this, so it can be exchanged without touching fetch or settle.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use crate::leased::Leased;

/// Executes one leased job to its end. The result is passed on by the implementation, and no panic comes out.
pub trait Execute: Send + Sync + 'static {
    /// Runs it.
    fn execute(self: Arc<Self>, leased: Leased) -> BoxFuture<'static, ()>;
}

/// A runtime that executes what comes in.
pub trait JobRunner: Send + Sync + 'static {
    /// Executes everything that arrives, concurrently, until the sender is gone and every job has ended.
    fn run(
        &self,
        name: String,
        jobs: mpsc::UnboundedReceiver<Vec<Leased>>,
        execute: Arc<dyn Execute>,
    ) -> BoxFuture<'static, ()>;
}
