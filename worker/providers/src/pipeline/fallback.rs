//! Several services for one purpose, tried in order.
//!
//! Which failures go on to the next one is a list of classes. `Ambiguous` is never on it: the first service may have done
//! the work, and the second would do it again. Whom the pipeline leaves alone (a paused credential, an open circuit) is
//! passed over without a call.

use std::{
    collections::VecDeque,
    error::Error,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tower::{Service, ServiceExt};
use tracing::{debug, warn};

use super::{
    call::Answer,
    observe::{CallEvent, CallObserver},
};
use crate::{ErrorClass, ProviderError, Receipt};

/// Member of a receipt's detail: the services that failed before, in order, each with `provider`, `class`, `code` and
/// `message`.
pub const PASSED_OVER: &str = "passed_over";

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
    /// When this service does not take requests of this size or kind.
    pub not_taken_here: bool,
}

impl PassOn {
    /// Everything after which another service may well succeed. A limit passes by itself and is waited for.
    pub const DEFAULT: Self =
        Self { auth: true, quota: true, trouble: true, rate_limited: false, not_taken_here: true };

    /// Whether the next service is tried after this failure.
    pub fn after(self, error: &ProviderError) -> bool {
        match error.class {
            ErrorClass::Auth => self.auth,
            ErrorClass::Quota => self.quota,
            ErrorClass::ServerError | ErrorClass::Timeout | ErrorClass::Network => self.trouble,
            ErrorClass::RateLimited { .. } => self.rate_limited,
            // Otherwise the request is wrong for everybody.
            ErrorClass::Permanent => self.not_taken_here && error.may_work_elsewhere(),
            // The target is gone wherever it is looked for, or the work may have been done.
            ErrorClass::Gone | ErrorClass::Ambiguous => false,
        }
    }
}

/// One service and its name.
#[derive(Debug, Clone)]
pub struct Step<S> {
    /// What it is called in metrics.
    pub name: &'static str,
    /// It, with everything that belongs to it (its pipeline included).
    pub service: S,
}

/// Services in their order.
#[derive(Clone)]
pub struct Fallback<S> {
    steps: Vec<Step<S>>,
    pass_on: PassOn,
    observer: Arc<dyn CallObserver>,
}

/// What the other services said, so that it is not lost when all fail.
#[derive(Debug, thiserror::Error)]
#[error("{when}, {said}")]
struct Besides {
    /// `before that`, or `after that`.
    when: &'static str,
    said: String,
    #[source]
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl<S: Clone> Fallback<S> {
    /// Tries `steps` in this order. At least one is needed for anything to be done.
    pub fn new(steps: Vec<Step<S>>, pass_on: PassOn, observer: Arc<dyn CallObserver>) -> Self {
        Self { steps, pass_on, observer }
    }

    fn tell(&self, from: &'static str, to: &'static str, error: &ProviderError) {
        let class = error.class.name();
        // Of what was left alone without a call everything has been said already, and a backlog would fill the log.
        if error.was_not_sent() {
            debug!(service = from, class, next = to, "{from} is left alone ({class}); {to} is tried");
        } else {
            warn!(service = from, class, next = to, error = %error, "{from} failed ({class}); {to} is tried");
        }
        self.observer.observe(&CallEvent::PassedOn { from, to, error });
    }
}

impl<S, R> Service<R> for Fallback<S>
where
    S: Service<R, Response = Receipt, Error = ProviderError> + Clone + Send + Sync + 'static,
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
        let fallback = self.clone();
        Box::pin(async move {
            let mut steps = VecDeque::from(fallback.steps.clone());
            let mut failed: Option<ProviderError> = None;
            let mut passed_over = Vec::new();
            while let Some(Step { name, service }) = steps.pop_front() {
                let error = match service.oneshot(request.clone()).await {
                    Ok(receipt) => return Ok(with_passed_over(receipt, passed_over)),
                    Err(error) => error,
                };
                let next = steps.front().filter(|_| fallback.pass_on.after(&error));
                if let Some(next) = next {
                    fallback.tell(name, next.name, &error);
                    passed_over.push(in_short(&error));
                }
                let ends = next.is_none();
                failed = Some(after(failed, error));
                if ends {
                    break;
                }
            }
            Err(failed.unwrap_or_else(nobody))
        })
    }
}

