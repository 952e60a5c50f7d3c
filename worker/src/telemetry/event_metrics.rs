//! Counts what the engine tells.
//!
//! The engine tells one event per run, so at high rates this must cost next to nothing: series are found by queue and
//! kind without building label texts (`series.rs`). Kinds come from envelopes, which anybody who can reach Redis may
//! write; those that this process does not know share the label `other`, so that nobody can fill the memory.

mod series;

use std::collections::BTreeMap;

use flota_engine::{Event, Observer};
use metrics::counter;

use self::series::{Outcome, QueueSeries};
use super::metrics::REDIS_TROUBLE;

/// Label of kinds and queues that this process does not know.
const OTHER: &str = "other";

/// An [`Observer`] that counts. Make it after [`super::install_recorder`]: series belong to the recorder of their time.
pub struct EventMetrics {
    queues: BTreeMap<String, QueueSeries>,
    other: QueueSeries,
}

impl EventMetrics {
    /// For a process that works on these queues and knows these kinds.
    pub fn new<'a>(
        queues: impl IntoIterator<Item = &'a str>,
        kinds: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let kinds: Vec<&str> = kinds.into_iter().collect();
        let queues = queues.into_iter().map(|queue| {
            let series = QueueSeries::new(queue, &kinds);
            series.start_at_zero();
            (queue.to_owned(), series)
        });
        Self { queues: queues.collect(), other: QueueSeries::new(OTHER, &kinds) }
    }

    fn queue(&self, name: &str) -> &QueueSeries {
        self.queues.get(name).unwrap_or(&self.other)
    }
}

impl Observer for EventMetrics {
    fn observe(&self, event: &Event<'_>) {
        match *event {
            Event::Fetched { .. } | Event::Started { .. } => {}
            Event::Settled { queue, kind, verdict, class, ran, .. } => {
                self.queue(queue).kind(kind).settled(Outcome::of(verdict), class, ran);
            }
            Event::LeaseLost { queue, .. } => self.queue(queue).leases_lost().increment(1),
            Event::Wiped { queue } => self.queue(queue).wiped().increment(1),
            Event::Recovered { queue, ready_again, buried } => {
                self.queue(queue).recovered("ready").increment(ready_again as u64);
                self.queue(queue).recovered("dead").increment(buried as u64);
            }
            Event::Promoted { queue, count } => self.queue(queue).promoted().increment(count as u64),
            Event::Unparked { queue, count } => self.queue(queue).unparked().increment(count as u64),
            Event::Trouble { queue, step } => {
                let queue = self.queue(queue).name();
                counter!(REDIS_TROUBLE, "queue" => queue, "step" => step.to_owned()).increment(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flota_engine::{ErrorClass, Verdict};
    use flota_producer::JobId;

    use super::*;
    use crate::telemetry::recorder;

    /// The metrics page after these events, without comments and buckets.
    fn page_after(events: &[Event<'_>]) -> Vec<String> {
        let recorder = recorder::builder().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            let observer = EventMetrics::new(["email"], ["send_email"]);
            for event in events {
                observer.observe(event);
            }
        });
        let page = recorder.handle().render();
        page.lines().filter(|line| line.starts_with("flota_")).map(str::to_owned).collect()
    }

    fn settled(kind: &str, verdict: Verdict, class: Option<ErrorClass>) -> Event<'_> {
        let id = JobId::mint();
        Event::Settled { queue: "email", kind, id, run: 1, verdict, class, ran: Duration::from_millis(300) }
    }

    fn assert_has(page: &[String], lines: &[&str]) {
        for line in lines {
            assert!(page.iter().any(|found| found == line), "{line} is not in\n{}", page.join("\n"));
        }
    }

    #[test]
    fn counters_of_a_queue_start_at_zero() {
        let page = page_after(&[]);

        assert_has(
            &page,
            &[
                "flota_leases_lost_total{queue=\"email\"} 0",
                "flota_jobs_promoted_total{queue=\"email\"} 0",
                "flota_jobs_recovered_total{queue=\"email\",result=\"dead\"} 0",
            ],
        );
        assert!(!page.iter().any(|line| line.contains("other")), "{page:?}");
    }

    #[test]
    fn every_run_is_counted_by_outcome_and_class_and_timed() {
        let page = page_after(&[
            settled("send_email", Verdict::Complete, None),
            settled("send_email", Verdict::Complete, None),
            settled("send_email", Verdict::Retry(Duration::ZERO), Some(ErrorClass::Timeout)),
        ]);

        assert_has(
            &page,
            &[
                "flota_job_attempts_total{queue=\"email\",kind=\"send_email\",outcome=\"succeeded\",error_class=\"none\"} 2",
                "flota_job_attempts_total{queue=\"email\",kind=\"send_email\",outcome=\"retried\",error_class=\"timeout\"} 1",
                "flota_job_duration_seconds_bucket{queue=\"email\",kind=\"send_email\",outcome=\"succeeded\",le=\"0.25\"} 0",
                "flota_job_duration_seconds_bucket{queue=\"email\",kind=\"send_email\",outcome=\"succeeded\",le=\"0.5\"} 2",
                "flota_job_duration_seconds_count{queue=\"email\",kind=\"send_email\",outcome=\"retried\"} 1",
            ],
        );
    }

    #[test]
    fn unknown_kinds_share_one_series() {
        let page = page_after(&[
            settled("made_up_1", Verdict::Shelve, None),
            settled("made_up_2", Verdict::Shelve, None),
            settled("", Verdict::Bury, Some(ErrorClass::Undecodable)),
        ]);

        let shelved = "flota_job_attempts_total{queue=\"email\",kind=\"other\",outcome=\"shelved\",error_class=\"none\"} 2";
        assert_has(&page, &[shelved]);
        assert!(!page.iter().any(|line| line.contains("made_up")), "{page:?}");
    }

    #[test]
    fn what_never_ran_has_no_duration() {
        let page = page_after(&[
            settled("send_email", Verdict::Expire, None),
            settled("send_email", Verdict::Park(Duration::ZERO), None),
            settled("", Verdict::Bury, Some(ErrorClass::Undecodable)),
        ]);

        assert!(!page.iter().any(|line| line.starts_with("flota_job_duration")), "{page:?}");
    }

    #[test]
    fn upkeep_and_trouble_are_counted_by_queue() {
        let (queue, id) = ("email", JobId::mint());
        let page = page_after(&[
            Event::LeaseLost { queue, id, run: 1 },
            Event::Recovered { queue, ready_again: 3, buried: 1 },
            Event::Wiped { queue },
            Event::Promoted { queue, count: 5 },
            Event::Unparked { queue, count: 2 },
            Event::Trouble { queue, step: "fetch" },
            Event::Trouble { queue: "never configured", step: "fetch" },
        ]);

        assert_has(
            &page,
            &[
                "flota_leases_lost_total{queue=\"email\"} 1",
                "flota_jobs_recovered_total{queue=\"email\",result=\"ready\"} 3",
                "flota_jobs_recovered_total{queue=\"email\",result=\"dead\"} 1",
                "flota_queues_wiped_total{queue=\"email\"} 1",
                "flota_jobs_promoted_total{queue=\"email\"} 5",
                "flota_jobs_unparked_total{queue=\"email\"} 2",
                "flota_redis_trouble_total{queue=\"email\",step=\"fetch\"} 1",
                "flota_redis_trouble_total{queue=\"other\",step=\"fetch\"} 1",
            ],
        );
    }
}
