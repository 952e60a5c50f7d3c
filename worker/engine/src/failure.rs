//! How a run can fail, in words that the engine decides on.
//!
//! A processor says what went wrong ([`ErrorClass`]) and what would help ([`Remedy`]); the engine counts tries per
//! class and decides. The worker maps its own errors to this in one exhaustive match.

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What kind of trouble it was. The first nine come from providers, the rest from the engine itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The request is wrong and will stay wrong.
    Permanent,
    /// The target no longer exists.
    Gone,
    /// The credential is refused.
    Auth,
    /// The account's allowance is used up.
    Quota,
    /// Too many requests right now.
    RateLimited,
    /// The other side failed.
    ServerError,
    /// No answer in time.
    Timeout,
    /// No connection.
    Network,
    /// It may have happened: the reply to a request that cannot be repeated safely was lost.
    Ambiguous,
    /// The worker itself could not do its part, for example because Postgres was away.
    Internal,
    /// The processor panicked.
    Panic,
    /// Its runs keep taking workers down.
    Poison,
    /// The envelope or its payload cannot be read.
    Undecodable,
}

impl ErrorClass {
    /// Every class, in the order of [`ErrorClass::index`].
    pub const ALL: [Self; 13] = [
        Self::Permanent,
        Self::Gone,
        Self::Auth,
        Self::Quota,
        Self::RateLimited,
        Self::ServerError,
        Self::Timeout,
        Self::Network,
        Self::Ambiguous,
        Self::Internal,
        Self::Panic,
        Self::Poison,
        Self::Undecodable,
    ];

    /// The word used in records, marks, settings and metric labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Gone => "gone",
            Self::Auth => "auth",
            Self::Quota => "quota",
            Self::RateLimited => "rate_limited",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::Ambiguous => "ambiguous",
            Self::Internal => "internal",
            Self::Panic => "panic",
            Self::Poison => "poison",
            Self::Undecodable => "undecodable",
        }
    }

    /// The class with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.word() == word)
    }

    /// Position in [`ErrorClass::ALL`], for counters kept in an array.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// What would help after a failed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Try again: after this long when the other side said so, otherwise after the backoff of its class.
    Retry {
        /// What `Retry-After` or its like asked for.
        after: Option<Duration>,
    },
    /// Not now, and not the job's fault: wait without charging a try.
    Park {
        /// How long; the queue's `park` setting when unknown.
        after: Option<Duration>,
    },
    /// Not now: it has a turn of its own after this long, among others with theirs. Not charged, and not spread, since
    /// the turns are.
    Turn {
        /// How long.
        after: Duration,
    },
    /// Nothing helps: bury it.
    Bury,
}

/// Why one run failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind of trouble.
    pub class: ErrorClass,
    /// What would help.
    pub remedy: Remedy,
    /// The whole story in one line, for people. Never holds secrets.
    pub message: Cow<'static, str>,
    /// The other side's own code: an HTTP status, an SMTP reply, a provider's word.
    pub code: Option<String>,
    /// Who was asked.
    pub provider: Option<Cow<'static, str>>,
    /// What was answered, for people: small, and free of secrets. Boxed to keep every `Result` of processors small.
    pub result: Option<Box<Value>>,
}

impl Failure {
    /// A failure without provider details.
    pub fn new(class: ErrorClass, remedy: Remedy, message: impl Into<Cow<'static, str>>) -> Self {
        Self { class, remedy, message: message.into(), code: None, provider: None, result: None }
    }

    /// One that no retry can mend.
    pub fn permanent(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorClass::Permanent, Remedy::Bury, message)
    }

    /// One inside the worker, worth trying again.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorClass::Internal, Remedy::Retry { after: None }, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_positions_lead_back_to_their_class() {
        for (n, class) in ErrorClass::ALL.into_iter().enumerate() {
            assert_eq!(class.index(), n);
            assert_eq!(ErrorClass::from_word(class.word()), Some(class));
        }
    }
}
