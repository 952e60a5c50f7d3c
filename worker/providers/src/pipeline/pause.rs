//! Second layer: a credential or account that was refused is not tried again by every job that waits.
//!
//! `Auth` and `Quota` say that each job of that credential will fail alike until a person has mended it. One refused call
//! pauses the credential; after a while a single call asks again (`circuit.rs`). What is put off keeps the class of the
//! refusal, so that a fallback is taken without a call, and is charged to nobody.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

use super::{
    call::{Answer, Facts},
    circuit::{CircuitPolicy, Health},
    circuits::Circuits,
    limit::LimitKey,
    observe::{CallEvent, CallObserver},
    stage::Stage,
};
use crate::{ErrorClass, ProviderError, Standing};

/// A refusal is no accident, so one is enough. Whoever mends a credential waits a minute, at most five.
const POLICY: CircuitPolicy =
    CircuitPolicy { failures: 1, pause: Duration::from_mins(1), longest: Duration::from_mins(5) };

/// What was wrong with the credential, and what was said of it.
type Refusal = Option<(ErrorClass, Box<str>)>;

/// The stage.
#[derive(Clone)]
pub(super) struct Pause {
    credentials: Arc<Circuits<LimitKey, Refusal>>,
    observer: Arc<dyn CallObserver>,
}

impl Pause {
    pub(super) fn new(observer: Arc<dyn CallObserver>) -> Self {
        Self { credentials: Arc::new(Circuits::new(POLICY)), observer }
    }
}

impl Stage for Pause {
    fn around<'a>(&self, facts: Arc<Facts>, call: BoxFuture<'a, Answer>) -> BoxFuture<'a, Answer> {
        let pause = self.clone();
        Box::pin(async move {
            let admitted = pause.credentials.admit(&facts.key, &facts.ticket);
            admitted.map_err(|(after, why)| put_off(&facts, after, why))?;
            let mut report = Report { pause: &pause, facts: &facts, health: Health::Unknown, refusal: None };
            let answer = call.await;
            report.health = health(&answer);
            report.refusal = answer.as_ref().err().map(|error| (error.class, error.message.clone()));
            drop(report);
            answer
        })
    }
}

/// Tells the circuit how the call ended, also when it was dropped on the way: the one call that asks whether a credential is
/// mended would keep all others waiting.
struct Report<'a> {
    pause: &'a Pause,
    facts: &'a Facts,
    health: Health,
    refusal: Refusal,
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        let Self { pause, facts, health, refusal } = self;
        if pause.credentials.report(&facts.key, *health, refusal.take()) {
            pause.observer.observe(&CallEvent::CredentialPaused { facts });
        }
    }
}

fn put_off(facts: &Facts, after: Duration, why: Refusal) -> ProviderError {
    // Only a refusal opens a circuit, so there is one.
    let (class, why) = why.unwrap_or((ErrorClass::Auth, Box::default()));
    let message = format!(
        "The credential was refused, so it rests and nothing was sent; it is tried again in {} s. The refusal: {why}",
        after.as_secs(),
    );
    ProviderError::new(facts.provider, facts.operation, class, message)
        .with_code("credential_paused")
        .with_server_wait(Some(after))
        .with_standing(Standing::NotSent)
}

/// What an answer says of the credential. A refusal for good says nothing: it may be our own, made before anything was
/// sent.
fn health(answer: &Answer) -> Health {
    let Err(error) = answer else { return Health::Well };
    match (error.class, error.standing) {
        (ErrorClass::Auth | ErrorClass::Quota, Standing::Answered) => Health::Ill,
        _ => Health::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Receipt;

    fn facts() -> Arc<Facts> {
        let key = LimitKey { provider: "twilio", tenant: Box::default(), credential: "global".into() };
        Arc::new(Facts {
            provider: "twilio",
            operation: "send",
            tenant: None,
            ticket: "job-1".into(),
            key,
            host: Box::default(),
            deadline: None,
            may_double: true,
        })
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_while_it_asks_for_a_mended_credential_lets_the_next_one_ask() {
        let policy = CircuitPolicy { pause: Duration::ZERO, longest: Duration::from_hours(1), ..POLICY };
        let pause = Pause { credentials: Arc::new(Circuits::new(policy)), observer: Arc::new(()) };
        let refused = async { Err(ProviderError::new("twilio", "send", ErrorClass::Auth, "revoked")) };
        pause.around(facts(), Box::pin(refused)).await.unwrap_err();

        let mut asking = pause.around(facts(), Box::pin(std::future::pending()));
        tokio::select! {
            biased;
            answer = &mut asking => panic!("{answer:?}"),
            () = std::future::ready(()) => {}
        }
        drop(asking);
        let taken = async { Ok(Receipt { provider: "twilio", provider_ref: None, detail: None }) };

        assert!(pause.around(facts(), Box::pin(taken)).await.is_ok());
    }
}
