//! Several ways of sending an e-mail, tried in order (`docs/decisions/0007-email-failover.md`).
//!
//! Each carrier is a client inside its own pipeline: its credentials, limits and circuit are its own. What is passed on
//! to the next one, and what never is, is for [`Fallback`].

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::SetOnce;
use tower::ServiceExt;

use super::{attachment::Attachment, message::Email};
use crate::pipeline::{Answer, Caller, Client, Fallback, PassOn, Pipeline, Provider, Step};

/// A client that sends e-mail.
pub trait Mailer: Client {
    /// Sends one message. `now_unix` is in Unix seconds.
    fn carry<'a>(&'a self, email: &'a Email, now_unix: i64) -> BoxFuture<'a, Answer>;
}

/// An e-mail on its way. Cheap to clone: every carrier gets the same one.
///
/// Its files are waited for when a carrier is about to send and not before: a job that has to wait its turn would
/// fetch them again each time. Whoever sends the letter hands them in ([`Self::enclose`]) when they are wanted.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Its place in line at every carrier.
    ticket: Box<str>,
    now_unix: i64,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    without_files: Email,
    wanted: SetOnce<()>,
    whole: SetOnce<Email>,
}

impl Letter {
    /// The letter of an e-mail whose files are to come; those that it has already are kept. `ticket` is its place in line
    /// at every carrier, `now_unix` is in Unix seconds.
    pub fn new(email: Email, ticket: &str, now_unix: i64) -> Self {
        let state = State { without_files: email, wanted: SetOnce::new(), whole: SetOnce::new() };
        Self { ticket: ticket.into(), now_unix, state: Arc::new(state) }
    }

    /// Ends when a carrier has the turn to send it and waits for its files.
    pub async fn files_are_wanted(&self) {
        self.state.wanted.wait().await;
    }

    /// Hands in the files. What is handed in later changes nothing.
    pub fn enclose(&self, files: Vec<Attachment>) {
        let mut email = self.state.without_files.clone();
        email.attachments.extend(files);
        let _ = self.state.whole.set(email);
    }

    async fn whole(&self) -> &Email {
        let _ = self.state.wanted.set(());
        self.state.whole.wait().await
    }
}

/// Every configured way of sending, in order. At least one.
#[derive(Clone)]
pub struct Carriers {
    names: Vec<&'static str>,
    message_domain: Option<String>,
    fallback: Fallback<Carrier>,
}

/// Gathers carriers in their order.
pub struct CarriersBuilder<'a> {
    pipeline: &'a Pipeline,
    message_domain: Option<String>,
    carriers: Vec<Step<Carrier>>,
}

/// One of them.
type Carrier = tower::util::BoxCloneSyncService<Letter, crate::Receipt, crate::ProviderError>;

impl<'a> CarriersBuilder<'a> {
    /// None yet; calls go through this pipeline.
    pub fn new(pipeline: &'a Pipeline) -> Self {
        Self { pipeline, message_domain: None, carriers: Vec::new() }
    }

    /// Adds the next one.
    #[must_use]
    pub fn then<M: Mailer>(mut self, provider: Provider<M>, name: &'static str) -> Self {
        let provider = Arc::new(provider);
        let service = tower::service_fn(move |letter| send(Arc::clone(&provider), letter));
        self.carriers.push(Step { name, service: Carrier::new(service) });
        self
    }

    /// Ends the Message-ID of every carrier with this domain.
    #[must_use]
    pub fn message_domain(mut self, domain: Option<&str>) -> Self {
        self.message_domain = domain.map(str::to_owned);
        self
    }

    /// All of them; `None` when there is none.
    pub fn build(self) -> Option<Carriers> {
        let names: Vec<_> = self.carriers.iter().map(|carrier| carrier.name).collect();
        let fallback = Fallback::new(self.carriers, PassOn::DEFAULT, self.pipeline.observer());
        let message_domain = self.message_domain;
        (!names.is_empty()).then_some(Carriers { names, message_domain, fallback })
    }
}

impl Carriers {
    /// Their names, in order.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// What ends every Message-ID.
    pub fn message_domain(&self) -> Option<&str> {
        self.message_domain.as_deref()
    }

