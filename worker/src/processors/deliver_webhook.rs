//! Delivers one event to a customer's endpoint, signed after Standard Webhooks.
//!
//! The job's id is the `webhook-id` of every attempt, so the receiver can tell a repeat; a dead letter that is replayed is a
//! new job, whose envelope is the letter's to the byte and has no room for the first id. A registered endpoint gets at
//! most as many deliveries at once as it bears, and is given up when it is gone or fails for days
//! (`endpoints/health.rs`).

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use flota_engine::{IfRepeated, Job, Processor, Receipt};
use flota_producer::{DeliverWebhook, clock};
use flota_providers::{
    ErrorClass, ProviderError,
    api::host_and_port,
    pipeline::{Caller, Place},
    webhook::{Delivery, SigningKey},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    endpoints::{self, Endpoint, Endpoints},
    failure::Error,
    services::Services,
    telemetry,
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
        key: "`webhook-id`, the job's id: the same in every run, for ever. A replayed dead letter is a new job with an id of its own.",
        receiver: "Remember ids for as long as jobs may be retried, four days or more, and answer 2xx to one that is known. Know an event that was replayed by an id in its data.",
    };

    type Error = Error;

    async fn run(self, job: &Job, services: &Services) -> Result<Receipt, Error> {
        let now_unix = clock::unix_now().as_secs() as i64;
        let now = DateTime::from_timestamp(now_unix, 0).unwrap_or_default();
        let target = target(&self, job, services, now).await?;
        let mut place = target.place(job, services).await?;
        let delivery = Delivery {
            id: job.id.to_string(),
            body: body(&self, job.envelope.at).into(),
            url: target.url,
            keys: target.keys,
            extra_headers: trace_headers(),
        };
        let delivered = deliver(&delivery, self.endpoint.as_deref(), job, services, now_unix).await;
        if let Some(place) = &mut place {
            place.was_sent = !delivered.as_ref().is_err_and(ProviderError::was_not_sent);
        }
        drop(place);
        if let Some((id, endpoint, endpoints)) = target.registered {
            keep_health(id, &endpoint, endpoints, &delivered, now).await;
        }
        let sent = delivered?;
        Ok(Receipt {
            provider: Some(sent.provider.into()),
            provider_ref: sent.provider_ref,
            result: sent.detail,
        })
    }
}

/// Lets the receiver go on with the trace, where one is kept.
fn trace_headers() -> Vec<(String, String)> {
    let Some(trace) = telemetry::current_trace() else { return Vec::new() };
    let state = trace.tracestate.map(|state| ("tracestate".to_owned(), state));
    [("traceparent".to_owned(), trace.traceparent)].into_iter().chain(state).collect()
}

/// Where an event goes and what signs it.
struct Target<'a> {
    url: String,
    keys: Vec<SigningKey>,
    /// Id, endpoint and register; `None` for a plain URL.
    registered: Option<(&'a str, Arc<Endpoint>, &'a Endpoints)>,
}

impl Target<'_> {
    /// A place at an endpoint that bears only so many deliveries at once.
    async fn place(&self, job: &Job, services: &Services) -> Result<Option<endpoints::Place>, Error> {
        let Some((id, endpoint, _)) = &self.registered else { return Ok(None) };
        let Some(most) = endpoint.max_concurrent else { return Ok(None) };
        Ok(Some(services.places.take(id, most, &job.id.to_string(), job.run).await?))
    }
}

async fn target<'a>(
    event: &'a DeliverWebhook,
    job: &Job,
    services: &'a Services,
    now: DateTime<Utc>,
) -> Result<Target<'a>, Error> {
    let missing = |what, variable| Error::NotConfigured { what, variable };
    if let Some(id) = &event.endpoint {
        let endpoints = services.endpoints.as_ref();
        let endpoints =
            endpoints.ok_or(missing("The endpoint register", "DATABASE_URL and FLOTA_ENCRYPTION_KEYS"))?;
        let endpoint = endpoints.usable(id, job.envelope.tenant.as_deref()).await?;
        let (url, keys) = (endpoint.url.clone(), endpoint.keys(now));
        return Ok(Target { url, keys, registered: Some((id, endpoint, endpoints)) });
    }
    let secret = services.webhook_secret.clone();
    let secret = secret.ok_or(missing("The secret that signs webhooks to plain URLs", "WEBHOOK_SECRET"))?;
    let url = event.url.clone().unwrap_or_default();
    Ok(Target { url, keys: vec![secret.into()], registered: None })
}

/// Sends it through the pipeline. A registered endpoint has an allowance and a circuit of its own; a plain URL shares
/// those of its host.
async fn deliver(
    delivery: &Delivery,
    endpoint: Option<&str>,
    job: &Job,
    services: &Services,
    now_unix: i64,
) -> Result<flota_providers::Receipt, ProviderError> {
    let host = host_and_port(&delivery.url);
    let name = endpoint.unwrap_or(&host);
    let place = Some(Place { name, host: name });
    let client = match endpoint {
        Some(_) => services.webhooks.for_endpoint(&delivery.url),
        None => services.webhooks.for_plain_url(),
    };
    let caller = Caller { place, ..super::caller(job) };
    client.call(caller, |client| async move { client.deliver(delivery, now_unix).await }).await
}

/// Keeps count of how deliveries to an endpoint go. What was not sent says nothing.
async fn keep_health(
    id: &str,
    endpoint: &Endpoint,
    endpoints: &Endpoints,
    delivered: &Result<flota_providers::Receipt, ProviderError>,
    now: DateTime<Utc>,
) {
    match delivered {
        Ok(_) => endpoints.succeeded(id, endpoint, now).await,
        Err(error) if error.was_not_sent() => {}
        Err(error) if error.class == ErrorClass::Gone => endpoints.gone(id, now).await,
        Err(_) => {
            endpoints.failed(id, now).await;
        }
    }
}

fn body(event: &DeliverWebhook, enqueued_ms: u64) -> Vec<u8> {
    let enqueued = DateTime::from_timestamp_millis(enqueued_ms as i64).unwrap_or_default();
    let timestamp = enqueued.to_rfc3339_opts(SecondsFormat::Millis, true);
    let body = Body { r#type: &event.event, timestamp, data: &event.data };
    serde_json::to_vec(&body).expect("strings and JSON always encode")
}
