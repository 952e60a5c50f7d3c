//! The list of job kinds: to add one, write its file and add the two lines below.

use flota_engine::{Job, Registry};
use flota_providers::pipeline::Caller;

use crate::{failure::Error, services::Services, suppressions::Channel};

mod complete_chat;
mod deliver_webhook;
mod read_image;
pub(crate) mod send_email;
mod send_push;
mod send_sms;
mod send_whatsapp;
mod transcribe_audio;

/// Every kind that this worker runs.
pub fn registry() -> Registry<Services> {
    Registry::new()
        .with::<flota_producer::CompleteChat>()
        .with::<flota_producer::DeliverWebhook>()
        .with::<flota_producer::ReadImage>()
        .with::<flota_producer::SendEmail>()
        .with::<flota_producer::SendPush>()
        .with::<flota_producer::SendSms>()
        .with::<flota_producer::SendWhatsapp>()
        .with::<flota_producer::TranscribeAudio>()
}

/// For whom a provider is called, and whose turn it is.
pub(crate) fn caller(job: &Job) -> Caller<'_> {
    Caller { tenant: job.envelope.tenant.as_deref(), ticket: job.id.to_string().into(), place: None }
}

/// Ends the job here when its one recipient is not to be written to.
fn refuse_suppressed(channel: Channel, address: &str, job: &Job, services: &Services) -> Result<(), Error> {
    if services.suppressions.holds(channel, job.envelope.tenant.as_deref(), address)? {
        return Err(Error::Suppressed { channel, who: "the recipient".to_owned() });
    }
    Ok(())
}

/// What a provider's receipt is for the engine.
fn receipt(sent: flota_providers::Receipt) -> flota_engine::Receipt {
    flota_engine::Receipt {
        provider: Some(sent.provider.into()),
        provider_ref: sent.provider_ref,
        result: sent.detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_is_what_the_kinds_say_of_repeats() {
        let registry = registry();
        let mut table = String::from("| kind | queue | at worst | key | receiver |\n|---|---|---|---|---|\n");
        for (name, kind) in registry.names().filter_map(|name| Some((name, registry.get(name)?))) {
            let repeated = kind.if_repeated;
            let (at_worst, key, receiver) = (repeated.at_worst, repeated.key, repeated.receiver);
            table.push_str(&format!("| `{name}` | `{}` | {at_worst} | {key} | {receiver} |\n", kind.queue));
        }

        crate::config::generated_text::check_part("docs/guarantees.md", "repeats", &table);
    }

    #[test]
    fn every_file_in_processors_is_on_the_list() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/processors");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        files.sort_unstable();

        assert_eq!(
            registry().names().collect::<Vec<_>>(),
            files,
            "a file or a line in processors.rs is missing"
        );
    }
}