    /// Sends one message by the first carrier that takes it. The receipt says which one that was. Waits for the files of
    /// the letter once a carrier wants them.
    pub async fn send(&self, letter: Letter) -> Answer {
        self.fallback.clone().oneshot(letter).await
    }
}

async fn send<M: Mailer>(provider: Arc<Provider<M>>, letter: Letter) -> Answer {
    let letter = &letter;
    let tenant = letter.state.without_files.tenant.as_deref();
    let caller = Caller { tenant, ticket: letter.ticket.clone(), place: None };
    let sending = |client: Arc<M>| async move { client.carry(letter.whole().await, letter.now_unix).await };
    provider.call(caller, sending).await
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, time::Duration};

    use futures_util::FutureExt;

    use super::*;
    use crate::{
        ErrorClass, ProviderError, Receipt,
        pipeline::{LimitKey, Limits, Target, Turn},
        usage::Usage,
    };

    /// Remembers how many files came, and does not take the mail.
    struct Full(Arc<Mutex<Vec<usize>>>);

    impl Client for Full {
        fn target(&self) -> Target {
            let host = "mail.test:443".into();
            Target { provider: "full", operation: "send", host, deadline: None, may_double: true }
        }
    }

    impl Mailer for Full {
        fn carry<'a>(&'a self, email: &'a Email, _: i64) -> BoxFuture<'a, Answer> {
            self.0.lock().unwrap().push(email.attachments.len());
            let error = ProviderError::new("full", "send", ErrorClass::ServerError, "Trouble.");
            Box::pin(std::future::ready(Err::<Receipt, _>(error)))
        }
    }

    /// Nobody's turn.
    struct Later;

    impl Limits for Later {
        fn take<'a>(&'a self, _: &'a LimitKey, _: &'a str) -> BoxFuture<'a, Turn> {
            Box::pin(async { Turn::Later { after: Duration::from_secs(1) } })
        }

        fn refused<'a>(&'a self, _: &'a LimitKey, _: &'a str, _: Option<Duration>) -> BoxFuture<'a, Turn> {
            Box::pin(async { Turn::Now { used: None } })
        }

        fn overloaded<'a>(&'a self, _: &'a LimitKey, _: Option<Duration>) -> BoxFuture<'a, ()> {
            Box::pin(async {})
        }

        fn heard<'a>(&'a self, _: &'a LimitKey, _: Usage) -> BoxFuture<'a, Option<f64>> {
            Box::pin(async { None })
        }
    }

    fn two(pipeline: &Pipeline) -> (Carriers, Arc<Mutex<Vec<usize>>>) {
        let came = Arc::default();
        let client = || Provider::global(Full(Arc::clone(&came)), pipeline);
        let builder = CarriersBuilder::new(pipeline).then(client(), "first").then(client(), "second");
        (builder.build().unwrap(), came)
    }

    #[tokio::test]
    async fn files_are_wanted_once_for_all_carriers() {
        let (carriers, came) = two(&Pipeline::bare());
        let letter = Letter::new(Email::default(), "job-1", 0);
        let fetching = async {
            letter.files_are_wanted().await;
            letter.enclose(vec![Attachment::default()]);
        };

        let (answer, ()) = tokio::join!(carriers.send(letter.clone()), fetching);

        assert_eq!(answer.unwrap_err().class, ErrorClass::ServerError);
        assert_eq!(*came.lock().unwrap(), [1, 1]);
    }

    #[tokio::test]
    async fn files_are_not_wanted_before_it_is_the_turn_of_the_job() {
        let pipeline =
            Pipeline::new(Arc::new(Later), Arc::new(()), crate::pipeline::CircuitPolicy::default());
        let (carriers, came) = two(&pipeline);
        let letter = Letter::new(Email::default(), "job-1", 0);

        let error = carriers.send(letter.clone()).await.unwrap_err();

        assert!(error.was_not_sent() && came.lock().unwrap().is_empty());
        assert!(letter.files_are_wanted().now_or_never().is_none());
    }
}
