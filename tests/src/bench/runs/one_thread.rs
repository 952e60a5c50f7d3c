//! A caller with a runtime of one thread, as Node has: whoever waits for an answer also reads it.
//!
//! On a runtime of several threads the others wake up beside it to look for work, on the cores that Redis needs.

use tokio::{runtime, task};

/// Performs this on a thread of its own.
pub(super) async fn perform<F, T>(work: F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>> + Send + 'static,
    T: Send + 'static,
{
    task::spawn_blocking(move || runtime::Builder::new_current_thread().enable_all().build()?.block_on(work))
        .await?
}
