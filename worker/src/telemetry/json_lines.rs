//! Log lines as JSON: `{"timestamp", "level", "message", "target", "fields": {…}, "spans": [{"name", …}]}`.
//!
//! tracing-subscriber's own JSON form drops the causes of an error and hides the message among the fields; here the
//! causes stand beside the error as `<field>.sources`, and the message where log stores look for it.

use std::{error::Error, fmt};

use serde::Serialize;
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::{LookupSpan, SpanRef},
};

use super::span_fields::object;

pub(super) struct JsonLines;

#[derive(Serialize)]
struct Line<'a> {
    timestamp: &'a str,
    level: &'static str,
    message: &'a str,
    target: &'a str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    fields: Map<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    spans: Vec<Value>,
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let mut fields = Fields::default();
        event.record(&mut fields);
        let spans =
            context.event_scope().map(|scope| scope.from_root().map(|span| in_json::<S, N>(&span)).collect());
        let line = Line {
            timestamp: &timestamp,
            level: event.metadata().level().as_str(),
            message: &fields.message,
            target: fields.target.as_deref().unwrap_or(event.metadata().target()),
            fields: fields.others,
            spans: spans.unwrap_or_default(),
        };
        writeln!(writer, "{}", serde_json::to_string(&line).map_err(|_| fmt::Error)?)
    }
}

/// A span with its fields, which the layer has kept as text (`span_fields.rs`).
fn in_json<S, N>(span: &SpanRef<'_, S>) -> Value
where
    S: for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    let extensions = span.extensions();
    let fields = extensions.get::<FormattedFields<N>>();
    let mut fields = fields.map(|members| object(members)).unwrap_or_default();
    fields.insert("name".to_owned(), span.name().into());
    fields.into()
}

/// The fields of one event, sorted by what they become.
#[derive(Default)]
struct Fields {
    message: String,
    target: Option<String>,
    others: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.others.insert(field.name().trim_start_matches("r#").to_owned(), value.into());
    }

    fn put_text(&mut self, field: &Field, text: String) {
        match field.name() {
            "message" => self.message = text,
            // Lines of libraries that use the `log` crate say in fields where they come from.
            "log.target" => self.target = Some(text),
            "log.module_path" | "log.file" | "log.line" => {}
            _ => self.put(field, text),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if !field.name().starts_with("log.") {
            self.put(field, value);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put_text(field, value.to_string());
        let mut causes: Vec<Value> = Vec::new();
        let mut cause = value.source();
        while let Some(error) = cause {
            causes.push(error.to_string().into());
            cause = error.source();
        }
        if !causes.is_empty() {
            self.others.insert(format!("{}.sources", field.name()), causes.into());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex, PoisonError},
    };

    use tracing::{info, info_span, warn};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::{config::env::LogFormat, telemetry::lines};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("history waits")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("no route to host")]
    struct Inner;

    fn logged(format: LogFormat, log: impl FnOnce()) -> String {
        let page = Page::default();
        let writer = page.clone();
        let subscriber = tracing_subscriber::registry().with(lines(format, false, move || writer.clone()));
        tracing::subscriber::with_default(subscriber, log);
        let bytes = page.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_is_one_object_with_message_fields_and_spans() {
        let line = logged(LogFormat::Json, || {
            let span =
                info_span!("run", job.id = "7", job.attempt = 2, note = tracing::field::Empty, load = 0.5);
            span.record("note", tracing::field::display("a \"b\"\n\\ñ"));
            let _span = span.entered();
            info!(queue.name = "email", jobs = 3, ok = true, "Settled \"three\"\nof them");
        });

        let mut line: Value = serde_json::from_str(&line).unwrap();
        assert!(line["timestamp"].take().as_str().unwrap().ends_with('Z'));
        assert_eq!(
            line,
            serde_json::json!({
                "timestamp": null, "level": "INFO", "message": "Settled \"three\"\nof them",
                "target": "flota_worker::telemetry::json_lines::tests",
                "fields": {"queue.name": "email", "jobs": 3, "ok": true},
                "spans": [
                    {"name": "run", "job.id": "7", "job.attempt": 2, "load": 0.5, "note": "a \"b\"\n\\ñ"},
                ],
            })
        );
    }

    #[test]
    fn both_forms_tell_the_causes_of_an_error() {
        let log = || warn!(error = &Outer(Inner) as &dyn Error, "Not recorded yet");

        let (json, pretty) = (logged(LogFormat::Json, log), logged(LogFormat::Pretty, log));

        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["fields"]["error"], "history waits");
        assert_eq!(json["fields"]["error.sources"], serde_json::json!(["no route to host"]));
        assert!(pretty.contains("error=history waits error.sources=[no route to host]"), "{pretty}");
    }
}
