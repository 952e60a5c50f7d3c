//! How long one call may take, by provider. The queue's own `timeout`, which counts for a whole run, stands behind it.

use std::{collections::BTreeMap, time::Duration};

use super::windows::BUILT_IN;

/// What holds for a provider that is not in the table.
const ANY: Duration = Duration::from_secs(20);

/// The time limit of every provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallTimeouts(BTreeMap<&'static str, Duration>);

impl Default for CallTimeouts {
    /// What is built in.
    fn default() -> Self {
        Self(BUILT_IN.iter().map(|limit| (limit.provider, limit.timeout)).collect())
    }
}

impl CallTimeouts {
    /// Most time for one call of this provider; of a mail server for one step of the conversation.
    pub fn of(&self, provider: &str) -> Duration {
        self.0.get(provider).copied().unwrap_or(ANY)
    }

    /// Replaces the time limit of a provider.
    pub fn set(&mut self, provider: &'static str, timeout: Duration) {
        self.0.insert(provider, timeout);
    }
}
