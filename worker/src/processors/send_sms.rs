//! Sends one text message. Who answered STOP is not written to again.

use flota_engine::{ErrorClass, IfRepeated, Job, Processor, Receipt};
use flota_producer::{SendSms, clock};
use flota_providers::sms::{PROVIDER, has_opted_out};

use crate::{failure::Error, service_settings, services::Services, suppressions::Channel};

impl Processor<Services> for SendSms {
    const IF_REPEATED: IfRepeated = IfRepeated {
        at_worst: "The message arrives twice and is paid twice.",
        key: "None: Twilio takes no idempotency key for messages.",
        receiver: "Nothing. An answer that was lost counts as ambiguous: one more try at most.",
    };

    const CUT_OFF: ErrorClass = ErrorClass::Ambiguous;

    type Error = Error;

    async fn run(self, job: &Job, services: &Services) -> Result<Receipt, Error> {
        let client = services.sms.as_ref().ok_or(service_settings::SMS.missing())?;
        super::refuse_suppressed(Channel::Sms, &self.to, job, services)?;
        let (to, text, now) = (&self.to, &self.text, clock::unix_now().as_secs() as i64);
        let sent =
            client.call(super::caller(job), |client| async move { client.send(to, text, now).await }).await;
        if sent.as_ref().is_err_and(has_opted_out) {
            let (tenant, reason) = (job.envelope.tenant.as_deref(), "the recipient answered STOP");
            services.suppressions.learn(Channel::Sms, tenant, to, reason, PROVIDER).await;
        }
        Ok(super::receipt(sent?))
    }
}
