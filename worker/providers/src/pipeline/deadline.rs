//! Fifth layer: an end to every call, whatever its client waits for.
//!
//! Clients have limits of their own and know what their end means; this one stands a little behind them, for what they
//! do not see.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::time::timeout;
use tower::{Layer, Service};

use super::call::{Answer, Call};
use crate::{ErrorClass, ProviderError, Receipt};

/// How far this limit stands behind the client's own, which says more.
const BEHIND: Duration = Duration::from_millis(500);

/// The layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeadlineLayer;

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Deadline { inner }
    }
}

/// Gives up the inner call at its deadline.
#[derive(Clone)]
pub(super) struct Deadline<S> {
    inner: S,
}

impl<'a, S> Service<Call<'a>> for Deadline<S>
where
    S: Service<Call<'a>, Response = Receipt, Error = ProviderError, Future = BoxFuture<'a, Answer>>,
{
    type Response = Receipt;
    type Error = ProviderError;
    type Future = BoxFuture<'a, Answer>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ProviderError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, call: Call<'a>) -> Self::Future {
        let facts = Arc::clone(&call.facts);
        let inner = self.inner.call(call);
        let Some(deadline) = facts.deadline else { return inner };
        Box::pin(async move {
            timeout(deadline + BEHIND, inner).await.unwrap_or_else(|_| {
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
