//! What a failed call to an outside service means for the job that made it.
//!
//! Every provider sorts its failures into one [`ErrorClass`] beside the call, where its manual is at hand. What
//! follows from a class (retry, park, pause, bury) is decided elsewhere, in one exhaustive match: this crate does
//! not know queues. Messages are written to outcomes and read by people, so they hold no secret and no full URL.

use std::{error::Error, time::Duration};

use serde_json::Value;

use crate::chat;

/// The code of a request that is larger than its provider takes.
pub const TOO_LARGE: &str = "too_large";
/// The code of a request with a file that our own disk does not give.
pub(crate) const UNREAD: &str = "disk";
/// The code of a request with a file of a kind that its provider does not take.
pub(crate) const BLOCKED_FILE: &str = "blocked_file";
/// Most characters of a code that is the other side's word.
const MOST_CODE: usize = 64;

/// The code of a refusal: the other side's own word where there is one, else its status. Pure.
pub(crate) fn code_of(word: &str, status: u16) -> String {
    let word: String = word.chars().filter(char::is_ascii_graphic).take(MOST_CODE).collect();
    if word.is_empty() { status.to_string() } else { word }
}

/// Why a call failed, in terms of what may help.
///
/// No `#[non_exhaustive]`: a new class must make its readers decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The request itself is wrong, and sending it again gives the same answer.
    Permanent,
    /// The target no longer exists for good, so it should be disabled as well.
    Gone,
    /// The provider does not accept our credential or our standing; every job that uses it will fail alike.
    Auth,
    /// The account has used up what it may use; nothing works until somebody pays or a period ends.
    Quota,
    /// The provider asks us to slow down; the job is healthy and its attempt does not count.
    RateLimited {
        /// How long the provider asks us to wait, when it says so.
        retry_after: Option<Duration>,
    },
    /// The provider failed on its side or asks to try again later.
    ServerError,
    /// No answer came in time, and a repeat cannot do harm.
    Timeout,
    /// The provider could not be reached or the connection broke, and a repeat cannot do harm.
    Network,
    /// The provider may or may not have carried out the call, and a repeat may do it twice.
    Ambiguous,
}

impl ErrorClass {
    /// The word for this class in records, metrics and command output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Gone => "gone",
            Self::Auth => "auth",
            Self::Quota => "quota",
            Self::RateLimited { .. } => "rate_limited",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// How far a call got, and whom its failure is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Standing {
    /// It was made, and its failure is about the credential or endpoint as a whole.
    #[default]
    Answered,
    /// It was made and failed like any other call, and its failure says that all who call there should slow down.
    Overloaded,
    /// It was made, and its failure is about its recipient only: others go on.
    OneRecipient,
    /// It was refused as too fast, and the job has a turn of its own at the end of the wait.
    RefusedWithTurn,
    /// Nothing was sent: it is not its turn yet. The job has a turn of its own at the end of the wait.
    Turn,
    /// Nothing was sent, and the job asks again after about the wait.
    NotSent,
}

/// A failed call, classified where it happened.
#[derive(Debug, thiserror::Error)]
#[error("{provider} {operation} failed: {message}")]
pub struct ProviderError {
    /// Which service, for example `smtp`.
    pub provider: &'static str,
    /// Which call of that service, for example `send`.
    pub operation: &'static str,
    /// What may help.
    pub class: ErrorClass,
    /// The HTTP status, the SMTP reply code or the provider's own word, when there is one.
    pub code: Option<Box<str>>,
    /// What happened, why, and what to do next. Holds no secret. Boxed to keep every `Result` of this crate small.
    pub message: Box<str>,
    /// How long to wait, in milliseconds, when a class other than `RateLimited` came with that wish; read it by
    /// [`Self::retry_after`]. Short for the same reason.
    server_wait_ms: Option<u32>,
    /// How far it got.
    pub standing: Standing,
    /// What the other side answered, for people: small and free of secrets. Boxed for the same reason.
    pub detail: Option<Box<Value>>,
    /// The error underneath, free of URLs.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl ProviderError {
    /// A failure without code or cause; the `with_…` methods add them.
    pub fn new(
        provider: &'static str,
        operation: &'static str,
        class: ErrorClass,
        message: impl Into<Box<str>>,
    ) -> Self {
        Self {
            provider,
            operation,
            class,
            code: None,
            message: message.into(),
            server_wait_ms: None,
            standing: Standing::Answered,
            detail: None,
            source: None,
        }
    }

    /// A file of the request lies on a disk that does not give it. What was sent broke off, so nothing was done, and it says
    /// nothing of the provider.
    pub(crate) fn unread(
        provider: &'static str,
        operation: &'static str,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        let message = "A file could not be read from the disk, so nothing was sent whole, and nothing was done; the job is \
                       repeated later. Let files stay as they are while jobs send them.";
        Self::new(provider, operation, ErrorClass::ServerError, message)
            .with_code(UNREAD)
            .with_standing(Standing::OneRecipient)
            .with_source(source)
    }

