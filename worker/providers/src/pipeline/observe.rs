//! Outermost layer: tells how each call ended, and writes one log line for each that failed.
//!
//! The fields of the line are those of the integration directive: service, operation, error, code, tenant. What was not
//! sent because it was not its turn is ordinary and logged for developers only: a backlog would fill the log.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use tracing::{Instrument, debug, error, warn};

use super::{
    call::{Answer, Facts},
    stage::Stage,
};
use crate::{ErrorClass, ProviderError, Standing};

/// Something that happened to a call.
#[derive(Debug, Clone, Copy)]
pub enum CallEvent<'a> {
    /// It was made and ended; `error` says how, when it failed.
    Ended {
        /// The call.
        facts: &'a Facts,
        /// How long it took, the layers included.
        took: Duration,
        /// How it failed.
        error: Option<&'a ProviderError>,
    },
    /// It was not made: not its turn, or its host is left alone.
    PutOff {
        /// The call.
        facts: &'a Facts,
        /// Why.
        error: &'a ProviderError,
    },
    /// How much of an allowance is used up, 0 to 1.
    LimitUsed {
        /// The call that found out.
        facts: &'a Facts,
        /// The share.
        used: f64,
    },
    /// A credential rests from now on.
    CredentialPaused {
        /// The call that was refused.
        facts: &'a Facts,
    },
    /// A host is left alone from now on.
    CircuitOpened {
        /// The call that was the last straw.
        facts: &'a Facts,
    },
    /// A service failed, and the next one is tried.
    PassedOn {
        /// The service.
        from: &'static str,
        /// The next one.
        to: &'static str,
        /// How it failed.
        error: &'a ProviderError,
    },
}

/// Hears every event. Called between calls: it must not block.
pub trait CallObserver: Send + Sync + 'static {
    /// Something happened.
    fn observe(&self, event: &CallEvent<'_>);
}

/// Hears nothing.
impl CallObserver for () {
    fn observe(&self, _: &CallEvent<'_>) {}
}

/// The stage.
#[derive(Clone)]
pub(super) struct Observe {
    pub(super) observer: Arc<dyn CallObserver>,
}

impl Stage for Observe {
    fn around<'a>(&self, facts: Arc<Facts>, call: BoxFuture<'a, Answer>) -> BoxFuture<'a, Answer> {
        let observer = Arc::clone(&self.observer);
        Box::pin(async move {
            let began = Instant::now();
            let span = facts.span();
            let answer = call.instrument(span.clone()).await;
            if let Err(error) = &answer {
                span.record("error.type", error.class.name()).record("otel.status_code", "ERROR");
            }
            let took = began.elapsed();
            match answer.as_ref().err() {
                Some(error) if error.was_not_sent() => {
                    observer.observe(&CallEvent::PutOff { facts: &facts, error });
                }
                error => observer.observe(&CallEvent::Ended { facts: &facts, took, error }),
            }
            if let Err(error) = &answer {
                log(&facts, error);
            }
            answer
        })
    }
}

fn log(facts: &Facts, failed: &ProviderError) {
    let (service, operation) = (facts.provider, facts.operation);
    let (code, class) = (failed.code.as_deref().unwrap_or_default(), failed.class.name());
    let tenant = facts.tenant.as_deref().unwrap_or_default();
    macro_rules! say {
        ($level:ident) => {
            $level!(service, operation, error = %failed, code, class, tenant, "External service error")
        };
    }
    match failed.class {
        _ if failed.was_not_sent() || failed.standing == Standing::RefusedWithTurn => say!(debug),
        // Nothing works until a person has mended it.
        ErrorClass::Auth | ErrorClass::Quota => say!(error),
        _ => say!(warn),
    }
}
