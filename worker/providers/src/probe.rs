//! Whether a credential works, found out without any work being done.
//!
//! Each client makes one call that reads, costs nothing and goes the way of its other calls, so that a refusal is sorted by
//! the same table. Only the layers of the pipeline are left out: what a person asks takes no job's turn, opens no circuit
//! and counts as no call.

use futures_util::future::BoxFuture;

use crate::{ProviderError, pipeline::Client};

/// What these calls are named in errors.
pub(crate) const PROBE: &str = "probe";

/// What was found of a credential that was not refused. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probed {
    /// It works, as far as can be told without using it.
    Works(String),
    /// It was not refused, but somebody should know of this.
    Doubtful {
        /// What is the matter.
        found: String,
        /// What helps.
        fix: &'static str,
    },
}

impl Probed {
    pub(crate) fn works(found: impl Into<String>) -> Self {
        Self::Works(found.into())
    }

    pub(crate) fn doubtful(found: impl Into<String>, fix: &'static str) -> Self {
        Self::Doubtful { found: found.into(), fix }
    }
}

/// A client that can tell whether its credential works.
pub trait Probe: Client {
    /// Asks the provider. `now_unix` is in Unix seconds.
    ///
    /// # Errors
    /// What the provider refuses, by the classes of an ordinary call.
    fn probe(&self, now_unix: i64) -> BoxFuture<'_, Result<Probed, ProviderError>>;
}
