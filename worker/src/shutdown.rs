//! When to stop: the first SIGTERM or Ctrl-C asks for a graceful end, the second for a quick one.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Told by signals, or by whoever holds a clone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Stop taking work, finish what runs.
    pub stop: CancellationToken,
    /// Do not wait for what runs any longer.
    pub hurry: CancellationToken,
}

impl Shutdown {
    /// Listens to SIGTERM and SIGINT from now on.
    ///
    /// # Errors
    /// When the operating system refuses the handlers.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let told = shutdown.clone();
        tokio::spawn(async move {
            for (token, what) in [
                (told.stop, "Stopping; the same signal once more stops at once"),
                (told.hurry, "Stopping at once"),
            ] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                info!("{what}");
                token.cancel();
            }
        });
        Ok(shutdown)
    }
}
