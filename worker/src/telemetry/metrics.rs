//! Every metric of Flota: name, kind, labels, help. Recording, `/metrics` and `docs/metrics.md` use this one table.
//!
//! Names follow Prometheus: prefix `flota_`, base units, `_total` on counters. No label holds the id of a job or a
//! tenant, because each value of a label is a time series of its own.

use std::fmt::Write;

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: MetricKind,
    /// Its labels, each with the values that it can have.
    pub labels: &'static [(&'static str, &'static str)],
    /// What it says, in a sentence.
    pub help: &'static str,
}

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only rises; starts again at 0 with the process.
    Counter,
    /// Rises and falls.
    Gauge,
    /// How many observations were at most so large.
    Histogram,
}

impl MetricKind {
    /// The word that Prometheus uses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Requests to the HTTP API.
pub const API_REQUESTS: &str = "flota_api_requests_total";
/// Runs that ended.
pub const JOB_ATTEMPTS: &str = "flota_job_attempts_total";
/// How long runs took.
pub const JOB_DURATION: &str = "flota_job_duration_seconds";
/// Runs taken back from vanished workers.
pub const JOBS_RECOVERED: &str = "flota_jobs_recovered_total";
/// Runs that lost their lease.
pub const LEASES_LOST: &str = "flota_leases_lost_total";
/// Queues that Redis has lost.
pub const QUEUES_WIPED: &str = "flota_queues_wiped_total";
/// Due jobs that became ready.
pub const JOBS_PROMOTED: &str = "flota_jobs_promoted_total";
/// Parked jobs that became ready.
pub const JOBS_UNPARKED: &str = "flota_jobs_unparked_total";
/// Steps that Redis did not take.
pub const REDIS_TROUBLE: &str = "flota_redis_trouble_total";
/// Jobs by state.
pub const QUEUE_JOBS: &str = "flota_queue_jobs";
/// Age of the job that is next in line.
pub const QUEUE_OLDEST_READY_AGE_SECONDS: &str = "flota_queue_oldest_ready_age_seconds";
/// Whether a queue is paused.
pub const QUEUE_PAUSED: &str = "flota_queue_paused";
/// Jobs that were in no place.
pub const JOBS_REPAIRED: &str = "flota_queue_repaired_jobs";
/// Batches of outcomes on their way to Postgres.
pub const OUTCOMES_WAITING: &str = "flota_outcomes_waiting";
/// Outcomes carried to Postgres.
pub const OUTCOME_WRITES: &str = "flota_outcome_writes_total";
/// Outbox rows that no relay has put into Redis yet.
pub const OUTBOX_WAITING: &str = "flota_outbox_waiting";
/// Jobs sent again after Redis had lost them.
pub const OUTBOX_RESENT: &str = "flota_outbox_resent_total";
/// What retention removed.
pub const HISTORY_REMOVED: &str = "flota_history_removed_total";
/// Calls to providers.
pub const PROVIDER_CALLS: &str = "flota_provider_calls_total";
/// How long calls to providers took.
pub const PROVIDER_CALL_DURATION: &str = "flota_provider_call_duration_seconds";
/// Calls that were not made.
pub const PROVIDER_PUT_OFF: &str = "flota_provider_put_off_total";
/// How much of an allowance is used up.
pub const PROVIDER_LIMIT_USED: &str = "flota_provider_limit_used_ratio";
/// Turns that were estimated without Redis.
pub const PROVIDER_LIMIT_ESTIMATES: &str = "flota_provider_limit_estimates_total";
/// Hosts that are left alone.
pub const PROVIDER_CIRCUITS_OPENED: &str = "flota_provider_circuits_opened_total";
/// Credentials that rest.
pub const PROVIDER_CREDENTIALS_PAUSED: &str = "flota_provider_credentials_paused_total";
/// Calls that went on to another provider.
pub const PROVIDER_FALLBACKS: &str = "flota_provider_fallbacks_total";
/// Webhook endpoints that were given up.
pub const WEBHOOK_ENDPOINTS_DISABLED: &str = "flota_webhook_endpoints_disabled_total";
/// Tokens of language models.
pub const LLM_TOKENS: &str = "flota_llm_tokens_total";
/// What language models cost, in millionths of a dollar: counters hold whole numbers.
pub const LLM_COST: &str = "flota_llm_cost_micro_usd_total";
/// Seconds of sound that were transcribed.
pub const TRANSCRIPTION_SECONDS: &str = "flota_transcription_seconds_total";
/// What transcription costs, in millionths of a dollar.
pub const TRANSCRIPTION_COST: &str = "flota_transcription_cost_micro_usd_total";
/// Which release this is.
pub const BUILD_INFO: &str = "flota_build_info";

/// Upper bounds of the buckets of every histogram, in seconds: from a quick webhook to a long transcription. 2 s is
/// there because providers that take longer are worth an alert.
pub const DURATION_BUCKETS: [f64; 16] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0];

