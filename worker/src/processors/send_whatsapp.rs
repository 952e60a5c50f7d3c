//! Sends one WhatsApp message, or marks one as read.
//!
//! The job's id goes along and comes back in status webhooks. A file of the workers is uploaded first, once for all runs
//! (`uploads.rs`), and not for who wants no messages. When the user has not written for 24 hours, the job's fallback
//! template is sent instead: the refusal says that nothing was sent before.

use std::time::Duration;

use flota_engine::{IfRepeated, Job, Processor, Receipt};
use flota_producer::{
    MediaSource, SendWhatsapp, WhatsappBody, WhatsappFile, WhatsappTemplate, WhatsappText, clock,
};
use flota_providers::{
    ErrorClass, ProviderError,
    whatsapp::{
        LEAVE_ALONE, MediaPlace, PROVIDER, WhatsappContent, has_opted_out, is_left_alone, window_is_closed,
    },
};
use serde_json::json;

use crate::{failure::Error, files, services::Services, suppressions::Channel};

impl Processor<Services> for SendWhatsapp {
    const IF_REPEATED: IfRepeated = IfRepeated {
        at_worst: "The message arrives twice.",
        key: "`biz_opaque_callback_data`, the job's id: comes back in status webhooks; WhatsApp does not deduplicate by it.",
        receiver: "Nothing. An answer that was lost counts as ambiguous: one more try at most.",
    };

    const CUT_OFF: flota_engine::ErrorClass = flota_engine::ErrorClass::Ambiguous;

    type Error = Error;

    async fn run(self, job: &Job, services: &Services) -> Result<Receipt, Error> {
        let Self { to, body, fallback } = self;
        // Before the file is uploaded and a turn is taken: nothing of who wants no messages goes to Meta, and who is left alone
        // for a while would use up a turn with each message that is put off.
        if !matches!(body, WhatsappBody::Read(_)) {
            super::refuse_suppressed(Channel::Whatsapp, &to, job, services)?;
            let whatsapp = services.whatsapp.as_ref().ok_or(NOT_CONFIGURED)?;
            whatsapp.client(job.envelope.tenant.as_deref()).await?.may_write_to(&to)?;
        }
        let content = match body {
            WhatsappBody::Read(read) => return mark_read(&read.read, job, services).await,
            WhatsappBody::Text(WhatsappText { text, preview_url }) => {
                WhatsappContent::Text { body: text, preview_url }
            }
            WhatsappBody::Template(template) => from_template(template),
            WhatsappBody::File(file) => from_file(file, job, services).await?,
        };
        let fallback = fallback.map(from_template);
        let sent = send(&to, &content, fallback.as_ref(), job, services).await?;
        services.uploads.forget(job.id);
        Ok(super::receipt(sent))
    }
}

/// Both tries are one call for the pipeline: a job that needed two turns in one run might never get the second.
async fn send(
    to: &str,
    content: &WhatsappContent,
    fallback: Option<&WhatsappContent>,
    job: &Job,
    services: &Services,
) -> Result<flota_providers::Receipt, Error> {
    let client = services.whatsapp.as_ref().ok_or(NOT_CONFIGURED)?;
    let reference = &job.id.to_string();
    let answer = client
        .call(super::caller(job), |client| async move {
            match (client.send(to, content, reference).await, fallback) {
                (Err(error), Some(template)) if window_is_closed(&error) => {
                    let mut sent = client.send(to, template, reference).await?;
                    sent.detail = Some(json!({ "sent": "fallback" }));
                    Ok(sent)
                }
                (answer, _) => answer,
            }
        })
        .await;
    match answer {
        Err(error) if has_opted_out(&error) => {
            let tenant = job.envelope.tenant.as_deref();
            let reason = "the user wants no messages";
            services.suppressions.learn(Channel::Whatsapp, tenant, to, reason, PROVIDER).await;
            Err(error.into())
        }
        Err(error) => {
            let waited = clock::unix_now().saturating_sub(Duration::from_millis(job.envelope.at));
            Err(at_most_one_more(error, job.attempt, waited).into())
        }
        Ok(sent) => Ok(sent),
    }
}

async fn mark_read(message: &str, job: &Job, services: &Services) -> Result<Receipt, Error> {
    let client = services.whatsapp.as_ref().ok_or(NOT_CONFIGURED)?;
    let marked =
        client.call(super::caller(job), |client| async move { client.mark_read(message).await }).await?;
    Ok(super::receipt(marked))
}

const NOT_CONFIGURED: Error = crate::service_settings::WHATSAPP.missing();

fn from_template(template: WhatsappTemplate) -> WhatsappContent {
    let components = template.all_components();
    WhatsappContent::Template { name: template.template, language: template.language, components }
}

/// WhatsApp downloads what has a URL by itself; a file of ours is uploaded.
async fn from_file(file: WhatsappFile, job: &Job, services: &Services) -> Result<WhatsappContent, Error> {
    let WhatsappFile { media, source, caption, filename } = file;
    let place = match source {
        MediaSource { url: Some(link), .. } => MediaPlace::Link(link),
        MediaSource { whatsapp: Some(id), .. } => MediaPlace::Id(id),
        ours => MediaPlace::Id(files::to_whatsapp(&ours, media, job, services).await?),
    };
    Ok(WhatsappContent::File { media: media.word(), place, caption, filename })
}

/// Whom Meta keeps from too many messages gets one more try after a day, and no third. `waited` is how long ago the job
/// was enqueued: an earlier try that failed for another reason is no refusal of this kind.
fn at_most_one_more(mut error: ProviderError, attempt: u32, waited: Duration) -> ProviderError {
    if is_left_alone(&error) && 1 < attempt && LEAVE_ALONE <= waited {
        error.class = ErrorClass::Permanent;
        error = error.with_server_wait(None);
    }
    error
}

#[cfg(test)]
mod tests {
    use flota_engine::{Failure, Remedy};
    use flota_producer::KNOWN_TEMPLATES;

    use super::*;

    #[test]
    fn whom_meta_keeps_from_messages_gets_one_more_try_after_a_day_and_no_third() {
        let remedy_of = |attempt, waited| {
            let error = ProviderError::new(PROVIDER, "send", ErrorClass::ServerError, "told to")
                .with_code("131049")
                .with_server_wait(Some(LEAVE_ALONE));
            Failure::from(Error::Provider(at_most_one_more(error, attempt, waited))).remedy
        };
        let later = Remedy::Retry { after: Some(LEAVE_ALONE) };

        assert_eq!(remedy_of(1, Duration::ZERO), later);
        assert_eq!(remedy_of(2, Duration::from_hours(25)), Remedy::Bury);
        // Another trouble came first, or the job had been put off before its first try.
        assert_eq!(remedy_of(2, Duration::from_mins(1)), later);
        assert_eq!(remedy_of(1, Duration::from_hours(48)), later);
    }

    #[test]
    fn the_documentation_is_what_known_templates_ask_for() {
        let mut table = String::from("| template | `{{1}}` | `{{2}}` | `{{3}}` |\n|---|---|---|---|\n");
        for known in KNOWN_TEMPLATES {
            let names: Vec<String> = known.parameters.iter().map(|name| format!("`{name}`")).collect();
            table.push_str(&format!("| `{}` | {} |\n", known.name, names.join(" | ")));
        }

        for page in ["docs/kinds.md", "docs/02-integraciones/INT-004-whatsapp.md"] {
            crate::config::generated_text::check_part(page, "whatsapp_templates", &table);
        }
    }
}