/// A success tells of those that should have done it, or nobody would look after them.
fn with_passed_over(mut receipt: Receipt, passed_over: Vec<Value>) -> Receipt {
    if passed_over.is_empty() {
        return receipt;
    }
    if let Value::Object(detail) = receipt.detail.get_or_insert_with(|| json!({})) {
        detail.insert(PASSED_OVER.to_owned(), passed_over.into());
    }
    receipt
}

fn in_short(error: &ProviderError) -> Value {
    let ProviderError { provider, class, code, message, .. } = error;
    json!({ "provider": provider, "class": class.name(), "code": code, "message": message })
}

/// What becomes of the job follows from the last failure, the most that could be done; the others lie underneath.
///
/// One exception: the last service does not take requests of this size or kind, and an earlier one, which might, can be
/// mended or recovers. Then the job waits for the earlier one.
fn after(first: Option<ProviderError>, last: ProviderError) -> ProviderError {
    match first {
        None => last,
        Some(first) if is_not_taken_there(&last) && !is_not_taken_there(&first) => {
            with_underneath(first, "after that", &last)
        }
        Some(first) => with_underneath(last, "before that", &first),
    }
}

fn is_not_taken_there(error: &ProviderError) -> bool {
    error.class == ErrorClass::Permanent && error.may_work_elsewhere()
}

fn with_underneath(mut error: ProviderError, when: &'static str, other: &ProviderError) -> ProviderError {
    let cause = error.source.take();
    error.source = Some(Box::new(Besides { when, said: in_full(other), cause }));
    error
}

/// An error and its causes.
fn in_full(error: &ProviderError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(" ({error})"));
        cause = error.source();
    }
    text
}

