//! Spans for a collector: one per run, one per call of a provider in it, sent by OTLP over HTTP.
//!
//! On only while `OTEL_EXPORTER_OTLP_ENDPOINT` is set; which share of traces is kept, how often they are sent and what
//! resource they come from say the standard variables of OpenTelemetry. Without it, nothing here costs anything.
//!
//! - the first try of a job is a child of the trace that its envelope carries: producer → run → call
//! - a later try, and every try of a replay, is a trace of its own that links to that one: they may be days apart, and a
//!   trace that is a week long is of no use to anybody
//!
//! Attributes follow the semantic conventions 1.42 for messaging, which are in development: names may change with a
//! release. Payloads, recipients and answers are in no span.

use std::{
    collections::HashMap,
    error::Error,
    fmt,
    pin::Pin,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use flota_engine::Job;
use flota_producer::Trace;
use opentelemetry::{
    Context, KeyValue,
    propagation::TextMapPropagator,
    trace::{TraceContextExt, TracerProvider},
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider},
};
use tokio::runtime::Handle;
use tracing::{Span, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::config::env::TraceVariables;

/// Spans with this target are for the collector alone, never for the log.
pub(super) const TARGET: &str = flota_providers::pipeline::SPAN_TARGET;
/// Name of this service, unless `OTEL_SERVICE_NAME` says otherwise.
const SERVICE: &str = "flota";
/// Longest `traceparent` and `tracestate`, in bytes (W3C Trace Context, section 3.3.1.5).
pub(crate) const MAX_TRACE: usize = 512;
/// Longest that one message to the collector takes.
const SEND: Duration = Duration::from_secs(10);
/// Pause between two log lines about a collector that does not answer.
const COMPLAIN_EVERY: Duration = Duration::from_mins(1);

static ON: AtomicBool = AtomicBool::new(false);

/// Sends what is left when it is ended.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Starts sending to a collector. Must be called inside the runtime that sends.
    ///
    /// # Errors
    /// When the address of the collector, or another of OpenTelemetry's variables, cannot be used.
    pub fn start(variables: &TraceVariables) -> Result<Self, BadCollector> {
        let collector = Collector::new(Handle::current()).map_err(|error| BadCollector(error.into()))?;
        let exporter = SpanExporter::builder().with_http().with_http_client(collector);
        let exporter =
            exporter.with_endpoint(variables.endpoint.as_str()).with_headers(variables.headers()).build();
        let exporter = exporter.map_err(|error| BadCollector(error.into()))?;
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(SERVICE);
        }
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = resource.with_attribute(version).build();
        ON.store(true, Ordering::Relaxed);
        Ok(Self(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
    }

    pub(super) fn tracer(&self) -> SdkTracer {
        self.0.tracer(SERVICE)
    }

    /// Sends what is left; from a thread that may block, while the runtime still runs.
    pub fn end(self) {
        if let Err(error) = self.0.shutdown() {
            warn!("The last spans did not reach the collector: {error}");
        }
    }
}

/// A collector that cannot be sent to.
#[derive(Debug, thiserror::Error)]
#[error(
    "traces cannot be sent; check OTEL_EXPORTER_OTLP_ENDPOINT and the other variables that begin with OTEL_"
)]
pub struct BadCollector(#[source] Box<dyn Error + Send + Sync>);

/// The span of a run, as a part of the trace that the job carries.
pub(crate) fn run_span(job: &Job) -> Span {
    let span = job.span();
    if !ON.load(Ordering::Relaxed) {
        return span;
    }
    span.record("otel.name", format!("process {}", job.queue)).record("otel.kind", "consumer");
    for (name, value) in [
        ("messaging.system", SERVICE.to_owned()),
        ("messaging.operation.name", "process".to_owned()),
        ("messaging.operation.type", "process".to_owned()),
        ("messaging.destination.name", job.queue.to_string()),
        ("messaging.message.id", job.id.to_string()),
    ] {
        span.set_attribute(name, value);
    }
    let Some(came_from) = job.envelope.trace.as_ref().and_then(context) else { return span };
    if job.attempt == 1 && !job.is_replay() {
        // Refused only when the span has begun, which it has not.
        let _child = span.set_parent(came_from);
    } else {
        span.add_link(came_from.span().span_context().clone());
    }
    span
}

/// Where the current span stands, for others to go on from; `None` while nothing is traced, or this trace is not kept.
pub(crate) fn current() -> Option<Trace> {
    if !ON.load(Ordering::Relaxed) {
        return None;
    }
    let context = Span::current().context();
    if !context.span().span_context().is_sampled() {
        return None;
    }
    let mut headers = HashMap::new();
    TraceContextPropagator::new().inject_context(&context, &mut headers);
    let tracestate = headers.remove("tracestate").filter(|state| !state.is_empty());
    Some(Trace { traceparent: headers.remove("traceparent")?, tracestate })
}

/// Writes the tokens of a language model's answer on the span of the run, after the conventions for generative AI.
pub(crate) fn tell_tokens(model: &str, input: u64, output: u64) {
    if ON.load(Ordering::Relaxed) {
        let span = Span::current();
        span.set_attribute("gen_ai.operation.name", "chat");
        span.set_attribute("gen_ai.response.model", model.to_owned());
        span.set_attribute("gen_ai.usage.input_tokens", input as i64);
        span.set_attribute("gen_ai.usage.output_tokens", output as i64);
    }
}

/// Whether this is a `traceparent` header: `00-<32 hex>-<16 hex>-<2 hex>`, and what later versions append.
pub(crate) fn is_traceparent(text: &str) -> bool {
    let hex = |part: Option<&str>, length| {
        let digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        part.is_some_and(|part| part.len() == length && part.bytes().all(digit))
    };
    let mut parts = text.split('-');
    let is_whole =
        hex(parts.next(), 2) && hex(parts.next(), 32) && hex(parts.next(), 16) && hex(parts.next(), 2);
    is_whole && text.len() <= MAX_TRACE
}

/// What a job carries, unless it is no trace context.
fn context(trace: &Trace) -> Option<Context> {
    let mut headers = HashMap::from([("traceparent".to_owned(), trace.traceparent.clone())]);
    headers.extend(trace.tracestate.clone().map(|state| ("tracestate".to_owned(), state)));
    let context = TraceContextPropagator::new().extract(&headers);
    context.span().span_context().is_valid().then_some(context)
}

/// Sends from the runtime of this program: the thread that gathers spans has none of its own.
struct Collector {
    client: reqwest::Client,
    runtime: Handle,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

impl Collector {
    fn new(runtime: Handle) -> reqwest::Result<Self> {
        Ok(Self { client: reqwest::Client::builder().timeout(SEND).build()?, runtime })
    }
}

type Sent = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send>>;

impl HttpClient for Collector {
    fn send_bytes<'life0, 'async_trait>(&'life0 self, request: Request<Bytes>) -> Sent
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let sending = self.runtime.spawn(send(self.client.clone(), request));
        Box::pin(async move {
            let answer = sending.await.map_err(HttpError::from).and_then(|answer| answer);
            match &answer {
                Ok(answer) if answer.status().is_success() => {}
                Ok(answer) => complain(&format!("it answers {}", answer.status())),
                Err(error) => complain(&crate::failure::chain(&**error)),
            }
            answer
        })
    }
}

async fn send(client: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let answer = client.execute(request.try_into()?).await?;
    let mut response = Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        *headers = answer.headers().clone();
    }
    Ok(response.body(answer.bytes().await?)?)
}

/// Says now and then that spans are lost. Jobs do not depend on it.
fn complain(why: &str) {
    static LAST: OnceLock<Mutex<Option<Instant>>> = OnceLock::new();
    let mut last = LAST.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if last.is_none_or(|last| COMPLAIN_EVERY <= last.elapsed()) {
        *last = Some(Instant::now());
        warn!("Spans do not reach the collector and are lost, jobs go on: {why}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_trace_context_is_ignored() {
        let trace = |text: &str| Trace { traceparent: text.to_owned(), tracestate: None };

        let real = context(&trace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")).unwrap();
        assert_eq!(real.span().span_context().trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        for wrong in ["", "00-0-0-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "\r\nx: y"]
        {
            assert!(context(&trace(wrong)).is_none(), "{wrong:?}");
        }
    }
}
