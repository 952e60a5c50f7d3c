//! Telemetry: how this process logs, and what it counts.
//!
//! Logs go to standard error, one line each: for people on a terminal, as JSON elsewhere (`json_lines.rs`). An error that
//! is recorded as a field (`error = &error as &dyn Error`) is followed by its causes in both forms.
//! Spans of runs and calls go to a collector of traces where one is named (`traces.rs`).
//! Metrics are named in one table (`metrics.rs`); [`EventMetrics`] counts what the engine tells.

pub mod metrics;

mod call_metrics;
mod event_metrics;
mod json_lines;
mod rare_events;
pub(crate) mod recorder;
mod span_fields;
mod traces;

use std::{
    error::Error,
    io::{self, IsTerminal},
};

use tracing::{Level, Metadata, Subscriber, warn};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{LevelFilter, ParseError, Targets, filter_fn},
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

pub(crate) use self::traces::{MAX_TRACE, current as current_trace, is_traceparent, run_span, tell_tokens};
pub use self::{
    call_metrics::CallMetrics,
    event_metrics::EventMetrics,
    rare_events::begin_rare_events,
    recorder::{install_recorder, report_outbox, report_queue},
    traces::{BadCollector, Traces},
};
use crate::config::env::{DEFAULT_FILTER, LogFormat};

/// Where the modules of the storage's SDK begin.
const SDK: &str = "aws_";

/// Sets up logging for this process. The first call counts; later ones change nothing.
///
/// Without a format, people at a terminal get lines and everything else gets JSON. A filter that cannot be read is told
/// and replaced by the default, so that a process is never silent because of a slip.
pub fn init(format: impl Into<Option<LogFormat>>, filter: Option<&str>, traces: Option<&Traces>) {
    let (filter, slip) = chosen_filter(filter);
    let terminal = io::stderr().is_terminal();
    let format = chosen_format(format.into(), terminal);
    let first = match traces {
        // Without traces one filter stands before everything, and what nobody reads is not even built.
        None => {
            let lines = lines(format, terminal, io::stderr);
            tracing_subscriber::registry()
                .with(before_all(filter))
                .with(filter_fn(is_discreet))
                .with(lines)
                .try_init()
                .is_ok()
        }
        Some(traces) => {
            let spans = tracing_opentelemetry::layer().with_tracer(traces.tracer());
            let spans = spans.with_location(false).with_threads(false).with_filter(ours());
            tracing_subscriber::registry()
                .with(filter_fn(is_discreet))
                .with(lines(format, terminal, io::stderr).with_filter(filter))
                .with(spans)
                .try_init()
                .is_ok()
        }
    };
    if let (true, Some(error)) = (first, slip) {
        warn!(
            error = &error as &dyn Error,
            "RUST_LOG is not usable, {DEFAULT_FILTER} is used instead: {error}"
        );
    }
}

/// What is worth a span: runs, and calls of providers.
fn ours() -> Targets {
    Targets::new()
        .with_target("flota_engine", LevelFilter::INFO)
        .with_target(traces::TARGET, LevelFilter::INFO)
}

/// False for what the SDK of the storage tells of single requests: whole answers, in which a server may have quoted our
/// credentials, and signed addresses. `RUST_LOG` cannot ask for it.
fn is_discreet(of: &Metadata<'_>) -> bool {
    !of.target().starts_with(SDK) || *of.level() <= Level::INFO
}

fn chosen_filter(filter: Option<&str>) -> (EnvFilter, Option<ParseError>) {
    let only_traces = || format!("{}=off", traces::TARGET).parse().expect("a directive");
    let (filter, slip) = match EnvFilter::builder().parse(filter.unwrap_or(DEFAULT_FILTER)) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(DEFAULT_FILTER), Some(error)),
    };
    (filter.add_directive(only_traces()), slip)
}

/// The filter, in the simplest form that it has: one that may name spans looks at every span of every run, whether or not any
/// was named. Where runs are traced, that is little beside the rest.
fn before_all<S: Subscriber>(filter: EnvFilter) -> Box<dyn Layer<S> + Send + Sync> {
    let directives = filter.to_string();
    let names_spans = directives.contains('[');
    match directives.parse::<Targets>() {
        Ok(levels) if !names_spans => Box::new(levels),
        _ => Box::new(filter),
    }
}

fn chosen_format(format: Option<LogFormat>, terminal: bool) -> LogFormat {
    format.unwrap_or(if terminal { LogFormat::Pretty } else { LogFormat::Json })
}

fn lines<S, W>(format: LogFormat, terminal: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer);
    match format {
        // On a terminal the layer itself decides on colours: it obeys NO_COLOR.
        LogFormat::Pretty if terminal => layer.boxed(),
        LogFormat::Pretty => layer.with_ansi(false).boxed(),
        LogFormat::Json => layer
            .fmt_fields(span_fields::SpanFields)
            .event_format(json_lines::JsonLines)
            .with_ansi(false)
            .boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_get_lines_and_machines_get_json() {
        assert_eq!(chosen_format(None, true), LogFormat::Pretty);
        assert_eq!(chosen_format(None, false), LogFormat::Json);
        assert_eq!(chosen_format(Some(LogFormat::Pretty), false), LogFormat::Pretty);
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_told_and_replaced() {
        let (filter, slip) = chosen_filter(Some("info,sqlx=loud"));

        assert_eq!(filter.to_string(), chosen_filter(None).0.to_string());
        assert!(slip.is_some());
        assert!(chosen_filter(None).1.is_none());
    }

    #[test]
    fn levels_by_module_are_kept_in_the_simplest_form() {
        let is_heard = |filter: &str| {
            let filter = before_all(chosen_filter(Some(filter)).0);
            let subscriber = tracing_subscriber::registry().with(filter);
            tracing::subscriber::with_default(subscriber, || {
                let span = tracing::info_span!("run", job.id = "7");
                let within = span.in_scope(|| tracing::enabled!(Level::DEBUG));
                [tracing::enabled!(Level::INFO), tracing::enabled!(target: "sqlx", Level::INFO), within]
            })
        };

        assert_eq!(is_heard(DEFAULT_FILTER), [true, false, false]);
        assert_eq!(is_heard("off"), [false, false, false]);
        assert_eq!(is_heard("info,[run]=debug"), [true, true, true]);
    }
}
