//! Settings → the accounts that can be asked whether they work: one for each provider that jobs would be sent through.

use std::time::Duration;

use flota_providers::{chat, email, probe::Probe, sms, transcription, vision, whatsapp};

use super::{
    AssembleError,
    email::{mailer, sendgrid, ses},
    integrations,
};
use crate::{
    config::{
        Environment,
        env::{EmailProvider, OcrProvider, VisionCredential, VisionVariables},
    },
    limits::CallTimeouts,
    service_settings::Variables,
};

/// Most time for one provider to say whether it knows us; a mail server has what `[providers.smtp]` allows.
const PATIENCE: Duration = Duration::from_secs(10);

/// An account with a provider, as it is configured.
pub struct Account {
    /// What it is called among findings.
    pub check: &'static str,
    /// The variables that it was made from.
    pub variables: Variables,
    /// Most time for its answer.
    pub patience: Duration,
    /// Who can ask, unless the settings make no client.
    pub client: Result<Box<dyn Probe>, AssembleError>,
}

/// Every account of the environment: of e-mail and of text on pictures those that are in the order.
pub fn accounts(environment: &Environment, timeouts: &CallTimeouts) -> Vec<Account> {
    let more = &environment.integrations;
    let mut accounts: Vec<Account> = environment
        .email
        .order
        .iter()
        .filter_map(|provider| match provider {
            EmailProvider::Sendgrid => sendgrid_account(environment, timeouts),
            EmailProvider::Ses => ses_account(environment, timeouts),
            EmailProvider::Smtp => smtp_account(environment, timeouts),
        })
        .collect();
    accounts.extend(more.whatsapp.as_ref().map(|variables| {
        let client = integrations::whatsapp(variables, timeouts);
        account("whatsapp login", Variables::of(whatsapp::PROVIDER), client)
    }));
    accounts.extend(more.sms.as_ref().map(|variables| {
        account("twilio login", Variables::of(sms::PROVIDER), integrations::sms(variables, timeouts))
    }));
    accounts.extend(more.chat.as_ref().map(|variables| {
        account("llm login", Variables::of(chat::PROVIDER), integrations::chat(variables, timeouts))
    }));
    accounts.extend(more.transcription.as_ref().map(|variables| {
        let client = integrations::transcription(variables, timeouts);
        account("whisper login", Variables::of(transcription::PROVIDER), client)
    }));
    let vision = more.vision.as_ref().filter(|_| more.ocr.order.contains(&OcrProvider::GoogleVision));
    accounts.extend(vision.map(|variables| vision_account(variables, timeouts)));
    accounts
}

fn account<C: Probe>(check: &'static str, variables: Variables, client: Result<C, AssembleError>) -> Account {
    let client = client.map(|client| Box::new(client) as Box<dyn Probe>);
    Account { check, variables, patience: PATIENCE, client }
}

fn sendgrid_account(environment: &Environment, timeouts: &CallTimeouts) -> Option<Account> {
    let provider = email::sendgrid::PROVIDER;
    let client = sendgrid(environment.email.sendgrid.as_ref()?, timeouts.of(provider));
    Some(account("sendgrid login", Variables::of(provider), client))
}

fn ses_account(environment: &Environment, timeouts: &CallTimeouts) -> Option<Account> {
    let provider = email::ses::PROVIDER;
    let client = ses(environment.email.ses.as_ref()?, timeouts.of(provider));
    Some(account("ses login", Variables::of(provider), client))
}

/// A mail server may take its time before it greets.
fn smtp_account(environment: &Environment, timeouts: &CallTimeouts) -> Option<Account> {
    let patience = timeouts.of(email::SMTP);
    let client = mailer(environment.smtp.as_ref()?, patience);
    Some(Account { patience, ..account("smtp login", Variables::of(email::SMTP), client) })
}

/// The one credential of two that is used.
fn vision_account(variables: &VisionVariables, timeouts: &CallTimeouts) -> Account {
    let credential: &[&str] = match variables.credential {
        VisionCredential::ServiceAccount(_) => &["GOOGLE_APPLICATION_CREDENTIALS"],
        VisionCredential::ApiKey(_) => &["GOOGLE_VISION_API_KEY"],
    };
    let names = Variables { credential, ..Variables::of(vision::PROVIDER) };
    account("google_vision login", names, integrations::vision(variables, timeouts))
}
