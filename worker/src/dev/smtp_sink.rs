//! A mail server on loopback that keeps what it receives and misbehaves on request.
//!
//! It speaks enough of RFC 5321 (with SIZE, 8BITMIME, PIPELINING, ENHANCEDSTATUSCODES and AUTH) that a real SMTP
//! client cannot tell it from a strict server. Faults are queued and consumed in order: the first one waits for
//! its step to be reached, and only then is the next one looked at.
//!
//! STARTTLS is left out: a loopback conversation has nothing to hide. The protocol is `session.rs`.

use std::{
    collections::VecDeque,
    fmt, io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};

mod auth;
mod content;
mod line;
mod mail;
mod path;
mod session;

pub use mail::Mail;

use super::arrivals::{Arrivals, TooFewArrived};

/// What the server asks of its clients.
#[derive(Debug, Clone)]
pub struct SmtpSinkOptions {
    /// User name and password. With these, AUTH PLAIN and LOGIN are offered and MAIL is refused without them.
    pub credentials: Option<(String, String)>,
    /// The largest message accepted, in bytes; announced as SIZE (RFC 1870).
    pub max_message_bytes: usize,
    /// Most mails that are remembered; the oldest are forgotten first.
    pub most_remembered: usize,
}

impl Default for SmtpSinkOptions {
    /// No authentication, the 10 MiB that mail servers usually accept, and every mail remembered, as tests want it.
    fn default() -> Self {
        Self { credentials: None, max_message_bytes: 10 * 1024 * 1024, most_remembered: usize::MAX }
    }
}

/// Where in the conversation a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpStep {
    /// A connection was accepted.
    Greeting,
    /// EHLO or HELO.
    Hello,
    /// AUTH.
    Auth,
    /// MAIL FROM.
    MailFrom,
    /// RCPT TO.
    RcptTo,
    /// The DATA command.
    Data,
    /// The final dot: the whole message has been received.
    Content,
    /// QUIT.
    Quit,
}

/// What goes wrong at a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmtpFault {
    /// The step is refused with this reply line, such as `450 4.2.1 mailbox busy`. A 421 also ends the connection.
    Reply(String),
    /// No reply ever; the connection stays open until the client gives up.
    Hang,
    /// The connection is reset (RST). At [`SmtpStep::Content`] the message is not kept.
    Reset,
    /// The message is kept and the connection is reset instead of answered: the client cannot know. At other
    /// steps than [`SmtpStep::Content`] the same as [`SmtpFault::Reset`].
    KeepAndReset,
    /// The message is kept and this line is the reply. At other steps than [`SmtpStep::Content`] the same as
    /// [`SmtpFault::Reply`].
    KeepAndReply(String),
    /// The step goes on this much later; a further fault at the same step then happens too.
    Late(Duration),
}

impl SmtpFault {
    /// A refusal with this code and a matching text: 450 and 451 are temporary, 550 and others permanent, 421
    /// ends the connection.
    pub fn reply(code: u16) -> Self {
        let text = match code {
            421 => "4.3.2 service shutting down".to_owned(),
            450 => "4.2.1 mailbox busy".to_owned(),
            550 => "5.1.1 no such user".to_owned(),
            _ => format!("{}.0.0 refused on request", code / 100),
        };
        Self::Reply(format!("{code} {text}"))
    }
}

/// A running mail server. It ends, with every open conversation, when it is dropped.
#[derive(Debug)]
pub struct SmtpSink {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// What all conversations share.
#[derive(Debug)]
struct Shared {
    options: SmtpSinkOptions,
    mails: Arrivals<Mail>,
    observer: Option<Observer>,
    faults: Mutex<VecDeque<(SmtpStep, SmtpFault)>>,
}

/// Hears of every mail before its client is answered.
struct Observer(Box<dyn Fn(&Mail) + Send + Sync>);

impl fmt::Debug for Observer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Observer")
    }
}

impl SmtpSink {
    /// Starts a server that asks for no authentication.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(SmtpSinkOptions::default()).await
    }

    /// Starts a server on a loopback port chosen by the kernel.
    pub async fn start_with(options: SmtpSinkOptions) -> io::Result<Self> {
        Self::start_inner(options, None).await
    }

    /// The same, with somebody who hears of every mail before its client is answered.
    pub async fn start_observed(
        options: SmtpSinkOptions,
        observer: impl Fn(&Mail) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::start_inner(options, Some(Observer(Box::new(observer)))).await
    }

    async fn start_inner(options: SmtpSinkOptions, observer: Option<Observer>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let mails = Arrivals::last_of("mails", options.most_remembered);
        let shared = Arc::new(Shared { options, mails, observer, faults: Mutex::default() });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { port, shared, accepting })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Queues a fault behind those already queued.
    pub fn fault(&self, step: SmtpStep, fault: SmtpFault) {
        self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner).push_back((step, fault));
    }

    /// How many queued faults have not happened yet.
    pub fn faults_left(&self) -> usize {
        self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Forgets the faults that have not happened yet.
    pub fn clear_faults(&self) {
        self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Every mail accepted so far and remembered, oldest first.
    pub fn mails(&self) -> Vec<Mail> {
        self.shared.mails.all()
    }

    /// Those that came after the first `told`, as far as they are remembered, and how many there have been.
    pub fn mails_after(&self, told: usize) -> (Vec<Mail>, usize) {
        self.shared.mails.after(told)
    }

    /// Every mail accepted so far, as soon as there are at least `count`.
    pub async fn wait_for(&self, count: usize, deadline: Duration) -> Result<Vec<Mail>, TooFewArrived> {
        self.shared.mails.wait_for(count, deadline).await
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn keep(&self, mail: Mail) {
        if let Some(Observer(observer)) = &self.observer {
            observer(&mail);
        }
        self.mails.push(mail);
    }

    /// Takes the next fault if it belongs to this step.
    fn take_fault(&self, step: SmtpStep) -> Option<SmtpFault> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.pop_front_if(|(wanted, _)| *wanted == step).map(|(_, fault)| fault)
    }
}

/// The conversations belong to this task, so that aborting it ends them.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut conversations = JoinSet::new();
    loop {
        // A connection that failed before it was accepted is its client's trouble.
        let Ok((stream, _)) = listener.accept().await else { continue };
        conversations.spawn(session::converse(stream, Arc::clone(&shared)));
        while conversations.try_join_next().is_some() {}
    }
}

#[cfg(test)]
mod tests;
