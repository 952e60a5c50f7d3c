//! The recorder behind `/metrics`, and the gauges of queues.
//!
//! Counters and histograms are recorded by every process for itself. The gauges of a queue describe what all
//! processes share, so exactly one process reports them: `flota serve`.

use std::{error::Error, sync::OnceLock, thread, time::Duration};

use flota_engine::inspect::Counts;
use metrics::{describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::error;

use super::metrics::{
    BUILD_INFO, DURATION_BUCKETS, JOBS_REPAIRED, METRICS, MetricKind, OUTBOX_WAITING, OUTCOMES_WAITING,
    QUEUE_JOBS, QUEUE_OLDEST_READY_AGE_SECONDS, QUEUE_PAUSED,
};

/// How often observations are added up; the exporter's own default.
const UPKEEP: Duration = Duration::from_secs(5);

/// Makes this process keep metrics, before anything is counted. The handle renders them for `/metrics`. Called again,
/// it answers the same handle.
pub fn install_recorder() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(install).clone()
}

fn install() -> PrometheusHandle {
    let recorder = builder().build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        error!("Metrics stay empty: something else in this process has installed a recorder of its own");
        return handle;
    }
    describe();
    keep_up(handle.clone());
    handle
}

/// Without this, observations of histograms would pile up in the memory of a worker that nobody asks for its metrics.
fn keep_up(handle: PrometheusHandle) {
    let work = move || {
        loop {
            thread::sleep(UPKEEP);
            handle.run_upkeep();
        }
    };
    if let Err(error) = thread::Builder::new().name("metrics-upkeep".to_owned()).spawn(work) {
        error!(
            error = &error as &dyn Error,
            "Metrics use more and more memory: their upkeep has no thread: {error}"
        );
    }
}

/// Reports how a queue stands. `dead` is the number of dead letters, or `None` while Postgres does not answer: then the
/// last number stays.
pub fn report_queue(queue: &str, counts: &Counts, dead: Option<u64>) {
    let states = [
        ("ready", Some(counts.ready)),
        ("delayed", Some(counts.delayed)),
        ("in_flight", Some(counts.running)),
        ("parked", Some(counts.parked)),
        ("in_line", Some(counts.in_line)),
        ("dead", dead),
    ];
    for (state, count) in states {
        if let Some(count) = count {
            gauge!(QUEUE_JOBS, "queue" => queue.to_owned(), "state" => state).set(count as f64);
        }
    }
    let oldest = Duration::from_millis(counts.oldest_ready_age_ms.unwrap_or(0));
    gauge!(QUEUE_OLDEST_READY_AGE_SECONDS, "queue" => queue.to_owned()).set(oldest.as_secs_f64());
    gauge!(QUEUE_PAUSED, "queue" => queue.to_owned()).set(f64::from(u8::from(counts.paused)));
    gauge!(JOBS_REPAIRED, "queue" => queue.to_owned()).set(counts.repaired as f64);
    gauge!(OUTCOMES_WAITING, "queue" => queue.to_owned()).set(counts.unrecorded as f64);
}

/// Reports how many jobs of the outbox wait to be put into Redis.
pub fn report_outbox(waiting: u64) {
    gauge!(OUTBOX_WAITING).set(waiting as f64);
}

/// Named buckets for every histogram: without them the exporter makes summaries, which cannot be added up.
pub(crate) fn builder() -> PrometheusBuilder {
    METRICS.iter().filter(|metric| metric.kind == MetricKind::Histogram).fold(
        PrometheusBuilder::new(),
        |builder, metric| {
            let name = Matcher::Full(metric.name.to_owned());
            // Refuses only an empty list of buckets.
            builder
                .set_buckets_for_metric(name, &DURATION_BUCKETS)
                .unwrap_or_else(|_| PrometheusBuilder::new())
        },
    )
}

pub(super) fn describe() {
    for metric in METRICS {
        match metric.kind {
            MetricKind::Counter => describe_counter!(metric.name, metric.help),
            MetricKind::Gauge => describe_gauge!(metric.name, metric.help),
            MetricKind::Histogram => describe_histogram!(metric.name, metric.help),
        }
    }
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_reported_by_state_and_an_unknown_number_keeps_the_last_one() {
        let recorder = builder().build_recorder();
        let mut counts = Counts {
            ready: 3,
            delayed: 2,
            running: 1,
            parked: 0,
            in_line: 4,
            paused: true,
            oldest_ready_age_ms: Some(1500),
            unrecorded: 7,
            repaired: 0,
        };

        metrics::with_local_recorder(&recorder, || {
            describe();
            report_queue("email", &counts, Some(4));
            (counts.paused, counts.ready, counts.oldest_ready_age_ms) = (false, 0, None);
            report_queue("email", &counts, None);
        });

        let page = recorder.handle().render();
        for line in [
            "# HELP flota_queue_paused 1 while the queue is paused, otherwise 0.",
            "# TYPE flota_queue_jobs gauge",
            "flota_queue_jobs{queue=\"email\",state=\"in_flight\"} 1",
            "flota_queue_jobs{queue=\"email\",state=\"delayed\"} 2",
            "flota_queue_jobs{queue=\"email\",state=\"in_line\"} 4",
            "flota_queue_jobs{queue=\"email\",state=\"dead\"} 4",
            "flota_queue_oldest_ready_age_seconds{queue=\"email\"} 0",
            "flota_queue_paused{queue=\"email\"} 0",
            "flota_outcomes_waiting{queue=\"email\"} 7",
            concat!("flota_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
        }
    }
}
