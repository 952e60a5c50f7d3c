//! A job as it is asked for over HTTP, and the job that producers send.

use std::time::Duration;

use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use flota_producer::{NewJob, Priority, Receipt, Trace};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Api,
    access::Caller,
    problem::{Problem, pointer},
    shared_means,
};
use crate::telemetry::{MAX_TRACE, is_traceparent};

/// A job to be enqueued. Only `kind` and `payload` must be there.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JobRequest {
    /// Kind of job, for example `send_email`; `GET /api/v1/kinds` lists them.
    #[schema(example = "send_email")]
    pub(super) kind: String,
    /// Its input; `GET /api/v1/kinds/{kind}/schema` says what is in it.
    #[schema(value_type = Object)]
    pub(super) payload: Box<RawValue>,
    /// Queue to use instead of the kind's own.
    pub(super) queue: Option<String>,
    /// Whose work it is; the token's tenant where it has one.
    pub(super) tenant: Option<String>,
    /// Start it this much later, in milliseconds.
    pub(super) delay_ms: Option<u64>,
    /// Start it at this time.
    pub(super) at: Option<DateTime<Utc>>,
    /// Idempotency key; for a single job usually the header `Idempotency-Key`.
    pub(super) key: Option<String>,
    /// How long the idempotency key is remembered, in milliseconds; a day unless given.
    pub(super) key_window_ms: Option<u64>,
    /// Unique key: nothing is added while a job with it is alive.
    pub(super) unique: Option<String>,
    /// Ordering key: jobs of the queue and tenant with the same key run one after the other, in the order in which they
    /// came. Excludes `delay_ms` and `at`.
    pub(super) order: Option<String>,
    /// Before or after the other jobs of the queue.
    #[serde(default)]
    #[schema(value_type = PriorityWord)]
    pub(super) priority: Priority,
    /// Failed tries before it is buried; the queue's setting unless given.
    pub(super) max_attempts: Option<u32>,
    /// Longest time one run may take, in milliseconds; the queue's setting unless given.
    pub(super) timeout_ms: Option<u64>,
    /// When it expires instead of starting.
    pub(super) deadline: Option<DateTime<Utc>>,
    /// Free labels.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(super) meta: Map<String, Value>,
}

/// Before or after the other jobs of a queue; `normal` unless given.
#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes flota_producer::Priority, which knows nothing of descriptions")]
pub(super) enum PriorityWord {
    High,
    Normal,
    Low,
}

/// A job that was accepted, or the one that was there first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Accepted {
    /// Its id.
    id: Uuid,
    /// Queue that it waits in.
    queue: String,
    /// Its kind.
    kind: String,
    /// True when an earlier job with the same idempotency or unique key stands for this one.
    pub(super) deduplicated: bool,
}

impl From<Receipt> for Accepted {
    fn from(receipt: Receipt) -> Self {
        let Receipt { id, queue, kind, deduplicated } = receipt;
        Self { id: id.uuid(), queue, kind, deduplicated }
    }
}

impl Accepted {
    /// Where it can be looked at.
    pub(super) fn location(&self) -> String {
        format!("/api/v1/jobs/{}", self.id)
    }

    pub(super) fn subject(&self) -> String {
        self.id.to_string()
    }
}

impl JobRequest {
    /// The job, once what can be known here has been checked. `queues` are those that there are.
    pub(super) fn into_job(self, api: &Api, caller: &Caller, queues: &[String]) -> Result<NewJob, Problem> {
        let kind = api.registry.get(&self.kind).ok_or_else(|| {
            let known = api.registry.names().collect::<Vec<_>>().join(", ");
            Problem::invalid("/kind", format!("is no kind that this release knows; it knows {known}"))
        })?;
        (kind.check)(&self.payload).map_err(|invalid| {
            let field = if invalid.field == "payload" { String::new() } else { pointer(&invalid.field) };
            Problem::invalid(format!("/payload{field}"), invalid.problem)
        })?;
        if caller.tenant().is_some() {
            shared_means::refuse(&self.kind, &self.payload)?;
        }
        let queue = self.queue.as_deref().unwrap_or(kind.queue);
        if self.queue.is_some() && !queues.iter().any(|known| known == queue) {
            let known = queues.join(", ");
            return Err(Problem::invalid("/queue", format!("is no queue of this fleet; it has {known}")));
        }
        if self.delay_ms.is_some() && self.at.is_some() {
            return Err(Problem::invalid("/at", "and `delay_ms` exclude each other; give one of them"));
        }
        let mut job = NewJob::untyped(&self.kind, queue, self.payload).priority(self.priority);
        if let Some(tenant) = caller.meant(self.tenant)? {
            job = job.tenant(tenant);
        }
        if let Some(delay) = self.delay_ms {
            job = job.after(Duration::from_millis(delay));
        }
        if let Some(at) = self.at {
            job = job.at(unix_ms("/at", at)?);
        }
        if let Some(deadline) = self.deadline {
            job = job.deadline(unix_ms("/deadline", deadline)?);
        }
        if let Some(key) = self.key {
            job = job.key(key);
        }
        if let Some(window) = self.key_window_ms {
            job = job.key_window(Duration::from_millis(window));
        }
        if let Some(unique) = self.unique {
            job = job.unique(unique);
        }
        if let Some(order) = self.order {
            job = job.in_order(order);
        }
        if let Some(attempts) = self.max_attempts {
            job = job.max_attempts(attempts);
        }
        if let Some(timeout) = self.timeout_ms {
            job = job.timeout(Duration::from_millis(timeout));
        }
        Ok(self.meta.into_iter().fold(job, |job, (name, value)| job.meta(name, value)))
    }
}

fn unix_ms(pointer: &str, time: DateTime<Utc>) -> Result<u64, Problem> {
    u64::try_from(time.timestamp_millis()).map_err(|_| Problem::invalid(pointer, "is before 1970"))
}

/// The trace that the caller is in, where its headers say so; one that cannot be read is left out, as W3C wants it.
pub(super) fn trace(headers: &HeaderMap) -> Option<Trace> {
    let text = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        (value.len() <= MAX_TRACE).then(|| value.to_owned())
    };
    let traceparent = text("traceparent").filter(|text| is_traceparent(text))?;
    Some(Trace { traceparent, tracestate: text("tracestate") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_taken_over_and_a_broken_one_is_not() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", value.parse().unwrap());
            trace(&headers).map(|trace| trace.traceparent)
        };
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

        assert_eq!(of(good).as_deref(), Some(good));
        for bad in ["", "00-xyz-b7ad6b7169203331-01", &good[..40], &"a".repeat(600)] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
