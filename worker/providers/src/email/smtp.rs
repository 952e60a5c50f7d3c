//! Sends a message over SMTP and keeps connections for the next one.
//!
//! lettre speaks the protocol; its own pool is not used, because it does not tell whether a connection broke before
//! or after the message was handed over, and on that depends whether a repeat may reach people twice. Here every
//! failure knows its `Stage`. A connection that had been waiting and turns out dead before the message was handed
//! over is replaced once, at once; every other failure goes to the caller.
//!
//! Several recipients: those refused for good (5yz) are named in the receipt while the others get the message; a
//! refusal for now (4yz) stops the message before anybody got it, so that the repeat reaches everybody once.

mod classify;
mod connect;
mod gate;
mod inside_tls;
mod line_by_line;
mod patience;
mod transmit;

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use lettre::transport::smtp::commands::Rset;
use secrecy::SecretString;
use serde_json::json;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout, timeout_at},
};
use tracing::debug;

use self::{
    classify::{Failure, MOST_QUOTED_BYTES, classify},
    connect::{Connection, Connector},
    patience::Patience,
    transmit::{Sent, transmit},
};
use super::{
    Mailer, SMTP as PROVIDER,
    message::{Email, Outgoing, Sender, compose},
};
use crate::{
    ErrorClass, ProviderError, Receipt, Standing,
    pipeline::{Answer, Client, Target},
    probe::{Probe, Probed},
    secrets::Secrets,
};

/// How long a connection waits for its next message. Servers close idle ones after 10 s (under load) to 300 s.
const MOST_IDLE: Duration = Duration::from_secs(8);
/// Messages sent over one connection before it is closed; common servers allow 100.
const MOST_MESSAGES: u32 = 90;

/// How long a server may take to answer RSET or QUIT, when the message is done with.
const GOODBYE: Duration = Duration::from_secs(1);

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// Starts in the clear and must switch to TLS before anything is said, usually on port 587. Never falls back.
    StartTls,
    /// TLS from the first byte, usually on port 465.
    Implicit,
    /// No protection. Only for a relay on this machine or a private network.
    None,
}

/// Where and how to send.
#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// Name of the server; its certificate must be for this name.
    pub host: String,
    /// Port of the server.
    pub port: u16,
    /// User name, when the server asks for one. Needs `password`.
    pub username: Option<String>,
    /// Password that goes with `username`.
    pub password: Option<SecretString>,
    /// How the connection is protected.
    pub tls: SmtpTls,
    /// Address that messages come from; its domain also ends the Message-ID.
    pub from_email: String,
    /// Name that messages come from.
    pub from_name: Option<String>,
    /// Most time for one step: connecting, the TLS handshake, each command and its reply. All steps before the message
    /// is handed over take at most three times as long; see [`SmtpMailer::longest`].
    pub timeout: Duration,
    /// Most connections at the same time; further messages wait for one. At least 1.
    pub pool_size: usize,
    /// Certificates (PEM) to trust besides those of the system.
    pub extra_root_ca_pem: Option<Vec<u8>>,
}

/// A client of one SMTP server. Share it behind an `Arc`.
pub struct SmtpMailer {
    connector: Connector,
    sender: Sender,
    /// Taken out of everything that the server says.
    secrets: Secrets,
    slots: Semaphore,
    waiting: Mutex<Vec<Waiting>>,
}

/// A connection between two messages.
struct Waiting {
    connection: Connection,
    since: Instant,
    messages: u32,
}

impl fmt::Debug for SmtpMailer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SmtpMailer").field("server", &self.connector.server()).finish_non_exhaustive()
    }
}

impl SmtpMailer {
    /// Checks the settings; connects to nothing yet. Fails with `Permanent` and the setting to change.
    pub fn new(settings: SmtpSettings) -> Result<Self, ProviderError> {
        let sender = Sender::new(&settings.from_email, settings.from_name.as_deref())?;
        let slots = Semaphore::new(settings.pool_size.clamp(1, Semaphore::MAX_PERMITS));
        let secrets = secrets(&settings);
        let connector = Connector::new(settings)?;
        Ok(Self { connector, sender, secrets, slots, waiting: Mutex::new(Vec::new()) })
    }

    /// The most that sending one message takes when one step takes at most `step`.
    pub fn longest(step: Duration) -> Duration {
        Patience::longest(step) + GOODBYE
    }

    /// Sends one message, dated `now_unix` (Unix seconds).
    ///
    /// The receipt's `provider_ref` is the Message-ID; its detail holds the server's reply and the recipients that
    /// were refused. `Ambiguous` means that the connection was lost after the message had been handed over.
    pub async fn send(&self, email: &Email, now_unix: i64) -> Result<Receipt, ProviderError> {
        let outgoing = compose(email, &self.sender, now_unix)?;
        let patience = self.connector.patience();
        let _slot = self.slot(patience).await?;
        if let Some(waiting) = self.take_waiting() {
            match self.send_over(waiting, &outgoing, patience).await {
                Err(failure) if failure.shows_a_stale_connection() => {
                    debug!(provider = PROVIDER, "A waiting SMTP connection had died; using a new one.");
                }
                result => return self.finish(result, outgoing),
            }
        }
        let connection = self.connector.connect(patience).await.map_err(|failure| self.explain(failure))?;
        let fresh = Waiting { connection, since: Instant::now(), messages: 0 };
        let result = self.send_over(fresh, &outgoing, patience).await;
        self.finish(result, outgoing)
    }

