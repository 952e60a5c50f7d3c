//! Sends one notification to one browser.
//!
//! Without a topic of its own a job's id is the topic, so that a repeat replaces the first while it waits. A job that
//! waited longer than its notification is worth is not sent any more. A subscription that has ended goes on the
//! suppression list, so that later jobs for it end without a call and the application learns which ones to delete.

use flota_engine::{IfRepeated, Job, Processor, Receipt};
use flota_producer::{SendPush, clock};
use flota_providers::{
    api::host_and_port,
    pipeline::{Caller, Place},
    push::{PROVIDER, Push, has_ended},
};

use crate::{failure::Error, service_settings, services::Services, suppressions::Channel};

impl Processor<Services> for SendPush {
    const IF_REPEATED: IfRepeated = IfRepeated {
        at_worst: "The notification is shown twice.",
        key: "`Topic`, from the job's id unless the job names one: replaces a repeat that still waits at the push service (RFC 8030 section 5.4).",
        receiver: "Use `tag` in the service worker: a notification with a known tag replaces the first.",
    };

    type Error = Error;

    async fn run(self, job: &Job, services: &Services) -> Result<Receipt, Error> {
        let key = services.push.as_ref().ok_or(service_settings::PUSH.missing())?;
        let ttl = left_of(self.ttl, job.envelope.at, clock::unix_now().as_millis() as u64)?;
        super::refuse_suppressed(Channel::Push, &self.subscription.endpoint, job, services)?;
        let topic = self.topic.clone().unwrap_or_else(|| job.id.to_string().replace('-', ""));
        let push = Push {
            content: self.content(),
            endpoint: self.subscription.endpoint,
            p256dh: self.subscription.keys.p256dh,
            auth: self.subscription.keys.auth,
            ttl,
            urgency: self.urgency.word().to_owned(),
            topic,
        };
        let (client, now) =
            (services.push_services.client_for(&push.endpoint), clock::unix_now().as_secs() as i64);
        // Every browser of a vendor has its push service, so its limits are ours with that host.
        let host = host_and_port(&push.endpoint);
        let place = Some(Place { name: &host, host: &host });
        let push = &push;
        let sent =
            key.call(Caller { place, ..super::caller(job) }, |key| async move {
                key.send(push, client, now).await
            })
            .await;
        if sent.as_ref().is_err_and(has_ended) {
            let reason = "the subscription has ended";
            services.suppressions.learn(Channel::Push, None, &push.endpoint, reason, PROVIDER).await;
        }
        Ok(super::receipt(sent?))
    }
}

/// Seconds for which the notification is still worth delivering. A time to live of 0 means "now or never", and the
/// first try is now.
fn left_of(ttl: u32, enqueued_ms: u64, now_ms: u64) -> Result<u32, Error> {
    let waited = u32::try_from(now_ms.saturating_sub(enqueued_ms) / 1_000).unwrap_or(u32::MAX);
    match ttl.checked_sub(waited) {
        Some(left) if 0 < left || ttl == 0 => Ok(left),
        _ => Err(Error::TooLate { waited, ttl }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_is_not_sent_after_its_time() {
        assert_eq!(left_of(60, 1_000, 11_999).unwrap(), 50);
        assert_eq!(left_of(0, 1_000, 1_500).unwrap(), 0);
        assert_eq!(left_of(60, 5_000, 1_000).unwrap(), 60);
        assert!(matches!(left_of(60, 0, 60_000), Err(Error::TooLate { waited: 60, ttl: 60 })));
    }
}
