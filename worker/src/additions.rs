//! What a program built around this library adds to `flota`: job kinds of its own, and somebody who listens.
//!
//! ```no_run
//! use flota_worker::{Additions, cli};
//!
//! fn main() -> std::process::ExitCode {
//!     cli::main_with(Additions { kinds: |known| known /* .with::<YourKind>() */, ..Additions::default() })
//! }
//! ```

use std::sync::Arc;

use flota_engine::{Event, Job, Observer, Registry};
use tracing::Span;

use crate::{outbox::Pace, processors, services::Services, telemetry};

/// Everything that may differ from the program `flota`.
pub struct Additions {
    /// Adds job kinds to those that every worker runs.
    pub kinds: fn(Registry<Services>) -> Registry<Services>,
    /// Hears every event of the engine, as the metrics do. Must not block.
    pub observer: Arc<dyn Observer>,
    /// How often the outbox is looked at.
    pub outbox: Pace,
}

impl Default for Additions {
    fn default() -> Self {
        Self { kinds: |known| known, observer: Arc::new(()), outbox: Pace::default() }
    }
}

impl Additions {
    /// Every kind that this program runs.
    pub fn registry(&self) -> Registry<Services> {
        (self.kinds)(processors::registry())
    }
}

/// Tells two observers, one after the other; runs are part of the traces that jobs carry.
pub(crate) struct Both<A>(pub(crate) A, pub(crate) Arc<dyn Observer>);

impl<A: Observer> Observer for Both<A> {
    fn observe(&self, event: &Event<'_>) {
        self.0.observe(event);
        self.1.observe(event);
    }

    fn span(&self, job: &Job) -> Span {
        telemetry::run_span(job)
    }
}