const QUEUE: (&str, &str) = ("queue", "name of the queue");
const KIND: (&str, &str) = ("kind", "kind of job; `other` for kinds that this release does not know");
const PROVIDER: (&str, &str) = ("provider", "name of the outside service");
const OPERATION: (&str, &str) = ("operation", "what was asked of it");
const MODEL: (&str, &str) = ("model", "a model with a price in queues.toml, or `other`");
const OUTCOME: (&str, &str) =
    ("outcome", "`succeeded`, `retried`, `parked`, `dead`, `cancelled`, `expired`, `released`, `shelved`");

/// Every metric, in the order of the documentation.
pub const METRICS: &[Metric] = &[
    Metric {
        name: JOB_ATTEMPTS,
        kind: MetricKind::Counter,
        labels: &[QUEUE, KIND, OUTCOME, ("error_class", "word of the class; `none` without an error")],
        help: "Runs that ended and were settled, by what became of the job.",
    },
    Metric {
        name: JOB_DURATION,
        kind: MetricKind::Histogram,
        labels: &[QUEUE, KIND, OUTCOME],
        help: "How long processors ran. Jobs that ended without running are left out.",
    },
    Metric {
        name: JOBS_RECOVERED,
        kind: MetricKind::Counter,
        labels: &[QUEUE, ("result", "`ready` again, or `dead` as a poison pill")],
        help: "Runs taken back from workers that vanished. Those that died of it are not among the attempts.",
    },
    Metric {
        name: LEASES_LOST,
        kind: MetricKind::Counter,
        labels: &[QUEUE],
        help: "Runs whose lease was lost before they were settled: nothing they said was heard, and the job ran again.",
    },
    Metric {
        name: QUEUES_WIPED,
        kind: MetricKind::Counter,
        labels: &[QUEUE],
        help: "How often the queue was found gone from Redis (FLUSHALL, a lost disk). Jobs of the outbox come back; others are lost.",
    },
    Metric {
        name: JOBS_PROMOTED,
        kind: MetricKind::Counter,
        labels: &[QUEUE],
        help: "Delayed jobs that became due and ready.",
    },
    Metric {
        name: JOBS_UNPARKED,
        kind: MetricKind::Counter,
        labels: &[QUEUE],
        help: "Parked jobs that became ready because a processor for them had come.",
    },
    Metric {
        name: REDIS_TROUBLE,
        kind: MetricKind::Counter,
        labels: &[QUEUE, ("step", "`fetch`, `settle`, `promote`, `recover`, …")],
        help: "Steps that could not reach Redis or were refused by it, and were tried again.",
    },
    Metric {
        name: QUEUE_JOBS,
        kind: MetricKind::Gauge,
        labels: &[QUEUE, ("state", "`ready`, `delayed`, `in_flight`, `parked`, `in_line`, `dead`")],
        help: "Live jobs by state, and dead letters that nobody has replayed or discarded.",
    },
    Metric {
        name: QUEUE_OLDEST_READY_AGE_SECONDS,
        kind: MetricKind::Gauge,
        labels: &[QUEUE],
        help: "How long ago the job that is next in line was enqueued; 0 when none is ready.",
    },
    Metric {
        name: QUEUE_PAUSED,
        kind: MetricKind::Gauge,
        labels: &[QUEUE],
        help: "1 while the queue is paused, otherwise 0.",
    },
    Metric {
        name: JOBS_REPAIRED,
        kind: MetricKind::Gauge,
        labels: &[QUEUE],
        help: "Jobs that were in no place and that `flota doctor --repair` put back in line. More than 0 is a defect: tell us.",
    },
    Metric {
        name: OUTCOMES_WAITING,
        kind: MetricKind::Gauge,
        labels: &[QUEUE],
        help: "Batches of outcomes that wait in Redis to be recorded in Postgres.",
    },
    Metric {
        name: OUTCOME_WRITES,
        kind: MetricKind::Counter,
        labels: &[
            QUEUE,
            ("result", "`recorded`, `repeated` (it was there already), `refused` (by Postgres, kept aside)"),
        ],
        help: "Outcomes that were carried to Postgres.",
    },
    Metric {
        name: OUTBOX_WAITING,
        kind: MetricKind::Gauge,
        labels: &[],
        help: "Jobs in the outbox that wait to be put into Redis, without those given up.",
    },
    Metric {
        name: OUTBOX_RESENT,
        kind: MetricKind::Counter,
        labels: &[QUEUE],
        help: "Jobs that Redis had lost and that were sent again from the outbox.",
    },
    Metric {
        name: HISTORY_REMOVED,
        kind: MetricKind::Counter,
        labels: &[("what", "`outcomes`, `attempts` (partitions), `dead_letters` (letters)")],
        help: "What retention removed because it was older than it is kept.",
    },
    Metric {
        name: PROVIDER_CALLS,
        kind: MetricKind::Counter,
        labels: &[PROVIDER, OPERATION, ("result", "`ok`, or the word of the class of the error")],
        help: "Calls to outside services that were made, by how they ended.",
    },
    Metric {
        name: PROVIDER_CALL_DURATION,
        kind: MetricKind::Histogram,
        labels: &[PROVIDER, OPERATION],
        help: "How long calls to outside services took.",
    },
    Metric {
        name: PROVIDER_PUT_OFF,
        kind: MetricKind::Counter,
        labels: &[
            PROVIDER,
            (
                "reason",
                "`limit`: not its turn; `circuit`: its host is left alone; `credential`: it was refused and rests",
            ),
        ],
        help: "Calls that were not made; their jobs wait and are charged nothing.",
    },
    Metric {
        name: PROVIDER_LIMIT_USED,
        kind: MetricKind::Gauge,
        labels: &[PROVIDER],
        help: "Share of the allowance that is used up, 0 to 1: by the provider's headers or by our windows, the highest of the last ten seconds with calls.",
    },
    Metric {
        name: PROVIDER_LIMIT_ESTIMATES,
        kind: MetricKind::Counter,
        labels: &[PROVIDER],
        help: "Turns that this process gave by itself because Redis did not answer.",
    },
    Metric {
        name: PROVIDER_CIRCUITS_OPENED,
        kind: MetricKind::Counter,
        labels: &[PROVIDER],
        help: "Times that a host was left alone for a while because it failed again and again.",
    },
    Metric {
        name: PROVIDER_CREDENTIALS_PAUSED,
        kind: MetricKind::Counter,
        labels: &[PROVIDER],
        help: "Times that a credential was refused, or an account had nothing left, and is not used for a while.",
    },
    Metric {
        name: PROVIDER_FALLBACKS,
        kind: MetricKind::Counter,
        labels: &[("from", "who failed or was left alone"), ("to", "who was tried next")],
        help: "Times that a provider could not take a call and the next one was tried.",
    },
    Metric {
        name: WEBHOOK_ENDPOINTS_DISABLED,
        kind: MetricKind::Counter,
        labels: &[("reason", "`gone` (it answered 410), `failing` (no delivery succeeded for 5 days)")],
        help: "Webhook endpoints that were given up. Worth an alert: their events are buried until a person enables them.",
    },
    Metric {
        name: LLM_TOKENS,
        kind: MetricKind::Counter,
        labels: &[MODEL, ("kind", "`input`, `output`")],
        help: "Tokens of language models, as the provider counts them.",
    },
    Metric {
        name: LLM_COST,
        kind: MetricKind::Counter,
        labels: &[MODEL],
        help: "What language models cost, in millionths of a US dollar.",
    },
    Metric {
        name: TRANSCRIPTION_SECONDS,
        kind: MetricKind::Counter,
        labels: &[MODEL],
        help: "Seconds of sound that transcription was billed for, or may be where its answer was lost.",
    },
    Metric {
        name: TRANSCRIPTION_COST,
        kind: MetricKind::Counter,
        labels: &[MODEL],
        help: "What transcription cost by the prices in queues.toml, in millionths of a US dollar.",
    },
    Metric {
        name: API_REQUESTS,
        kind: MetricKind::Counter,
        labels: &[
            ("method", "`GET`, `POST`, `DELETE`, `other`"),
            ("route", "path of the description; `none` for those that there are not"),
            ("status", "status of the answer; 401 and 403 were refused, 429 came too often"),
        ],
        help: "Requests to the HTTP API of `flota serve`, by what was answered.",
    },
    Metric {
        name: BUILD_INFO,
        kind: MetricKind::Gauge,
        labels: &[("version", "release of this binary")],
        help: "Always 1; its label says which release runs.",
    },
];

/// The metrics as a table for `docs/metrics.md`.
pub fn markdown() -> String {
    let mut text = String::from("| metric | kind | labels | meaning |\n|---|---|---|---|\n");
    for metric in METRICS {
        let labels: Vec<String> =
            metric.labels.iter().map(|(name, values)| format!("`{name}`: {values}")).collect();
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            metric.name,
            metric.kind.word(),
            labels.join("<br>"),
            metric.help
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::generated_text;

    #[test]
    fn names_follow_prometheus() {
        for Metric { name, kind, .. } in METRICS {
            assert!(name.starts_with("flota_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == MetricKind::Counter, "{name}");
        }
    }

    #[test]
    fn the_documentation_is_the_table() {
        generated_text::check_part("docs/metrics.md", "metrics", &markdown());
    }
}
