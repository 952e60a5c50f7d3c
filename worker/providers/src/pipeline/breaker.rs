//! Fourth layer: leaves a host alone that fails again and again (`circuit.rs`).
//!
//! Nothing is sent while a circuit is open, so nothing is charged to the jobs that wait.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{
    call::{Answer, Facts},
    circuit::{CircuitPolicy, Health},
    circuits::Circuits,
    observe::{CallEvent, CallObserver},
    stage::Stage,
};
use crate::{ErrorClass, ProviderError, Standing, error::UNREAD};

type Hosts = Circuits<(&'static str, Box<str>), ()>;

/// The stage.
#[derive(Clone)]
pub(super) struct Breaker {
    hosts: Arc<Hosts>,
    observer: Arc<dyn CallObserver>,
}

impl Breaker {
    pub(super) fn new(policy: CircuitPolicy, observer: Arc<dyn CallObserver>) -> Self {
        Self { hosts: Arc::new(Circuits::new(policy)), observer }
    }
}

impl Stage for Breaker {
    fn around<'a>(&self, facts: Arc<Facts>, call: BoxFuture<'a, Answer>) -> BoxFuture<'a, Answer> {
        let breaker = self.clone();
        Box::pin(async move {
            breaker.admit(&facts)?;
            let mut report = Report { breaker: &breaker, facts: &facts, health: Health::Unknown };
            let answer = call.await;
            report.health = health(&answer);
            drop(report);
            answer
        })
    }
}

/// Tells the circuit how the call ended, also when it was dropped on the way.
struct Report<'a> {
    breaker: &'a Breaker,
    facts: &'a Facts,
    health: Health,
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        self.breaker.report(self.facts, self.health);
    }
}

impl Breaker {
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

/// What an answer says of its host. Only what an answering host alone can say is proof that it is well: a refusal for good
/// may be our own, made before anything was sent, and a file that our disk does not give breaks a call off on this side.
fn health(answer: &Answer) -> Health {
    let Err(error) = answer else { return Health::Well };
    match error.class {
        _ if error.was_not_sent() || error.code.as_deref() == Some(UNREAD) => Health::Unknown,
        // It answered, and what it said is about somebody else.
        ErrorClass::ServerError if error.standing == Standing::OneRecipient => Health::Well,
        ErrorClass::Auth | ErrorClass::Quota | ErrorClass::RateLimited { .. } => Health::Well,
        ErrorClass::Permanent | ErrorClass::Gone => Health::Unknown,
        ErrorClass::ServerError | ErrorClass::Timeout | ErrorClass::Network | ErrorClass::Ambiguous => {
            Health::Ill
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Receipt;

    #[test]
    fn only_an_answer_is_proof_that_a_host_is_well_and_only_its_own_trouble_that_it_is_ill() {
        let error = |class| ProviderError::new("llm", "complete", class, "Trouble.");
        let failed = || error(ErrorClass::ServerError);
        let limited = ErrorClass::RateLimited { retry_after: None };
        for (error, expected) in [
            (failed(), Health::Ill),
            (error(ErrorClass::Timeout), Health::Ill),
            (error(ErrorClass::Network), Health::Ill),
            (error(ErrorClass::Ambiguous), Health::Ill),
            (failed().with_standing(Standing::Overloaded), Health::Ill),
            (failed().with_standing(Standing::OneRecipient), Health::Well),
            (error(ErrorClass::Auth), Health::Well),
            (error(limited), Health::Well),
            (error(ErrorClass::Permanent), Health::Unknown),
            (failed().with_standing(Standing::NotSent), Health::Unknown),
            (error(limited).with_standing(Standing::Turn), Health::Unknown),
            (ProviderError::unread("llm", "complete", "the disk is gone"), Health::Unknown),
        ] {
            let told = format!("{error:?}");
            assert_eq!(health(&Err(error)), expected, "{told}");
        }
        let receipt = Receipt { provider: "llm", provider_ref: None, detail: None };
        assert_eq!(health(&Ok(receipt)), Health::Well);
    }
}
