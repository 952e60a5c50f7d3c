//! Sends one WhatsApp message.
//!
//! The job's id goes along and comes back in status webhooks.

use flota_engine::{IfRepeated, Job, Processor, Receipt};
use flota_producer::{SendWhatsapp, WhatsappBody};
use flota_providers::whatsapp::WhatsappContent;

use crate::{failure::Error, services::Services};

impl Processor<Services> for SendWhatsapp {
    const IF_REPEATED: IfRepeated = IfRepeated {
        at_worst: "The message arrives twice.",
        key: "`biz_opaque_callback_data`, the job's id: comes back in status webhooks; WhatsApp does not deduplicate by it.",
        receiver: "Nothing. An answer that was lost counts as ambiguous: one more try at most.",
    };

    type Error = Error;

    async fn run(self, job: &Job, services: &Services) -> Result<Receipt, Error> {
        let missing = Error::NotConfigured { what: "WhatsApp", variable: "WHATSAPP_ACCESS_TOKEN" };
        let client = services.whatsapp.as_ref().ok_or(missing)?;
        let content = match self.body {
            WhatsappBody::Text { text, preview_url } => WhatsappContent::Text { body: text, preview_url },
            WhatsappBody::Template { template, language, components } => {
                WhatsappContent::Template { name: template, language, components }
            }
        };
        let (to, content, reference) = (&self.to, &content, &job.id.to_string());
        let sent = client
            .call(super::caller(job), |client| async move { client.send(to, content, reference).await });
        Ok(super::receipt(sent.await?))
    }
}
