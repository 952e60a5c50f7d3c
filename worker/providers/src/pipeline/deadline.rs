//! Fifth layer: an end to every call, whatever its client waits for.
//!
//! Clients have limits of their own and know what their end means; this one stands a little behind them, for what they
//! do not see.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::time::timeout;

use super::{
    call::{Answer, Facts},
    stage::Stage,
};
use crate::{ErrorClass, ProviderError};

/// How far this limit stands behind the client's own, which says more.
const BEHIND: Duration = Duration::from_millis(500);

/// The stage.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline;

impl Stage for Deadline {
    fn around<'a>(&self, facts: Arc<Facts>, call: BoxFuture<'a, Answer>) -> BoxFuture<'a, Answer> {
        let Some(deadline) = facts.deadline else { return call };
        Box::pin(async move {
            timeout(deadline + BEHIND, call).await.unwrap_or_else(|_| {
                let (class, message) = if facts.may_double {
                    let message = "The call did not end in time. It may have been carried out; a repeat may do it twice.";
                    (ErrorClass::Ambiguous, message)
                } else {
                    (ErrorClass::Timeout, "The call did not end in time. It is repeated later.")
                };
                Err(ProviderError::new(facts.provider, facts.operation, class, message))
            })
        })
    }
}
