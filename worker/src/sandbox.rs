//! Every provider's API on loopback, so that nobody needs an account to try the fleet or to test against it.
//!
//! A request is held to the vendor's own specification and documented rules, and refused as the vendor would refuse it,
//! with its status and body. The journal says what came; faults are ordered and then happen. `routes.rs` is the table of
//! what is served, each provider has one file, `specs/` has the specifications with their licences.
//!
//! Credentials for it carry a mark (`credential.rs`); settings that would mix them with live ones are refused before
//! anything is sent.

mod call;
mod chat;
mod control;
pub mod credential;
mod fault;
mod form;
mod google_token;
mod house;
mod journal;
mod push;
mod routes;
mod schema;
mod sendgrid;
mod serve;
mod ses;
mod sigv4;
mod smtp;
mod storage;
mod transcription;
mod twilio;
mod vision;
mod webhook;
mod whatsapp;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use flota_providers::push::browser::Unopened;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::dev::{ReceivedRequest, SmtpSink, SmtpSinkOptions, TooFewArrived};

use self::{
    fault::Faults,
    house::{House, lock},
    journal::Journal,
    serve::Shared,
    storage::Storage,
};
pub use self::{
    fault::{BadFault, Fault, Reset},
    journal::{Entry, Verdict},
    push::{BrowserKeys, BrowserSubscription},
};

/// Mails that the mail server remembers: it may run for days beside a worker under load.
const MOST_MAILS: usize = 500;

/// How a sandbox is started.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// Where HTTP is served; a loopback address. Port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// A file that gets every entry of the journal as a line, also when this process is killed.
    pub ledger: Option<PathBuf>,
    /// Whether whole requests are kept for [`Sandbox::received`]. They hold what the journal leaves out.
    pub keeps_requests: bool,
    /// Where the bucket's files are kept; without it they go with the sandbox.
    pub bucket: Option<PathBuf>,
}

impl Default for SandboxOptions {
    /// A port chosen by the kernel, no ledger, requests kept: what a test wants.
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 0).into(), ledger: None, keeps_requests: true, bucket: None }
    }
}