fn nobody() -> ProviderError {
    let message = "No service is configured for this; configure one.";
    ProviderError::new("fallback", "call", ErrorClass::Auth, message).with_code("no_service")
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        time::Duration,
    };

    use tower::service_fn;

    use super::*;
    use crate::Standing;

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
        let steps = services.map(|service| Step { name: "any", service }).collect();
        let answer = Fallback::new(steps, PassOn::DEFAULT, Arc::new(())).oneshot(()).await;
        let asked = *count.lock().unwrap();
        (asked, answer)
    }

    #[tokio::test]
    async fn what_another_service_can_mend_goes_on_in_order() {
        let (count, answer) = asked(&[ErrorClass::Quota, ErrorClass::Auth, ErrorClass::ServerError]).await;

        assert_eq!((count, answer.unwrap().provider), (4, "other"));
    }

    #[tokio::test]
    async fn a_success_tells_who_was_passed_over_and_why() {
        let (_, answer) = asked(&[ErrorClass::Quota, ErrorClass::Auth]).await;
        let (_, undisturbed) = asked(&[]).await;

        let detail = answer.unwrap().detail.unwrap();
        let told = |at: usize, name: &str| detail[PASSED_OVER][at][name].as_str().map(str::to_owned);
        assert_eq!([told(0, "class"), told(1, "class")], [Some("quota".into()), Some("auth".into())]);
        assert_eq!(
            [told(0, "provider"), told(0, "message")],
            [Some("one".into()), Some("told to fail".into())]
        );
        assert_eq!(undisturbed.unwrap().detail, None);
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

    /// A service that answers with what is first in its list.
    fn scripted(
        name: &'static str,
        answers: Vec<Answer>,
        asked: &Arc<Mutex<Vec<&'static str>>>,
    ) -> Step<Scripted> {
        let (answers, asked) = (Arc::new(Mutex::new(VecDeque::from(answers))), Arc::clone(asked));
        let service = service_fn(move |()| {
            asked.lock().unwrap().push(name);
            std::future::ready(answers.lock().unwrap().pop_front().unwrap())
        });
        Step { name, service: Scripted::new(service) }
    }

    type Scripted = tower::util::BoxCloneSyncService<(), Receipt, ProviderError>;

    fn taken() -> Receipt {
        Receipt { provider: "second", provider_ref: None, detail: None }
    }

    fn failed(provider: &'static str, class: ErrorClass) -> ProviderError {
        ProviderError::new(provider, "send", class, format!("The {provider} sentence."))
    }

    #[tokio::test]
    async fn when_all_fail_nothing_that_was_said_is_lost() {
        let asked = Arc::default();
        let steps = vec![
            scripted("first", vec![Err(failed("first", ErrorClass::Auth))], &asked),
            scripted("second", vec![Err(failed("second", ErrorClass::ServerError))], &asked),
            scripted("third", vec![Err(failed("third", ErrorClass::Network))], &asked),
        ];

        let error = Fallback::new(steps, PassOn::DEFAULT, Arc::new(())).oneshot(()).await.unwrap_err();

        let mut said = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            said.push_str(&error.to_string());
            cause = error.source();
        }
        assert_eq!((error.class, error.provider), (ErrorClass::Network, "third"));
        for name in ["first", "second", "third"] {
            assert!(said.contains(&format!("The {name} sentence.")), "{said}");
        }
    }

    #[tokio::test]
    async fn what_only_one_service_does_not_take_is_worth_another_try() {
        let asked = Arc::default();
        let large = failed("first", ErrorClass::Permanent).with_code(crate::error::TOO_LARGE);
        let steps =
            vec![scripted("first", vec![Err(large)], &asked), scripted("second", vec![Ok(taken())], &asked)];

        let answer = Fallback::new(steps, PassOn::DEFAULT, Arc::new(())).oneshot(()).await;

        assert_eq!(answer.unwrap().provider, "second");
    }

    #[tokio::test]
    async fn a_job_waits_for_a_service_that_may_take_it_where_the_last_one_never_will() {
        let rests = |class| {
            failed("first", class)
                .with_server_wait(Some(Duration::from_mins(1)))
                .with_standing(Standing::NotSent)
        };
        let blocked =
            |name| failed(name, ErrorClass::Permanent).with_code(crate::error::BLOCKED_FILE.to_owned());
        for class in [ErrorClass::Auth, ErrorClass::Quota, ErrorClass::ServerError, ErrorClass::Network] {
            let asked = Arc::default();
            let steps = vec![
                scripted("first", vec![Err(rests(class))], &asked),
                scripted("second", vec![Err(blocked("second"))], &asked),
                scripted("third", vec![Err(blocked("third"))], &asked),
            ];

            let error = Fallback::new(steps, PassOn::DEFAULT, Arc::new(())).oneshot(()).await.unwrap_err();

            assert_eq!((error.class, error.provider, error.standing), (class, "first", Standing::NotSent));
            assert_eq!(error.retry_after(), Some(Duration::from_mins(1)));
            let said = in_full(&error);
            for name in ["first", "second", "third"] {
                assert!(said.contains(&format!("The {name} sentence.")), "{said}");
            }
        }
    }

    #[tokio::test]
    async fn what_no_service_takes_is_refused_for_good() {
        let asked = Arc::default();
        let large = |name| failed(name, ErrorClass::Permanent).with_code(crate::error::TOO_LARGE);
        let steps = vec![
            scripted("first", vec![Err(large("first"))], &asked),
            scripted("second", vec![Err(large("second"))], &asked),
        ];

        let error = Fallback::new(steps, PassOn::DEFAULT, Arc::new(())).oneshot(()).await.unwrap_err();

        assert_eq!((error.class, error.provider), (ErrorClass::Permanent, "second"));
    }

    #[tokio::test]
    async fn without_any_service_the_job_waits_for_a_person() {
        let services: Vec<Step<tower::util::BoxCloneSyncService<(), Receipt, ProviderError>>> = Vec::new();

        let error = Fallback::new(services, PassOn::DEFAULT, Arc::new(())).oneshot(()).await.unwrap_err();

        assert_eq!(error.class, ErrorClass::Auth);
    }
}
