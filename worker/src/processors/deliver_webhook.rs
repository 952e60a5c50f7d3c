//! Delivers one event to a customer's endpoint, signed after Standard Webhooks.
//!
//! The job's id is the `webhook-id` of every attempt, so the receiver can tell a repeat. An endpoint that answers
//! 410 Gone is disabled: its owner said that it will not come back.

use chrono::{DateTime, SecondsFormat};
use flota_engine::{IfRepeated, Job, Processor, Receipt};
use flota_producer::{DeliverWebhook, clock};
use flota_providers::{
    ErrorClass, ProviderError,
    api::host_and_port,
    pipeline::{Caller, Place},
    webhook::{Delivery, SigningSecret},
};
use serde::Serialize;
use serde_json::Value;
use tracing::{error, warn};

use crate::{
    failure::{Error, chain},
    services::Services,
};

/// The body that Standard Webhooks asks for.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    timestamp: String,
    data: &'a Value,
}

impl Processor<Services> for DeliverWebhook {
    const IF_REPEATED: IfRepeated = IfRepeated {
        at_worst: "The event is delivered twice, byte for byte the same but for its signature.",
        key: "`webhook-id`, the job's id: the same in every run and replay of a run, for ever.",
        receiver: "Remember ids for as long as jobs may be retried, a day or more, and answer 2xx to one that is known.",
    };

    type Error = Error;

    async fn run(self, job: &Job, services: &Services) -> Result<Receipt, Error> {
        let (url, secret) = target(&self, job, services).await?;
        let delivery = Delivery {
            id: job.id.to_string(),
            body: body(&self, job.envelope.at).into(),
            url,
            keys: vec![secret.into()],
            extra_headers: Vec::new(),
        };
        let client = services.webhooks.client_for(&delivery.url);
        let host = host_and_port(&delivery.url);
        // A registered endpoint has an allowance and a circuit of its own; a plain URL shares those of its host.
        let name = self.endpoint.as_deref().unwrap_or(&host);
        let place = Some(Place { name, host: name });
        let (delivery, now) = (&delivery, clock::unix_now().as_secs() as i64);
        let delivered = client.call(Caller { place, ..super::caller(job) }, |client| async move {
            client.deliver(delivery, now).await
        });
        match delivered.await {
            Ok(sent) => Ok(Receipt {
                provider: Some(sent.provider.into()),
                provider_ref: sent.provider_ref,
                result: sent.detail,
            }),
            Err(error) => {
                disable_if_gone(&self, &error, services).await;
                Err(error.into())
            }
        }
    }
}

/// Where it goes and what signs it.
async fn target(
    event: &DeliverWebhook,
    job: &Job,
    services: &Services,
) -> Result<(String, SigningSecret), Error> {
    let missing = |what, variable| Error::NotConfigured { what, variable };
    if let Some(id) = &event.endpoint {
        let endpoints = services.endpoints.as_ref();
        let endpoints =
            endpoints.ok_or(missing("The endpoint register", "DATABASE_URL and FLOTA_ENCRYPTION_KEYS"))?;
        let endpoint = endpoints.usable(id, job.envelope.tenant.as_deref()).await?;
        return Ok((endpoint.url.clone(), endpoint.secret.clone()));
    }
    let secret = services.webhook_secret.clone();
    let secret = secret.ok_or(missing("The secret that signs webhooks to plain URLs", "WEBHOOK_SECRET"))?;
    Ok((event.url.clone().unwrap_or_default(), secret))
}

fn body(event: &DeliverWebhook, enqueued_ms: u64) -> Vec<u8> {
    let enqueued = DateTime::from_timestamp_millis(enqueued_ms as i64).unwrap_or_default();
    let timestamp = enqueued.to_rfc3339_opts(SecondsFormat::Millis, true);
    let body = Body { r#type: &event.event, timestamp, data: &event.data };
    serde_json::to_vec(&body).expect("strings and JSON always encode")
}

async fn disable_if_gone(event: &DeliverWebhook, error: &ProviderError, services: &Services) {
    let (ErrorClass::Gone, Some(id), Some(endpoints)) = (&error.class, &event.endpoint, &services.endpoints)
    else {
        return;
    };
    match endpoints.disable(id, "it answered 410 Gone").await {
        Ok(_) => warn!(endpoint = %id, "Endpoint {id} is disabled: it answered 410 Gone"),
        Err(error) => {
            error!(endpoint = %id, "Endpoint {id} answered 410 Gone but could not be disabled: {}", chain(&error));
        }
    }
}
