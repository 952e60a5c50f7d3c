//! Third layer: leaves a host alone that fails again and again (`circuit.rs`).
//!
//! In this process only: each notices an outage by itself after a few calls, and nothing has to be agreed on. Nothing is
//! sent while a circuit is open, so nothing is charged to the jobs that wait.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Instant,
};

use futures_util::future::BoxFuture;
use tower::{Layer, Service};

use super::{
    call::{Answer, Call, Facts},
    circuit::{Circuit, CircuitPolicy, Health},
    observe::{CallEvent, CallObserver},
};
use crate::{ErrorClass, ProviderError, Receipt, Standing};

type Hosts = Mutex<HashMap<(&'static str, Box<str>), Circuit>>;

/// The layer.
#[derive(Clone)]
pub(super) struct BreakerLayer {
    policy: CircuitPolicy,
    hosts: Arc<Hosts>,
    observer: Arc<dyn CallObserver>,
}

impl BreakerLayer {
    pub(super) fn new(policy: CircuitPolicy, observer: Arc<dyn CallObserver>) -> Self {
        Self { policy, hosts: Arc::default(), observer }
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
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(circuit) = hosts.get_mut(&(facts.provider, facts.host.clone())) else { return Ok(()) };
        circuit.admit(Instant::now(), &self.policy).map_err(|after| {
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
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (facts.provider, facts.host.clone());
        let opened = match (hosts.get_mut(&key), health) {
            (None, Health::Well | Health::Unknown) => false,
            (None, Health::Ill) => hosts.entry(key).or_default().report(health, Instant::now(), &self.policy),
            (Some(circuit), health) => {
                let opened = circuit.report(health, Instant::now(), &self.policy);
                // Customers' endpoints come and go: only those in trouble are remembered.
                if circuit.is_blank() {
                    hosts.remove(&key);
                }
                opened
            }
        };
        drop(hosts);
        if opened {
            self.observer.observe(&CallEvent::CircuitOpened { facts });
        }
    }
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
