//! Counts what the provider pipeline tells.
//!
//! No label holds a tenant, a host or a credential: each value of a label is a time series of its own. The share of an
//! allowance that is used up is therefore the highest of a provider's allowances in the last moments.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use flota_providers::{
    Standing,
    pipeline::{CallEvent, CallObserver},
};
use metrics::{counter, gauge, histogram};

use super::metrics::{
    PROVIDER_CALL_DURATION, PROVIDER_CALLS, PROVIDER_CIRCUITS_OPENED, PROVIDER_CREDENTIALS_PAUSED,
    PROVIDER_FALLBACKS, PROVIDER_LIMIT_USED, PROVIDER_PUT_OFF,
};

/// For how long the highest share counts.
const MOMENTS: Duration = Duration::from_secs(10);

/// A [`CallObserver`] that counts. Make it after [`super::install_recorder`].
#[derive(Default)]
pub struct CallMetrics {
    used: Mutex<HashMap<&'static str, (Instant, f64)>>,
}

impl CallMetrics {
    fn highest(&self, provider: &'static str, used: f64) -> f64 {
        let (mut all, now) = (self.used.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        let (since, highest) = all.entry(provider).or_insert((now, used));
        if MOMENTS < now.duration_since(*since) {
            (*since, *highest) = (now, used);
        }
        *highest = highest.max(used);
        *highest
    }
}

impl CallObserver for CallMetrics {
    fn observe(&self, event: &CallEvent<'_>) {
        match *event {
            CallEvent::Ended { facts, took, error } => {
                let (provider, operation) = (facts.provider, facts.operation);
                let result = error.map_or("ok", |error| error.class.name());
                counter!(PROVIDER_CALLS, "provider" => provider, "operation" => operation, "result" => result)
                    .increment(1);
                histogram!(PROVIDER_CALL_DURATION, "provider" => provider, "operation" => operation)
                    .record(took);
            }
            CallEvent::PutOff { facts, error } => {
                let reason = match error.code.as_deref() {
                    _ if error.standing == Standing::Turn => "limit",
                    Some("own_limit") => "limit",
                    Some("credential_paused") => "credential",
                    _ => "circuit",
                };
                counter!(PROVIDER_PUT_OFF, "provider" => facts.provider, "reason" => reason).increment(1);
            }
            CallEvent::LimitUsed { facts, used } => {
                let used = self.highest(facts.provider, used);
                gauge!(PROVIDER_LIMIT_USED, "provider" => facts.provider).set(used);
            }
            CallEvent::CredentialPaused { facts } => {
                counter!(PROVIDER_CREDENTIALS_PAUSED, "provider" => facts.provider).increment(1);
            }
            CallEvent::CircuitOpened { facts } => {
                counter!(PROVIDER_CIRCUITS_OPENED, "provider" => facts.provider).increment(1);
            }
            CallEvent::PassedOn { from, to, .. } => {
                counter!(PROVIDER_FALLBACKS, "from" => from, "to" => to).increment(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flota_providers::{
        ErrorClass, ProviderError,
        pipeline::{Facts, LimitKey},
    };

    use super::*;
    use crate::telemetry::recorder;

    fn facts() -> Arc<Facts> {
        let key = LimitKey { provider: "twilio", tenant: "".into(), credential: "global".into() };
        Arc::new(Facts {
            provider: "twilio",
            operation: "send",
            tenant: None,
            ticket: "job".into(),
            key,
            host: "api.twilio.com:443".into(),
            deadline: None,
            may_double: true,
        })
    }

    #[test]
    fn calls_waits_and_shares_are_counted_by_provider() {
        let (recorder, facts) = (recorder::builder().build_recorder(), facts());
        let failed = |class| ProviderError::new("twilio", "send", class, "told to");
        let limited = failed(ErrorClass::RateLimited { retry_after: None }).with_standing(Standing::Turn);
        let took = Duration::from_millis(300);

        metrics::with_local_recorder(&recorder, || {
            let counts = CallMetrics::default();
            counts.observe(&CallEvent::Ended { facts: &facts, took, error: None });
            counts.observe(&CallEvent::Ended {
                facts: &facts,
                took,
                error: Some(&failed(ErrorClass::Timeout)),
            });
            counts.observe(&CallEvent::PutOff { facts: &facts, error: &limited });
            let error = &failed(ErrorClass::Quota);
            counts.observe(&CallEvent::PassedOn { from: "sendgrid", to: "ses", error });
            for used in [0.2, 0.7, 0.4] {
                counts.observe(&CallEvent::LimitUsed { facts: &facts, used });
            }
        });

        let page = recorder.handle().render();
        for line in [
            "flota_provider_calls_total{provider=\"twilio\",operation=\"send\",result=\"ok\"} 1",
            "flota_provider_calls_total{provider=\"twilio\",operation=\"send\",result=\"timeout\"} 1",
            "flota_provider_put_off_total{provider=\"twilio\",reason=\"limit\"} 1",
            "flota_provider_fallbacks_total{from=\"sendgrid\",to=\"ses\"} 1",
            "flota_provider_limit_used_ratio{provider=\"twilio\"} 0.7",
            "flota_provider_call_duration_seconds_count{provider=\"twilio\",operation=\"send\"} 2",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
        }
    }
}