/// Why a sandbox cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The address is not of this machine alone.
    #[error("{0} can be reached from other machines, but the sandbox has no password; listen on 127.0.0.1:{port}", port = .0.port())]
    NotLoopback(SocketAddr),
    /// The address is taken, or is none of this machine.
    #[error("the sandbox cannot listen on {address}: choose another port, or 0 for a free one")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The bucket's directory cannot be used, or there is no port for it.
    #[error("the sandbox's storage cannot be served: choose another folder, or correct its permissions")]
    Storage(#[source] io::Error),
    /// The ledger cannot be written.
    #[error("the ledger {} cannot be opened: choose another file, or correct its permissions", .path.display())]
    Ledger {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A running sandbox. It ends, with every open connection, when it is dropped.
pub struct Sandbox {
    shared: Arc<Shared>,
    _stops_when_dropped: DropGuard,
}

impl Sandbox {
    /// Starts it as a test wants it.
    ///
    /// # Errors
    /// See [`SandboxError`].
    pub async fn start() -> Result<Self, SandboxError> {
        Self::start_with(SandboxOptions::default()).await
    }

    /// Starts it.
    ///
    /// # Errors
    /// See [`SandboxError`].
    pub async fn start_with(options: SandboxOptions) -> Result<Self, SandboxError> {
        let SandboxOptions { listen: address, ledger, keeps_requests, bucket } = options;
        if !address.ip().is_loopback() {
            return Err(SandboxError::NotLoopback(address));
        }
        let unheard = |source| SandboxError::Listen { address, source };
        let journal = Journal::open(ledger.as_deref(), keeps_requests)
            .map_err(|source| SandboxError::Ledger { path: ledger.clone().unwrap_or_default(), source })?;
        let journal = Arc::new(journal);
        let listener = TcpListener::bind(address).await.map_err(unheard)?;
        let origin = format!("http://{}", listener.local_addr().map_err(unheard)?);
        let mails = Arc::clone(&journal);
        let options = SmtpSinkOptions { most_remembered: MOST_MAILS, ..SmtpSinkOptions::default() };
        let smtp = SmtpSink::start_observed(options, move |mail| {
            mails.write(smtp::entry(mail), None);
        });
        let (storage, bucket) = Storage::open(bucket.as_deref()).await.map_err(SandboxError::Storage)?;
        let stopping = CancellationToken::new();
        let shared = Arc::new(Shared {
            house: House::at(origin),
            journal,
            faults: Faults::default(),
            smtp: smtp.await.map_err(unheard)?,
            storage,
            stopping: stopping.clone(),
        });
        serve::serve(listener, Arc::clone(&shared));
        storage::serve(bucket, Arc::clone(&shared)).map_err(SandboxError::Storage)?;
        Ok(Self { shared, _stops_when_dropped: stopping.drop_guard() })
    }

    /// `http://127.0.0.1:<port><path>`; the path starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.shared.house.origin)
    }

    /// The mail server, which has a port of its own.
    pub fn smtp(&self) -> &SmtpSink {
        &self.shared.smtp
    }

    /// The folder with the bucket's files, each under its key.
    pub fn bucket(&self) -> PathBuf {
        self.shared.storage.directory().join(storage::BUCKET)
    }

    /// Where the storage server keeps everything, unfinished uploads among it.
    pub fn storage_directory(&self) -> &Path {
        self.shared.storage.directory()
    }

    /// The variables that lead a worker here: addresses and marked credentials. Keys that sign (VAPID, webhooks) are
    /// the caller's own.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        environment(&self.shared)
    }

    /// The key file of Google's service account; `None` when the system gives no randomness.
    pub fn service_account(&self) -> Option<String> {
        let house = &self.shared.house;
        house.google.key_file(&house.origin).map(|file| file.to_string())
    }

    /// Orders a fault.
    ///
    /// # Errors
    /// When it could not do what it says.
    pub fn fault(&self, fault: Fault) -> Result<(), BadFault> {
        order(&self.shared, fault)
    }

    /// Takes back the faults that have not happened yet.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
        self.shared.smtp.clear_faults();
    }

    /// A new browser, subscribed with the application's public key, or with any when that is `None`.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn subscribe(&self, application_key: Option<&str>) -> Result<BrowserSubscription, Unopened> {
        let house = &self.shared.house;
        lock(&house.subscriptions).subscribe(&house.origin, application_key.map(str::to_owned))
    }

    /// What browsers were shown, oldest first.
    pub fn notifications(&self) -> Vec<Vec<u8>> {
        lock(&self.shared.house.subscriptions).opened()
    }

    /// Makes the webhook receiver trust a secret (`whsec_…`) or a public key (`whpk_…`). False when it is neither.
    pub fn trust_webhook_secret(&self, secret: &str) -> bool {
        lock(&self.shared.house.receivers).trust(secret).is_ok()
    }

    /// The journal, oldest first; of one provider or of all.
    pub fn journal(&self, provider: Option<&str>) -> Vec<Entry> {
        self.shared.journal.entries(provider)
    }

    /// Whole requests of a provider, oldest first, when they are kept: the newest, as far as memory is given to them.
    pub fn received(&self, provider: &str) -> Vec<ReceivedRequest> {
        self.received_between(provider, 0, u64::MAX)
    }

    /// Those whose entries in the journal are behind the first number and up to the last.
    pub fn received_between(&self, provider: &str, after: u64, last: u64) -> Vec<ReceivedRequest> {
        self.shared.journal.requests(provider, after, last)
    }

    /// The journal of a provider, or of all, as soon as it has at least `wanted` entries.
    ///
    /// # Errors
    /// When that takes longer than `deadline`.
    pub async fn wait_for(
        &self,
        provider: Option<&str>,
        wanted: usize,
        deadline: Duration,
    ) -> Result<Vec<Entry>, TooFewArrived> {
        let mut changes = self.shared.journal.watch();
        let enough = |_: &u64| self.shared.journal.count(provider) >= wanted;
        // The sender lives as long as we do, so only the deadline can end the wait in vain.
        let _ = timeout(deadline, changes.wait_for(enough)).await;
        let entries = self.journal(provider);
        let arrived = entries.len();
        if arrived < wanted {
            Err(TooFewArrived { arrived, wanted, what: "requests", deadline })
        } else {
            Ok(entries)
        }
    }

    /// The entries behind this number, as soon as there is one; none when that takes longer than `deadline`.
    pub async fn wait_after(&self, seq: u64, deadline: Duration) -> Vec<Entry> {
        let mut changes = self.shared.journal.watch();
        // The sender lives as long as we do, so only the deadline can end the wait in vain.
        let _ = timeout(deadline, changes.wait_for(|last| seq < *last)).await;
        self.shared.journal.entries_after(seq)
    }
}

