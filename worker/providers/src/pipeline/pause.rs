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
            let answer = call.await;
            pause.report(&facts, &answer);
            answer
        })
    }
}

impl Pause {
    fn report(&self, facts: &Facts, answer: &Answer) {
        let refusal = answer.as_ref().err().map(|error| (error.class, error.message.clone()));
        if self.credentials.report(&facts.key, health(answer), refusal) {
            self.observer.observe(&CallEvent::CredentialPaused { facts });
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
