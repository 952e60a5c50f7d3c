//! Several ways of sending an e-mail, tried in order (`docs/decisions/0007-email-failover.md`).
//!
//! Each carrier is a client inside its own pipeline: its credentials, limits and circuit are its own. What is passed on
//! to the next one, and what never is, is for [`Fallback`].

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tower::ServiceExt;

use super::message::Email;
use crate::pipeline::{Answer, Caller, Client, Fallback, PassOn, Pipeline, Provider, Step};

/// A client that sends e-mail.
pub trait Mailer: Client {
    /// Sends one message. `now_unix` is in Unix seconds.
    fn carry<'a>(&'a self, email: &'a Email, now_unix: i64) -> BoxFuture<'a, Answer>;
}

/// An e-mail on its way. Cheap to clone: every carrier gets the same one.
#[derive(Debug, Clone)]
pub struct Letter {
    /// The e-mail; its `tenant` is for whom it is sent.
    pub email: Arc<Email>,
    /// Its place in line at every carrier.
    pub ticket: Box<str>,
    /// Unix seconds.
    pub now_unix: i64,
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

    /// Sends one message by the first carrier that takes it. The receipt says which one that was.
    pub async fn send(&self, letter: Letter) -> Answer {
        self.fallback.clone().oneshot(letter).await
    }
}

async fn send<M: Mailer>(provider: Arc<Provider<M>>, letter: Letter) -> Answer {
    let Letter { email, ticket, now_unix } = letter;
    let caller = Caller { tenant: email.tenant.as_deref(), ticket, place: None };
    let email = &email;
    provider.call(caller, |client| async move { client.carry(email, now_unix).await }).await
}
