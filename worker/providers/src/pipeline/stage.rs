//! What a layer of the pipeline is: something that is done around a call.
//!
//! Every layer is always ready, since none of them waits inside the process; so each is one method, and this file makes
//! [`tower`]'s layer and service of it.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use tower::{Layer, Service};

use super::call::{Answer, Call, Facts};
use crate::{ProviderError, Receipt};

/// One thing that is done around every call.
pub(super) trait Stage: Clone + Send + Sync {
    /// Carries out the call, or answers in its place. Nothing of `call` happens before it is awaited.
    fn around<'a>(&self, facts: Arc<Facts>, call: BoxFuture<'a, Answer>) -> BoxFuture<'a, Answer>;
}

/// The layer of a stage.
#[derive(Debug, Clone, Copy)]
pub(super) struct StageLayer<T>(pub(super) T);

impl<T: Stage, S> Layer<S> for StageLayer<T> {
    type Service = Around<T, S>;

    fn layer(&self, inner: S) -> Self::Service {
        Around { stage: self.0.clone(), inner }
    }
}

/// A service with a stage around it.
#[derive(Debug, Clone)]
pub(super) struct Around<T, S> {
    stage: T,
    inner: S,
}

impl<'a, T, S> Service<Call<'a>> for Around<T, S>
where
    T: Stage,
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
        self.stage.around(facts, self.inner.call(call))
    }
}
