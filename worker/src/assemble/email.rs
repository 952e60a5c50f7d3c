//! Settings of e-mail → the ways of sending, in their order.

use std::time::Duration;

use flota_providers::{
    api::ApiSettings,
    email::{
        Carriers, CarriersBuilder, Mailer, Sender, SmtpMailer, SmtpSettings, SmtpTls,
        sendgrid::{SendgridClient, SendgridSettings},
        ses::{SesClient, SesSettings, base_url},
    },
    pipeline::{Pipeline, Provider},
};

use super::{AssembleError, integrations::because_of};
use crate::config::env::{
    EmailProvider, Environment, SendgridVariables, SesVariables, SmtpMode, SmtpVariables,
};

/// A message is accepted in a second or two; tens of megabytes have to be uploaded.
const MESSAGE: Duration = Duration::from_secs(40);
/// Longest that one step of an SMTP conversation may take (RFC 5321 section 4.5.3.2 allows minutes; a worker slot is
/// too dear for that).
const SMTP_STEP: Duration = Duration::from_secs(20);
/// Connections to the mail server that one process keeps at most.
const SMTP_POOL: usize = 16;

/// Every configured way of sending, in the order of the settings.
pub(super) fn carriers(
    environment: &Environment,
    pipeline: &Pipeline,
) -> Result<Option<Carriers>, AssembleError> {
    let mut carriers = CarriersBuilder::new(pipeline).message_domain(message_domain(environment));
    for provider in &environment.email.order {
        let name = provider.name();
        carriers = match provider {
            EmailProvider::Sendgrid => {
                add(carriers, name, environment.email.sendgrid.as_ref(), sendgrid, pipeline)?
            }
            EmailProvider::Ses => add(carriers, name, environment.email.ses.as_ref(), ses, pipeline)?,
            EmailProvider::Smtp => add(carriers, name, environment.smtp.as_ref(), mailer, pipeline)?,
        };
    }
    Ok(carriers.build())
}

/// The domain of the first provider's sender: a mail keeps its Message-ID also where another provider has to step in whose
/// sender has another domain.
fn message_domain(environment: &Environment) -> Option<&str> {
    let address = match environment.email.order.first()? {
        EmailProvider::Sendgrid => &environment.email.sendgrid.as_ref()?.from_email,
        EmailProvider::Ses => &environment.email.ses.as_ref()?.from_email,
        EmailProvider::Smtp => &environment.smtp.as_ref()?.from_email,
    };
    let (_, domain) = address.rsplit_once('@')?;
    domain.is_ascii().then_some(domain)
}

/// The settings name nobody who is not configured, so `variables` is there.
fn add<'a, V, M: Mailer>(
    carriers: CarriersBuilder<'a>,
    name: &'static str,
    variables: Option<&V>,
    build: fn(&V) -> Result<M, AssembleError>,
    pipeline: &Pipeline,
) -> Result<CarriersBuilder<'a>, AssembleError> {
    match variables.map(build).transpose()? {
        Some(client) => Ok(carriers.then(Provider::global(client, pipeline), name)),
        None => Ok(carriers),
    }
}

fn sendgrid(sendgrid: &SendgridVariables) -> Result<SendgridClient, AssembleError> {
    let client = SendgridClient::new(SendgridSettings {
        api: ApiSettings::new(&sendgrid.base_url, MESSAGE),
        api_key: sendgrid.api_key.clone(),
        sender: sender("SENDGRID_FROM_EMAIL", &sendgrid.from_email, sendgrid.from_name.as_deref())?,
        sandbox_mode: sendgrid.sandbox_mode,
    });
    client.map_err(because_of("SENDGRID_BASE_URL"))
}

fn ses(ses: &SesVariables) -> Result<SesClient, AssembleError> {
    let base_url = ses.base_url.clone().unwrap_or_else(|| base_url(&ses.region));
    let client = SesClient::new(SesSettings {
        api: ApiSettings::new(base_url, MESSAGE),
        access_key_id: ses.access_key_id.clone(),
        secret_access_key: ses.secret_access_key.clone(),
        region: ses.region.clone(),
        sender: sender("AWS_SES_FROM_EMAIL", &ses.from_email, None)?,
    });
    client.map_err(because_of("AWS_SES_BASE_URL"))
}

fn sender(variable: &'static str, address: &str, name: Option<&str>) -> Result<Sender, AssembleError> {
    Sender::new(address, name).map_err(|source| AssembleError::Sender { variable, source: Box::new(source) })
}

/// The client of the mail server.
///
/// # Errors
/// When its settings cannot work.
pub fn mailer(smtp: &SmtpVariables) -> Result<SmtpMailer, AssembleError> {
    let read = |path: &std::path::PathBuf| {
        std::fs::read(path).map_err(|source| AssembleError::Certificate { path: path.clone(), source })
    };
    SmtpMailer::new(SmtpSettings {
        host: smtp.host.clone(),
        port: smtp.port,
        username: smtp.username.clone(),
        password: smtp.password.clone(),
        tls: match smtp.tls {
            SmtpMode::StartTls => SmtpTls::StartTls,
            SmtpMode::Implicit => SmtpTls::Implicit,
            SmtpMode::None => SmtpTls::None,
        },
        from_email: smtp.from_email.clone(),
        from_name: smtp.from_name.clone(),
        timeout: SMTP_STEP,
        pool_size: SMTP_POOL,
        extra_root_ca_pem: smtp.ca_file.as_ref().map(read).transpose()?,
    })
    .map_err(AssembleError::Smtp)
}

/// The most that a run of `send_email` takes: its files, and every provider in turn.
#[cfg(test)]
pub(super) fn longest() -> Duration {
    crate::processors::send_email::FETCHING + MESSAGE + MESSAGE + SmtpMailer::longest(SMTP_STEP)
}
