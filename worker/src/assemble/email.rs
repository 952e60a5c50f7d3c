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
use crate::{
    config::env::{EmailProvider, Environment, SendgridVariables, SesVariables, SmtpMode, SmtpVariables},
    limits::CallTimeouts,
};

/// Connections to the mail server that one process keeps at most.
const SMTP_POOL: usize = 16;

/// Every configured way of sending, in the order of the settings.
pub(super) fn carriers(
    environment: &Environment,
    timeouts: &CallTimeouts,
    pipeline: &Pipeline,
) -> Result<Option<Carriers>, AssembleError> {
    let email = &environment.email;
    let mut carriers = CarriersBuilder::new(pipeline).message_domain(message_domain(environment));
    for provider in &email.order {
        let with = (provider.name(), timeouts.of(provider.name()), pipeline);
        carriers = match provider {
            EmailProvider::Sendgrid => add(carriers, email.sendgrid.as_ref(), sendgrid, with)?,
            EmailProvider::Ses => add(carriers, email.ses.as_ref(), ses, with)?,
            EmailProvider::Smtp => add(carriers, environment.smtp.as_ref(), mailer, with)?,
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
    variables: Option<&V>,
    build: fn(&V, Duration) -> Result<M, AssembleError>,
    (name, timeout, pipeline): (&'static str, Duration, &Pipeline),
) -> Result<CarriersBuilder<'a>, AssembleError> {
    match variables.map(|variables| build(variables, timeout)).transpose()? {
        Some(client) => Ok(carriers.then(Provider::global(client, pipeline), name)),
        None => Ok(carriers),
    }
}

pub(super) fn sendgrid(
    sendgrid: &SendgridVariables,
    timeout: Duration,
) -> Result<SendgridClient, AssembleError> {
    let client = SendgridClient::new(SendgridSettings {
        api: ApiSettings::new(&sendgrid.base_url, timeout),
        api_key: sendgrid.api_key.clone(),
        sender: sender("SENDGRID_FROM_EMAIL", &sendgrid.from_email, sendgrid.from_name.as_deref())?,
        sandbox_mode: sendgrid.sandbox_mode,
    });
    client.map_err(because_of("SENDGRID_BASE_URL"))
}

pub(super) fn ses(ses: &SesVariables, timeout: Duration) -> Result<SesClient, AssembleError> {
    let base_url = ses.base_url.clone().unwrap_or_else(|| base_url(&ses.region));
    let client = SesClient::new(SesSettings {
        api: ApiSettings::new(base_url, timeout),
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

/// The client of the mail server. `timeout` is the longest that one step of a conversation may take.
///
/// # Errors
/// When its settings cannot work.
pub(super) fn mailer(smtp: &SmtpVariables, timeout: Duration) -> Result<SmtpMailer, AssembleError> {
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
        timeout,
        pool_size: SMTP_POOL,
        extra_root_ca_pem: smtp.ca_file.as_ref().map(read).transpose()?,
    })
    .map_err(AssembleError::Smtp)
}

/// The most that a run of `send_email` takes: its files, and every provider in turn.
#[cfg(test)]
pub(super) fn longest(timeouts: &CallTimeouts) -> Duration {
    let all = [EmailProvider::Sendgrid, EmailProvider::Ses, EmailProvider::Smtp];
    let [sendgrid, ses, smtp_step] = all.map(|provider| timeouts.of(provider.name()));
    crate::processors::send_email::FETCHING + sendgrid + ses + SmtpMailer::longest(smtp_step)
}