    /// Connects and logs in without sending anything, for a health check.
    pub async fn check(&self) -> Result<(), ProviderError> {
        let patience = self.connector.patience();
        let _slot = self.slot(patience).await?;
        let connection = self.connector.connect(patience).await.map_err(|failure| self.explain(failure))?;
        say_goodbye(connection).await;
        Ok(())
    }

    /// Says goodbye on all waiting connections. Sending afterwards fails with `Network`.
    pub async fn close(&self) {
        self.slots.close();
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        for waiting in waiting {
            say_goodbye(waiting.connection).await;
        }
    }

    async fn slot(&self, patience: Patience) -> Result<SemaphorePermit<'_>, ProviderError> {
        let message = match timeout_at(patience.until(), self.slots.acquire()).await {
            Ok(Ok(slot)) => return Ok(slot),
            Ok(Err(_)) => {
                "The SMTP client has been closed because this process is stopping; another one sends the message."
            }
            Err(_) => {
                "All connections to the mail server stayed busy, so nothing was sent; the job is repeated later."
            }
        };
        // It says nothing of the server, and is no try of the message.
        Err(ProviderError::new(PROVIDER, "send", ErrorClass::Network, message)
            .with_standing(Standing::NotSent))
    }

    async fn send_over(
        &self,
        mut waiting: Waiting,
        outgoing: &Outgoing,
        patience: Patience,
    ) -> Result<Sent, Failure> {
        let result = transmit(&mut waiting.connection, outgoing, self.connector.hello(), patience).await;
        waiting.messages += 1;
        let usable = match &result {
            Ok(_) => true,
            // After a refusal the server still listens, but an unfinished transaction must be cleared.
            Err(failure) if failure.connection_survives() => {
                timeout(GOODBYE, waiting.connection.smtp.command(Rset)).await.is_ok_and(|reset| reset.is_ok())
            }
            Err(_) => false,
        };
        if usable {
            self.put_back(waiting);
        }
        result
    }

    fn finish(&self, result: Result<Sent, Failure>, outgoing: Outgoing) -> Result<Receipt, ProviderError> {
        let sent = result.map_err(|failure| self.explain(failure))?;
        let mut detail = json!({ "reply": self.quote(&sent.reply) });
        if !sent.refused.is_empty() {
            detail["refused"] = sent
                .refused
                .into_iter()
                .map(|(address, reply)| json!({ "address": address, "reply": self.quote(&reply) }))
                .collect();
        }
        Ok(Receipt { provider: PROVIDER, provider_ref: Some(outgoing.message_id), detail: Some(detail) })
    }

    fn explain(&self, failure: Failure) -> ProviderError {
        classify(failure, self.connector.server(), &self.secrets)
    }

    fn quote(&self, reply: &str) -> String {
        self.secrets.quote(reply, MOST_QUOTED_BYTES)
    }

    fn take_waiting(&self) -> Option<Waiting> {
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|waiting| waiting.since.elapsed() < MOST_IDLE);
        all.pop()
    }

    fn put_back(&self, mut waiting: Waiting) {
        if waiting.messages < MOST_MESSAGES
            && !waiting.connection.smtp.has_broken()
            && !self.slots.is_closed()
        {
            waiting.since = Instant::now();
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(waiting);
        }
    }
}

fn secrets(settings: &SmtpSettings) -> Secrets {
    match (&settings.username, &settings.password) {
        (Some(user), Some(password)) => Secrets::of(password).with_login(user, password),
        _ => Secrets::default(),
    }
}

impl Client for SmtpMailer {
    /// Without a deadline: the steps have theirs, and only the step knows whether the message may be out.
    fn target(&self) -> Target {
        let host = self.connector.server().into();
        Target { provider: PROVIDER, operation: "send", host, deadline: None, may_double: true }
    }
}

impl Probe for SmtpMailer {
    fn probe(&self, _: i64) -> BoxFuture<'_, Result<Probed, ProviderError>> {
        Box::pin(async { self.check().await.map(|()| Probed::works("the server lets us in")) })
    }
}

impl Mailer for SmtpMailer {
    fn carry<'a>(&'a self, email: &'a Email, now_unix: i64) -> BoxFuture<'a, Answer> {
        Box::pin(self.send(email, now_unix))
    }
}

/// A server that does not answer the goodbye must not hold up a shutdown.
async fn say_goodbye(mut connection: Connection) {
    let _ = timeout(GOODBYE, connection.smtp.abort()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_that_finds_no_connection_free_is_not_charged_and_says_nothing_of_the_server() {
        let settings = SmtpSettings {
            host: "127.0.0.1".to_owned(),
            port: 1,
            username: None,
            password: None,
            tls: SmtpTls::None,
            from_email: "noreply@example.com".to_owned(),
            from_name: None,
            timeout: Duration::from_millis(10),
            pool_size: 1,
            extra_root_ca_pem: None,
        };
        let mailer = SmtpMailer::new(settings).unwrap();
        let email = Email {
            to: vec!["ada@example.org".to_owned()],
            subject: "Hello".to_owned(),
            text: Some("Hello".to_owned()),
            message_key: "0192".to_owned(),
            ..Email::default()
        };

        let busy = mailer.slots.acquire().await.unwrap();
        let in_vain = mailer.send(&email, 0).await.unwrap_err();
        drop(busy);
        mailer.close().await;
        let closed = mailer.send(&email, 0).await.unwrap_err();

        assert!(in_vain.was_not_sent() && in_vain.message.contains("stayed busy"), "{in_vain}");
        assert!(closed.was_not_sent() && closed.message.contains("is stopping"), "{closed}");
    }
}
