//! The way of every call to an outside service, written once.
//!
//! ```text
//! credentials → observe → pause → limit → breaker → deadline → the client's call, which classifies → (fallback)
//! ```
//!
//! 1. `credentials`: with whose account the call is made
//! 2. `observe`: how it ended, for metrics and the log
//! 3. `pause`: a credential that was refused is not tried again by everybody
//! 4. `limit`: the caller's turn with everybody who uses the same allowance; learns from what answers say
//! 5. `breaker`: hosts that fail again and again are left alone (`circuit` is its pure part, and that of `pause`)
//! 6. `deadline`: an end to it
//! 7. `fallback`: several such services in order, around all of it
//!
//! 2 to 6 are stages (`stage.rs`), and so each is a [`tower::Layer`]. A client knows none of all this: it implements
//! [`Client`] and is called inside [`Provider::call`], so what there is to know of a provider is in its own file.

mod breaker;
mod call;
mod circuit;
mod circuits;
mod credentials;
mod deadline;
mod fallback;
mod limit;
mod observe;
mod pause;
mod stage;

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use tower::{Service, ServiceBuilder};

use self::{
    breaker::Breaker,
    deadline::Deadline,
    limit::Limit,
    observe::Observe,
    pause::Pause,
    stage::{Around, StageLayer},
};
pub use self::{
    call::{Answer, Call, Caller, Client, Facts, Place, SPAN_TARGET, Target},
    circuit::{Circuit, CircuitPolicy, Health},
    credentials::{Account, Credentials, GlobalCredentials},
    fallback::{Fallback, PASSED_OVER, PassOn, Step},
    limit::{LimitKey, Limits, NoLimits, Turn},
    observe::{CallEvent, CallObserver},
};
use crate::{ProviderError, Receipt};

/// What is around the call itself.
type Guarded = Around<Breaker, Around<Deadline, Perform>>;

/// Every layer below the credentials, shared by all clients of a process. Cheap to clone.
#[derive(Clone)]
pub struct Pipeline {
    layers: Around<Observe, Around<Pause, Around<Limit, Guarded>>>,
    observer: Arc<dyn CallObserver>,
}

impl Pipeline {
    /// With these limits; `observer` hears of every call.
    pub fn new(limits: Arc<dyn Limits>, observer: Arc<dyn CallObserver>, circuits: CircuitPolicy) -> Self {
        let layers = ServiceBuilder::new()
            .layer(StageLayer(Observe { observer: Arc::clone(&observer) }))
            .layer(StageLayer(Pause::new(Arc::clone(&observer))))
            .layer(StageLayer(Limit { limits, observer: Arc::clone(&observer) }))
            .layer(StageLayer(Breaker::new(circuits, Arc::clone(&observer))))
            .layer(StageLayer(Deadline))
            .service(Perform);
        Self { layers, observer }
    }

    /// Who hears of every call; a [`Fallback`] around several pipelines tells the same one.
    pub fn observer(&self) -> Arc<dyn CallObserver> {
        Arc::clone(&self.observer)
    }

    /// Without limits and listeners, for tools and tests.
    pub fn bare() -> Self {
        Self::new(Arc::new(NoLimits), Arc::new(()), CircuitPolicy::default())
    }

    /// Sends a call through the layers.
    pub async fn run(&self, call: Call<'_>) -> Answer {
        // Every layer is always ready: none of them waits inside the process.
        self.layers.clone().call(call).await
    }
}

/// The innermost service: carries out the call.
#[derive(Debug, Clone, Copy)]
struct Perform;

impl<'a> Service<Call<'a>> for Perform {
    type Response = Receipt;
    type Error = ProviderError;
    type Future = BoxFuture<'a, Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProviderError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call<'a>) -> Self::Future {
        call.work
    }
}

/// One service as jobs use it: its credentials and the pipeline around its client.
pub struct Provider<C> {
    credentials: Arc<dyn Credentials<C>>,
    pipeline: Pipeline,
}

impl<C: Client> Provider<C> {
    /// A client that every tenant uses.
    pub fn global(client: C, pipeline: &Pipeline) -> Self {
        Self::new(Arc::new(GlobalCredentials::new(client)), pipeline)
    }

    /// Clients by tenant.
    pub fn new(credentials: Arc<dyn Credentials<C>>, pipeline: &Pipeline) -> Self {
        Self { credentials, pipeline: pipeline.clone() }
    }

    /// The client of this tenant, for what it can say without a call.
    ///
    /// # Errors
    /// `Auth` when the tenant has none, or it cannot be opened.
    pub async fn client(&self, tenant: Option<&str>) -> Result<Arc<C>, ProviderError> {
        Ok(self.credentials.of(tenant).await?.client)
    }

    /// Calls the client for one job: `work` is given the client of the job's tenant.
    ///
    /// # Errors
    /// What the client answers, or that it is not this job's turn ([`ProviderError::standing`]).
    pub async fn call<'a, F, W>(&'a self, caller: Caller<'a>, work: F) -> Answer
    where
        F: FnOnce(Arc<C>) -> W + Send + 'a,
        W: Future<Output = Answer> + Send + 'a,
    {
        let account = self.credentials.of(caller.tenant).await?;
        let facts = Arc::new(facts(&account, caller));
        let work = Box::pin(async move { work(account.client).await });
        self.pipeline.run(Call { facts, work }).await
    }
}

fn facts<C: Client>(account: &Account<C>, caller: Caller<'_>) -> Facts {
    let Target { provider, operation, host, deadline, may_double } = account.client.target();
    let credential = caller.place.map_or(&*account.id, |place| place.name);
    Facts {
        provider,
        operation,
        tenant: caller.tenant.map(Into::into),
        ticket: caller.ticket,
        key: LimitKey {
            provider,
            tenant: account.tenant.as_deref().unwrap_or_default().into(),
            credential: credential.into(),
        },
        host: caller.place.map_or(host, |place| place.host.into()),
        deadline,
        may_double,
    }
}