fn order(shared: &Shared, fault: Fault) -> Result<(), BadFault> {
    fault.check()?;
    if fault.provider == smtp::NAME {
        return smtp::order(&shared.smtp, &fault);
    }
    shared.faults.add(fault);
    Ok(())
}

fn environment(shared: &Shared) -> Vec<(&'static str, String)> {
    let at = |path: &str| format!("{}{path}", shared.house.origin);
    let text = str::to_owned;
    vec![
        ("SENDGRID_BASE_URL", at("/sendgrid")),
        ("SENDGRID_API_KEY", text(credential::SENDGRID)),
        ("SENDGRID_FROM_EMAIL", text("noreply@flota.example")),
        ("AWS_SES_BASE_URL", at("/ses")),
        ("AWS_SES_ACCESS_KEY_ID", text(credential::AWS_KEY)),
        ("AWS_SES_SECRET_ACCESS_KEY", text(credential::AWS_SECRET)),
        ("AWS_SES_REGION", text("us-east-1")),
        ("AWS_SES_FROM_EMAIL", text("noreply@flota.example")),
        ("SMTP_HOST", text("127.0.0.1")),
        ("SMTP_PORT", shared.smtp.port().to_string()),
        ("SMTP_TLS", text("none")),
        ("SMTP_FROM_EMAIL", text("noreply@flota.example")),
        ("WHATSAPP_BASE_URL", at("/whatsapp/v23.0")),
        ("WHATSAPP_PHONE_NUMBER_ID", text("123456789")),
        ("WHATSAPP_ACCESS_TOKEN", text(credential::WHATSAPP)),
        ("TWILIO_BASE_URL", at("/twilio/2010-04-01")),
        ("TWILIO_ACCOUNT_SID", text(credential::TWILIO_ACCOUNT)),
        ("TWILIO_AUTH_TOKEN", text(credential::TWILIO_TOKEN)),
        ("TWILIO_PHONE_NUMBER", text("+15005550006")),
        ("LLM_BASE_URL", at("/llm/v1")),
        ("OPENROUTER_API_KEY", text(credential::LLM)),
        ("OPENAI_BASE_URL", at("/openai/v1")),
        ("OPENAI_API_KEY", text(credential::OPENAI)),
        ("GOOGLE_VISION_BASE_URL", at("/vision/v1")),
        ("GOOGLE_VISION_API_KEY", text(credential::GOOGLE)),
        ("STORAGE_PROVIDER", text("minio")),
        ("MINIO_ENDPOINT", shared.storage.url()),
        ("MINIO_ACCESS_KEY", text(credential::STORAGE)),
        ("MINIO_SECRET_KEY", text(credential::STORAGE_SECRET)),
        ("MINIO_BUCKET", text(storage::BUCKET)),
    ]
}

#[cfg(test)]
mod tests;