    /// Adds the status or code that the provider answered.
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into().into());
        self
    }

    /// Adds the error underneath. The caller has removed URLs from it.
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds the wait that came with an answer of a class other than `RateLimited`.
    pub fn with_server_wait(mut self, wait: Option<Duration>) -> Self {
        let rounded_up = |wait: Duration| wait.as_nanos().div_ceil(1_000_000);
        self.server_wait_ms = wait.map(|wait| u32::try_from(rounded_up(wait)).unwrap_or(u32::MAX));
        self
    }

    /// Says how far the call got.
    pub fn with_standing(mut self, standing: Standing) -> Self {
        self.standing = standing;
        self
    }

    /// Adds what the other side answered.
    pub fn with_detail(mut self, detail: Value) -> Self {
        self.detail = Some(Box::new(detail));
        self
    }

    /// True when nothing was sent: nothing happened outside, so nothing may be charged to the job.
    pub fn was_not_sent(&self) -> bool {
        matches!(self.standing, Standing::Turn | Standing::NotSent)
    }

    /// True when there was never a connection, so that nothing can have been sent over it.
    pub fn was_not_connected(&self) -> bool {
        let source = self.source.as_ref().and_then(|source| source.downcast_ref::<reqwest::Error>());
        source.is_some_and(reqwest::Error::is_connect)
    }

    /// True when the call may be billed although it failed, and nobody said what it took: it was sent, and its answer was
    /// lost, came in part, or is not what was asked for.
    pub fn may_be_billed(&self) -> bool {
        if self.was_not_sent() || self.was_not_connected() {
            return false;
        }
        let is_lost = matches!(self.class, ErrorClass::Timeout | ErrorClass::Network | ErrorClass::Ambiguous);
        // A gateway in between gave up, or the answer did not come whole, or it is a success that cannot be used.
        let is_unusable = matches!(
            self.code.as_deref(),
            Some("timeout" | "408" | "504" | "524" | "cut_off" | "empty" | "unreadable" | "too_long" | "200")
        );
        // A model that does not want to answer has read the question.
        let is_unwilling = matches!(self.code.as_deref(), Some(chat::REFUSED | chat::FILTERED));
        is_lost || is_unusable || is_unwilling
    }

    /// True when only this provider refuses the request, for its size or kind, and another one may well take it. Nothing
    /// was sent.
    pub fn may_work_elsewhere(&self) -> bool {
        matches!(self.code.as_deref(), Some(TOO_LARGE | BLOCKED_FILE))
    }

    /// How long the provider asked us to wait, whatever the class. `None` when it did not say.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.class {
            ErrorClass::RateLimited { retry_after } => retry_after,
            _ => self.server_wait_ms.map(|wait| Duration::from_millis(wait.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_of_an_error_leaves_its_cause_to_the_source() {
        let cause = std::io::Error::other("broken pipe");

        let error = ProviderError::new("smtp", "send", ErrorClass::Network, "The connection broke.")
            .with_code("io")
            .with_source(cause);

        assert_eq!(error.to_string(), "smtp send failed: The connection broke.");
        assert_eq!(
            std::error::Error::source(&error).map(ToString::to_string),
            Some("broken pipe".to_owned())
        );
    }

    #[test]
    fn a_call_may_be_billed_when_it_was_sent_and_what_came_back_is_lost_or_unusable() {
        let error =
            |class, code: &str| ProviderError::new("llm", "complete", class, "Trouble.").with_code(code);

        for (class, code, expected) in [
            (ErrorClass::Timeout, "", true),
            (ErrorClass::Network, "", true),
            (ErrorClass::Ambiguous, "", true),
            (ErrorClass::ServerError, "524", true),
            (ErrorClass::ServerError, "unreadable", true),
            (ErrorClass::ServerError, "empty", true),
            (ErrorClass::Permanent, "too_long", true),
            (ErrorClass::ServerError, "500", false),
            (ErrorClass::Permanent, "format", false),
            (ErrorClass::Auth, "401", false),
        ] {
            assert_eq!(error(class, code).may_be_billed(), expected, "{class:?} {code}");
            let unsent = error(class, code).with_standing(Standing::NotSent);
            assert!(!unsent.may_be_billed(), "{class:?} {code}");
        }
    }

    #[test]
    fn a_wait_is_found_in_whichever_place_the_class_keeps_it() {
        let wait = Some(Duration::from_secs(7));

        let limited = ProviderError::new(
            "webhook",
            "deliver",
            ErrorClass::RateLimited { retry_after: wait },
            "Slow down.",
        );
        let unavailable =
            ProviderError::new("webhook", "deliver", ErrorClass::ServerError, "Away.").with_server_wait(wait);

        assert_eq!((limited.retry_after(), unavailable.retry_after()), (wait, wait));
    }
}
