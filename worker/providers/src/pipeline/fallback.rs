//! Several services for one purpose, tried in order.
//!
//! Which failures go on to the next one is a list of classes. `Ambiguous` is never on it: the first service may have done
//! the work, and the second would do it again.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use tower::{Service, ServiceExt};
use tracing::warn;

use super::call::Answer;
use crate::{ErrorClass, ProviderError, Receipt};

/// After which failures the next service is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassOn {
    /// After a refused credential.
    pub auth: bool,
    /// After a used-up allowance.
    pub quota: bool,
    /// When the service is in trouble or cannot be reached, and certainly did nothing.
    pub trouble: bool,
    /// When it is too much for the service right now.
    pub rate_limited: bool,
}

impl PassOn {
    /// Everything after which another service may well succeed. A limit passes by itself and is waited for.
    pub const DEFAULT: Self = Self { auth: true, quota: true, trouble: true, rate_limited: false };

    /// Whether the next service is tried after this class of failure.
    pub fn after(self, class: ErrorClass) -> bool {
        match class {
            ErrorClass::Auth => self.auth,
            ErrorClass::Quota => self.quota,
            ErrorClass::ServerError | ErrorClass::Timeout | ErrorClass::Network => self.trouble,
            ErrorClass::RateLimited { .. } => self.rate_limited,
            // The request is wrong for everybody, or may have been carried out.
            ErrorClass::Permanent | ErrorClass::Gone | ErrorClass::Ambiguous => false,
        }
    }
}

/// Services in their order, each with everything that belongs to it (its pipeline included).
#[derive(Debug, Clone)]
pub struct Fallback<S> {
    services: Vec<S>,
    pass_on: PassOn,
}

impl<S> Fallback<S> {
    /// Tries `services` in this order. At least one is needed for anything to be done.
    pub fn new(services: Vec<S>, pass_on: PassOn) -> Self {
        Self { services, pass_on }
    }
}

impl<S, R> Service<R> for Fallback<S>
where
    S: Service<R, Response = Receipt, Error = ProviderError> + Clone + Send + 'static,
    S::Future: Send,
    R: Clone + Send + 'static,
{
    type Response = Receipt;
    type Error = ProviderError;
    type Future = BoxFuture<'static, Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProviderError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let mut services = VecDeque::from(self.services.clone());
        let pass_on = self.pass_on;
        Box::pin(async move {
            let mut answer = Err(nobody());
            while let Some(service) = services.pop_front() {
                answer = service.oneshot(request.clone()).await;
                match &answer {
                    Err(error) if pass_on.after(error.class) && !services.is_empty() => {
                        let (service, class) = (error.provider, error.class.name());
                        warn!(service, class, "{service} failed ({class}); the next service is tried");
                    }
                    _ => break,
                }
            }
            answer
        })
    }
}

fn nobody() -> ProviderError {
    let message = "No service is configured for this; configure one.";
    ProviderError::new("fallback", "call", ErrorClass::Auth, message).with_code("no_service")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tower::service_fn;

    use super::*;

    /// Calls services that fail with these classes, in order, and one that succeeds; answers who was asked.
    async fn asked(classes: &[ErrorClass]) -> (usize, Answer) {
        let count = Arc::new(Mutex::new(0));
        let services = classes.iter().map(|class| Some(*class)).chain([None]).map(|class| {
            let count = Arc::clone(&count);
            service_fn(move |()| {
                *count.lock().unwrap() += 1;
                let answer = match class {
                    Some(class) => Err(ProviderError::new("one", "send", class, "told to fail")),
                    None => Ok(Receipt { provider: "other", provider_ref: None, detail: None }),
                };
                std::future::ready(answer)
            })
        });
        let answer = Fallback::new(services.collect(), PassOn::DEFAULT).oneshot(()).await;
        let asked = *count.lock().unwrap();
        (asked, answer)
    }

    #[tokio::test]
    async fn what_another_service_can_mend_goes_on_in_order() {
        let (count, answer) = asked(&[ErrorClass::Quota, ErrorClass::Auth, ErrorClass::ServerError]).await;

        assert_eq!((count, answer.unwrap().provider), (4, "other"));
    }

    #[tokio::test]
    async fn what_may_have_been_done_is_never_done_elsewhere() {
        for class in [
            ErrorClass::Ambiguous,
            ErrorClass::Permanent,
            ErrorClass::Gone,
            ErrorClass::RateLimited { retry_after: None },
        ] {
            let (count, answer) = asked(&[class]).await;

            assert_eq!((count, answer.unwrap_err().class), (1, class));
        }
    }

    #[tokio::test]
    async fn without_any_service_the_job_waits_for_a_person() {
        let services: Vec<tower::util::BoxCloneService<(), Receipt, ProviderError>> = Vec::new();

        let error = Fallback::new(services, PassOn::DEFAULT).oneshot(()).await.unwrap_err();

        assert_eq!(error.class, ErrorClass::Auth);
    }
}
