//! Builds the services of processors from the environment: the one place where settings become clients.

use flota_providers::{
    ProviderError,
    email::{SmtpMailer, SmtpSettings, SmtpTls},
    webhook::{SecretError, SigningSecret},
};
use secrecy::ExposeSecret;
use sqlx::PgPool;

use crate::{
    config::env::{self, Environment},
    endpoints::Endpoints,
    services::{Services, Webhooks},
    vault::{Vault, VaultError},
};

/// Longest that one step of an SMTP conversation may take (RFC 5321 section 4.5.3.2 allows minutes; a worker slot is
/// too dear for that).
const SMTP_STEP: std::time::Duration = std::time::Duration::from_secs(20);
/// Connections to the mail server that one process keeps at most.
const SMTP_POOL: usize = 16;

/// A setting that no client can be built from.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The mail server's settings.
    #[error("SMTP settings: {0}")]
    Smtp(#[source] ProviderError),
    /// The HTTP client.
    #[error("the HTTP client cannot be set up: {0}")]
    Http(#[source] ProviderError),
    /// The keys that open endpoint secrets.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The secret that signs webhooks.
    #[error("WEBHOOK_SECRET: {0}; make one with `flota keys webhook`")]
    WebhookSecret(#[from] SecretError),
}

/// Everything that processors may use.
///
/// # Errors
/// See [`AssembleError`]; what is merely not set leaves its service out.
pub fn services(environment: &Environment, pool: &PgPool) -> Result<Services, AssembleError> {
    let mailer = environment.smtp.as_ref().map(mailer).transpose()?;
    let keys = &environment.encryption_keys;
    let vault = if keys.is_empty() { None } else { Some(Vault::new(keys)?) };
    let secret = environment.webhook_secret.as_ref();
    Ok(Services {
        mailer,
        webhooks: Webhooks::new(&environment.webhook_allow).map_err(AssembleError::Http)?,
        endpoints: vault.map(|vault| Endpoints::new(pool.clone(), vault)),
        webhook_secret: secret.map(|secret| SigningSecret::parse(secret.expose_secret())).transpose()?,
    })
}

/// The client of the mail server.
///
/// # Errors
/// When its settings cannot work.
pub fn mailer(smtp: &env::SmtpSettings) -> Result<SmtpMailer, AssembleError> {
    let (username, password) = smtp.login.clone().map(|login| (login.username, login.password)).unzip();
    SmtpMailer::new(SmtpSettings {
        host: smtp.host.clone(),
        port: smtp.port,
        username,
        password,
        tls: match smtp.tls {
            env::SmtpTls::StartTls => SmtpTls::StartTls,
            env::SmtpTls::Implicit => SmtpTls::Implicit,
            env::SmtpTls::None => SmtpTls::None,
        },
        from_email: smtp.from_email.clone(),
        from_name: smtp.from_name.clone(),
        timeout: SMTP_STEP,
        pool_size: SMTP_POOL,
        extra_root_ca_pem: smtp.ca_pem.clone(),
    })
    .map_err(AssembleError::Smtp)
}
