//! Builds the services of processors from the environment: the one place where settings become clients.

mod accounts;
mod email;
mod integrations;
pub mod storage;

use flota_producer::{keys::Prefix, link::Link};
use flota_providers::{
    ProviderError,
    barcode::BarcodeReader,
    pipeline::{Client, Pipeline, Provider},
    push::{self, VapidError},
    webhook::{self, SecretError, SigningSecret},
};
use secrecy::ExposeSecret;
use sqlx::PgPool;

pub use self::accounts::{Account, accounts};
pub(crate) use self::integrations::push as vapid_key;
use crate::{
    config::env::Environment,
    endpoints::{Endpoints, Places},
    files::Files,
    limits::CallTimeouts,
    llm::{Defaults, Llm, LlmSettings},
    pictures::ReadPictures,
    services::{Outbound, Services, Webhooks},
    suppressions::Suppressions,
    transcription::{SpeechSettings, Transcription},
    uploads::Uploads,
    vault::{Vault, VaultError},
};

/// Longest that a download may take: 25 MiB in a minute is a slow line.
const DOWNLOAD: std::time::Duration = std::time::Duration::from_mins(1);

/// A setting that no client can be built from.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The mail server's settings.
    #[error("SMTP settings: {0}")]
    Smtp(#[source] ProviderError),
    /// Who e-mail comes from.
    #[error("{variable}: {source}")]
    Sender {
        /// The variable to look at.
        variable: &'static str,
        /// Why.
        source: Box<ProviderError>,
    },
    /// A certificate file.
    #[error("SMTP_CA_FILE names a file that cannot be read: {path}")]
    Certificate {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The HTTP client.
    #[error("the HTTP client cannot be set up: {0}")]
    Http(#[source] ProviderError),
    /// The keys that open endpoint secrets.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The secret that signs webhooks.
    #[error("WEBHOOK_SECRET: {0}; make one with `flota keys webhook`")]
    WebhookSecret(#[from] SecretError),
    /// The key pair towards push services.
    #[error("VAPID_PUBLIC_KEY and VAPID_PRIVATE_KEY: {0}")]
    Vapid(#[from] VapidError),
    /// An API's client.
    #[error("{variable}: {source}")]
    Api {
        /// The variable to look at.
        variable: &'static str,
        /// Why.
        source: Box<ProviderError>,
    },
    /// The key file of a service account.
    #[error("GOOGLE_APPLICATION_CREDENTIALS names a file that cannot be read: {path}")]
    ServiceAccount {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What services stand on.
pub struct Ground<'a> {
    /// Postgres.
    pub pool: &'a PgPool,
    /// The way of every call to a provider.
    pub pipeline: &'a Pipeline,
    /// Redis.
    pub link: &'a Link,
    /// Beginning of its keys.
    pub prefix: &'a Prefix,
    /// How long one call may take.
    pub timeouts: &'a CallTimeouts,
    /// Which models are asked, and what they may cost.
    pub llm: LlmSettings,
    /// What transcription may take and what it costs.
    pub speech: SpeechSettings,
}

/// Everything that processors may use; every call to a provider goes through `pipeline`. Starts the task that follows
/// the suppression list.
///
/// # Errors
/// See [`AssembleError`]; what is merely not set leaves its service out.
pub fn services(environment: &Environment, ground: Ground<'_>) -> Result<Services, AssembleError> {
    let Ground { pool, pipeline, link, prefix, timeouts, llm, speech } = ground;
    let vault = environment.encryption_keys.as_ref().map(Vault::parse).transpose()?;
    let secret = environment.webhook_secret.as_ref();
    let more = &environment.integrations;
    let spool = integrations::spool(more.spool_dir.as_ref());
    Ok(Services {
        suppressions: Suppressions::following(pool.clone()),
        email: email::carriers(environment, timeouts, pipeline)?,
        webhooks: Webhooks::new(&environment.webhook_allow, timeouts.of(webhook::PROVIDER), pipeline)
            .map_err(AssembleError::Http)?,
        endpoints: vault.map(|vault| Endpoints::new(pool.clone(), vault)),
        places: Places::new(link.again(), prefix.clone(), timeouts.of(webhook::PROVIDER)),
        webhook_secret: secret.map(|secret| SigningSecret::parse(secret.expose_secret())).transpose()?,
        downloads: Outbound::new(&environment.fetch_allow, DOWNLOAD).map_err(AssembleError::Http)?,
        push_services: Outbound::new(&environment.fetch_allow, timeouts.of(push::PROVIDER))
            .map_err(AssembleError::Http)?,
        push: piped(more.push.as_ref(), integrations::push, pipeline)?,
        whatsapp: piped(more.whatsapp.as_ref(), |it| integrations::whatsapp(it, timeouts), pipeline)?,
        whatsapp_media: piped(
            more.whatsapp.as_ref(),
            |it| integrations::whatsapp_media(it, timeouts),
            pipeline,
        )?,
        sms: piped(more.sms.as_ref(), |it| integrations::sms(it, timeouts), pipeline)?,
        transcription: piped(
            more.transcription.as_ref(),
            |it| integrations::transcription(it, timeouts),
            pipeline,
        )?
        .zip(more.transcription.as_ref())
        .map(|(client, variables)| {
            let ffmpeg = integrations::ffmpeg(variables, &spool);
            Transcription::new(client, variables.model.clone(), ffmpeg, speech)
        }),
        llm: piped(more.chat.as_ref(), |it| integrations::chat(it, timeouts), pipeline)?
            .zip(more.chat.as_ref())
            .map(|(client, chat)| {
                let llm = llm.with_environment(chat.model.as_deref(), chat.fallback.as_deref());
                let defaults = Defaults { max_tokens: chat.max_tokens, temperature: chat.temperature };
                Llm::new(client, llm, defaults, (link, prefix))
            }),
        text_readers: integrations::text_readers(&more.ocr, more.vision.as_ref(), timeouts, pipeline)?,
        read_pictures: ReadPictures::default(),
        barcodes: BarcodeReader::new(integrations::cores()),
        uploads: Uploads::default(),
        storage: piped(more.storage.as_ref(), |it| Ok(storage::client(it, timeouts)), pipeline)?,
        files: more.files_dir.clone().map(Files::new),
        spool,
    })
}

/// A client, when it is configured, inside the pipeline.
fn piped<V, C: Client>(
    variables: Option<&V>,
    build: impl FnOnce(&V) -> Result<C, AssembleError>,
    pipeline: &Pipeline,
) -> Result<Option<Provider<C>>, AssembleError> {
    let client = variables.map(build).transpose()?;
    Ok(client.map(|client| Provider::global(client, pipeline)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::queues::Queues;

    /// For Redis and Postgres, and for the layers around a call.
    const THE_REST: Duration = Duration::from_secs(15);

    #[test]
    fn a_run_that_sends_is_not_cut_off_before_its_providers_have_had_their_time() {
        let queues = Queues::built_in().unwrap();
        let timeouts = &queues.timeouts;

        for (queue, longest) in [
            ("email", email::longest(timeouts)),
            ("notification", integrations::longest_notification(timeouts)),
            ("transcription", DOWNLOAD + integrations::longest_transcription(timeouts)),
        ] {
            let limit = queues.get(queue).unwrap().timeout;

            assert!(
                longest + THE_REST <= limit,
                "the limit of queue {queue} in queues.toml is {limit:?}, and a run may take {longest:?}"
            );
        }
    }
}
