//! Counters of what should never happen begin at 0, before it happens.
//!
//! Prometheus sees an increase only between two numbers. A counter that appears with its first event shows none, and an
//! alert on it would sleep through exactly that event. Those of the engine begin in `event_metrics.rs`.

use metrics::counter;

use super::metrics::{
    OUTCOME_WRITES, PROVIDER_CIRCUITS_OPENED, PROVIDER_CREDENTIALS_PAUSED, WEBHOOK_ENDPOINTS_DISABLED,
};
use crate::{endpoints, limits::BUILT_IN};

/// Lets them begin, for a process that works on these queues. Call it after [`super::install_recorder`].
pub fn begin_rare_events<'a>(queues: impl IntoIterator<Item = &'a str>) {
    for queue in queues {
        counter!(OUTCOME_WRITES, "queue" => queue.to_owned(), "result" => "refused").increment(0);
    }
    for provider in BUILT_IN.iter().map(|limit| limit.provider) {
        counter!(PROVIDER_CREDENTIALS_PAUSED, "provider" => provider).increment(0);
        counter!(PROVIDER_CIRCUITS_OPENED, "provider" => provider).increment(0);
    }
    for reason in endpoints::REASONS_TO_DISABLE {
        counter!(WEBHOOK_ENDPOINTS_DISABLED, "reason" => reason).increment(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::recorder;

    #[test]
    fn what_has_not_happened_is_zero_and_not_absent() {
        let recorder = recorder::builder().build_recorder();

        metrics::with_local_recorder(&recorder, || begin_rare_events(["email"]));

        let page = recorder.handle().render();
        for line in [
            "flota_outcome_writes_total{queue=\"email\",result=\"refused\"} 0",
            "flota_provider_credentials_paused_total{provider=\"twilio\"} 0",
            "flota_provider_circuits_opened_total{provider=\"smtp\"} 0",
            "flota_webhook_endpoints_disabled_total{reason=\"gone\"} 0",
            "flota_webhook_endpoints_disabled_total{reason=\"failing\"} 0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
        }
    }
}
