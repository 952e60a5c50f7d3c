//! Traces: what a collector gets to see of jobs, and what jobs notice of a collector.

use std::{collections::HashMap, time::Duration};

use flota_tests::{PATIENCE, program::Installation};
use flota_worker::dev::{WebhookAnswer, WebhookSink};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, any_value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;
use serde_json::json;
use tokio::time::sleep;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
const PAYLOAD_CANARY: &str = "canary-of-the-payload";

/// A span with its attributes as text.
struct Seen {
    span: Span,
    attributes: HashMap<String, String>,
}

impl Seen {
    fn trace(&self) -> String {
        hex(&self.span.trace_id)
    }

    fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    /// Traces that it links to.
    fn links(&self) -> Vec<String> {
        self.span.links.iter().map(|link| hex(&link.trace_id)).collect()
    }

    fn failed(&self) -> bool {
        self.span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error)
    }
}

fn hex(bytes: &[u8]) -> String {
    let number = bytes.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    format!("{number:0width$x}", width = 2 * bytes.len())
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// Everything that the collector was sent, in the order in which it began.
fn spans(collector: &WebhookSink) -> Vec<Seen> {
    let mut spans = Vec::new();
    for message in collector.received() {
        assert_eq!((message.path.as_str(), message.header("api-key")), ("/v1/traces", Some("s3cret")));
        let message = ExportTraceServiceRequest::decode(message.body).expect("a message of OTLP");
        for resource in message.resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            let service = attributes.into_iter().find(|attribute| attribute.key == "service.name");
            assert_eq!(text(service.and_then(|service| service.value)), "flota");
            spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    spans.sort_by_key(|span| span.start_time_unix_nano);
    let seen = |span: Span| {
        let attributes =
            span.attributes.iter().map(|one| (one.key.clone(), text(one.value.clone()))).collect();
        Seen { span, attributes }
    };
    spans.into_iter().map(seen).collect()
}

#[tokio::test]
async fn a_trace_goes_from_the_caller_through_the_run_to_the_receiver_and_later_tries_link_to_it() {
    let mut flota = Installation::new().await;
    let (hooks, collector) = (WebhookSink::start().await.unwrap(), WebhookSink::start().await.unwrap());
    flota.webhooks_inside().make_keys().await;
    flota
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url(""))
        .set("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s3cret");
    let endpoint = flota.add_endpoint(&hooks.url("/hook"), &[]).await;
    let event = json!({ "endpoint": endpoint, "event": "order.paid", "data": PAYLOAD_CANARY });
    let caller = format!("00-{TRACE}-{CALLER}-01");
    hooks.answer("/hook", WebhookAnswer::status(500));
    let worker = flota.start(&["worker"]).await;

    let data = event.to_string();
    let enqueue = ["enqueue", "deliver_webhook", "-o", "json", "--data", &data, "--max-attempts", "1"];
    let dead =
        flota.flota(&[&enqueue[..], &["--traceparent", &caller, "--wait"]].concat()).await.expect(1).json();
    hooks.answer("/hook", WebhookAnswer::status(204));
    // A replay is known by an id that is younger than its envelope.
    sleep(Duration::from_millis(1_100)).await;
    flota.flota(&["dead", "replay", dead["id"].as_str().unwrap(), "--yes"]).await.expect(0);
    let delivered = hooks.wait_for(2, PATIENCE).await.unwrap();
    worker.stop().await;

    let spans = spans(&collector);
    let named = |name: &str| spans.iter().filter(|seen| seen.span.name == name).collect::<Vec<_>>();
    let (runs, calls) = (named("process webhook"), named("deliver webhook"));
    assert_eq!((runs.len(), calls.len(), spans.len()), (2, 2, 4));
    let (first, replay) = (runs[0], runs[1]);
    assert_eq!((first.trace().as_str(), first.parent().as_str(), first.failed()), (TRACE, CALLER, true));
    assert_eq!(first.span.kind(), SpanKind::Consumer);
    for (name, value) in [
        ("messaging.system", "flota"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", "webhook"),
        ("messaging.message.id", dead["id"].as_str().unwrap()),
        ("job.kind", "deliver_webhook"),
        ("job.attempt", "1"),
        ("error.type", "server_error"),
    ] {
        assert_eq!(first.attributes.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_ne!(replay.trace(), TRACE, "a replay is a trace of its own");
    assert_eq!((replay.links(), replay.failed()), (vec![TRACE.to_owned()], false));
    for (call, run) in calls.iter().zip(&runs) {
        assert_eq!((call.trace(), call.parent()), (run.trace(), run.id()));
        assert_eq!((call.span.kind(), call.failed()), (SpanKind::Client, run.failed()));
    }
    let headers: Vec<&str> = delivered.iter().map(|request| request.header("traceparent").unwrap()).collect();
    assert!(headers[0].contains(TRACE) && headers[1].contains(&replay.trace()), "{headers:?}");
    assert!(!collector.received().iter().any(|message| has(&message.body, PAYLOAD_CANARY)));
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn jobs_do_not_depend_on_a_collector_that_is_away() {
    let mut flota = Installation::new().await;
    let hooks = WebhookSink::start().await.unwrap();
    flota.webhooks_inside().make_keys().await;
    // Nobody listens on port 1.
    flota.set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1").set("OTEL_BSP_SCHEDULE_DELAY", 50);
    let endpoint = flota.add_endpoint(&hooks.url("/hook"), &[]).await;
    let event = json!({ "endpoint": endpoint, "event": "order.paid", "data": 42 });
    let worker = flota.start(&["worker"]).await;

    for _ in 0..3 {
        let id = flota.enqueue("deliver_webhook", &event, &["--wait"]).await;
        assert_eq!(flota.job(&id).await["state"], "succeeded");
    }
    let log = worker.log();
    worker.stop().await;

    assert!(log.matches("Spans do not reach the collector").count() <= 1, "{log}");
}

#[tokio::test]
async fn an_address_of_a_collector_that_cannot_be_is_told_at_start() {
    let mut flota = Installation::new().await;
    flota.set("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318");

    let refused = flota.flota(&["queue", "list"]).await.expect(2);

    assert!(refused.refusal().contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{refused:?}");
    assert!(refused.refusal().contains("http://localhost:4318"), "{refused:?}");
}
