//! Fourth layer: leaves a host alone that fails again and again (`circuit.rs`).
//!
//! Nothing is sent while a circuit is open, so nothing is charged to the jobs that wait.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use tower::{Layer, Service};

use super::{
    call::{Answer, Call, Facts},
    circuit::{CircuitPolicy, Health},
    circuits::Circuits,
    observe::{CallEvent, CallObserver},
};
use crate::{ErrorClass, ProviderError, Receipt, Standing};

type Hosts = Circuits<(&'static str, Box<str>), ()>;

/// The layer.
#[derive(Clone)]
pub(super) struct BreakerLayer {
    hosts: Arc<Hosts>,
    observer: Arc<dyn CallObserver>,
}

impl BreakerLayer {
    pub(super) fn new(policy: CircuitPolicy, observer: Arc<dyn CallObserver>) -> Self {
        Self { hosts: Arc::new(Circuits::new(policy)), observer }
    }
}

impl<S> Layer<S> for BreakerLayer {
    type Service = Breaker<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Breaker { inner, layer: self.clone() }
    }
}

/// Calls the inner service while the host's circuit lets it.
#[derive(Clone)]
pub(super) struct Breaker<S> {
    inner: S,
    layer: BreakerLayer,
}

impl<'a, S> Service<Call<'a>> for Breaker<S>
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
        let (facts, layer) = (Arc::clone(&call.facts), self.layer.clone());
        let inner = self.inner.call(call);
        Box::pin(async move {
            layer.admit(&facts)?;
            let mut report = Report { layer: &layer, facts: &facts, health: Health::Unknown };
            let answer = inner.await;
            report.health = health(&answer);
            drop(report);
            answer
        })
    }
}

/// Tells the circuit how the call ended, also when it was dropped on the way.
struct Report<'a> {
    layer: &'a BreakerLayer,
    facts: &'a Facts,
    health: Health,
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        self.layer.report(self.facts, self.health);
    }
}

impl BreakerLayer {
    fn admit(&self, facts: &Facts) -> Result<(), ProviderError> {
        self.hosts.admit(&host(facts), &facts.ticket).map_err(|(after, ())| {
            let message = format!(
                "The host has failed again and again, so nothing was sent; it is asked again in {} ms.",
                after.as_millis()
            );
            ProviderError::new(facts.provider, facts.operation, ErrorClass::ServerError, message)
                .with_code("circuit_open")
                .with_server_wait(Some(after))
                .with_standing(Standing::NotSent)
        })
    }

    fn report(&self, facts: &Facts, health: Health) {
        if self.hosts.report(&host(facts), health, ()) {
            self.observer.observe(&CallEvent::CircuitOpened { facts });
        }
    }
}

fn host(facts: &Facts) -> (&'static str, Box<str>) {
    (facts.provider, facts.host.clone())
}

/// What an answer says of its host. Refusals of any kind are answers too.
fn health(answer: &Answer) -> Health {
    match answer.as_ref().map_err(|error| error.class) {
        Ok(_)
        | Err(
            ErrorClass::Permanent
            | ErrorClass::Gone
            | ErrorClass::Auth
            | ErrorClass::Quota
            | ErrorClass::RateLimited { .. },
        ) => Health::Well,
        Err(ErrorClass::ServerError | ErrorClass::Timeout | ErrorClass::Network | ErrorClass::Ambiguous) => {
            Health::Ill
        }
    }
}
