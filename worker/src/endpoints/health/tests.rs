//! Days pass by a clock that comes in; several registers on one database stand for several workers.

use chrono::TimeDelta;
use flota_providers::webhook::{Scheme, SigningKey};
use metrics::with_local_recorder;
use sqlx::PgPool;

use super::*;
use crate::{
    endpoints::{self, EndpointRow, NewEndpoint},
    outcomes::tests::servers,
    telemetry::recorder,
    vault::Vault,
};

/// Two workers and an endpoint.
struct Stage {
    pool: PgPool,
    one: Endpoints,
    other: Endpoints,
    id: String,
}

impl Stage {
    async fn set() -> Self {
        let pool = servers().database().await;
        let ring = Vault::generate("k1").unwrap();
        let vault = || Vault::parse(&ring.clone().into()).unwrap();
        let (url, key) = ("https://example.com/hook", SigningKey::generate(Scheme::V1).unwrap());
        let new =
            NewEndpoint { tenant: Some("acme"), url, description: None, key: &key, max_concurrent: None };
        let id = endpoints::add(&pool, &vault(), "test", &new).await.unwrap();
        let [one, other] = [vault(), vault()].map(|vault| Endpoints::new(pool.clone(), vault));
        Self { pool, one, other, id }
    }

    async fn row(&self) -> EndpointRow {
        endpoints::show(&self.pool, &self.id).await.unwrap().unwrap()
    }

    /// A success as a worker tells it that has just read the endpoint.
    async fn success(&self, worker: &Endpoints, now: DateTime<Utc>) {
        worker.forget(&self.id);
        let endpoint = worker.usable(&self.id, Some("acme")).await.unwrap();
        worker.succeeded(&self.id, &endpoint, now).await;
    }

    /// One failure each `every` over this time, by both workers in turn. Answers whether one of them gave it up.
    async fn fail_for(&self, from: DateTime<Utc>, time: TimeDelta, every: TimeDelta) -> bool {
        let (mut now, mut turn, mut done) = (from, 0, false);
        while now <= from + time {
            let worker = if turn % 2 == 0 { &self.one } else { &self.other };
            done |= worker.failed(&self.id, now).await;
            (now, turn) = (now + every, turn + 1);
        }
        done
    }
}

fn noon() -> DateTime<Utc> {
    "2026-11-16T12:00:00Z".parse().unwrap()
}

fn hours(hours: i64) -> TimeDelta {
    TimeDelta::hours(hours)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_fails_for_five_days_is_disabled_with_an_alarm() {
    let stage = Stage::set().await;

    let early = stage.fail_for(noon(), hours(5 * 24 - 1), hours(7)).await;
    let before = stage.row().await;
    let page = {
        let recorder = recorder::builder().build_recorder();
        let runtime = tokio::runtime::Handle::current();
        let late = noon() + hours(5 * 24);
        with_local_recorder(&recorder, || {
            tokio::task::block_in_place(|| runtime.block_on(stage.one.failed(&stage.id, late)))
        });
        recorder.handle().render()
    };

    assert!(!early && before.disabled.is_none());
    assert_eq!(before.failing_since, Some(noon()));
    let after = stage.row().await;
    assert_eq!(after.disabled.as_deref(), Some("all 19 deliveries since 2026-11-16 12:00 UTC have failed"));
    assert!(page.contains("flota_webhook_endpoints_disabled_total{reason=\"failing\"} 1"), "{page}");
    let error = stage.other.usable(&stage.id, Some("acme")).await.unwrap_err();
    assert!(error.to_string().contains("is disabled: all 19 deliveries"), "{error}");
    let deeds: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE action = 'endpoint.disable'")
        .fetch_one(&stage.pool)
        .await
        .unwrap();
    assert_eq!(deeds, 1);
}

#[tokio::test]
async fn a_success_in_between_resets_the_count_whichever_worker_saw_it() {
    let stage = Stage::set().await;

    stage.fail_for(noon(), hours(4 * 24), hours(7)).await;
    let success = noon() + hours(4 * 24 + 1);
    stage.success(&stage.other, success).await;
    let healthy = stage.row().await;
    let given_up = stage.fail_for(success + hours(1), hours(4 * 24), hours(7)).await;

    assert_eq!((healthy.failing_since, healthy.failures), (None, 0));
    assert_eq!(healthy.last_success_at, Some(success));
    assert!(!given_up);
    assert_eq!(stage.row().await.failing_since, Some(success + hours(1)));
}

#[tokio::test]
async fn two_failures_with_days_of_silence_between_them_are_no_verdict() {
    let stage = Stage::set().await;

    stage.one.failed(&stage.id, noon()).await;
    let given_up = stage.other.failed(&stage.id, noon() + hours(6 * 24)).await;

    let row = stage.row().await;
    assert!(!given_up && row.disabled.is_none());
    assert_eq!((row.failing_since, row.failures), (Some(noon() + hours(6 * 24)), 1));
}

#[tokio::test]
async fn counting_goes_on_after_a_restart() {
    let stage = Stage::set().await;
    stage.fail_for(noon(), hours(4 * 24), hours(12)).await;

    let ring = Vault::generate("k1").unwrap();
    let fresh = Endpoints::new(stage.pool.clone(), Vault::parse(&ring.into()).unwrap());
    let given_up = fresh.failed(&stage.id, noon() + hours(5 * 24)).await;

    assert!(given_up && stage.row().await.disabled.is_some());
}

#[tokio::test]
async fn an_endpoint_that_was_enabled_again_has_a_clean_record() {
    let stage = Stage::set().await;
    assert!(stage.fail_for(noon(), hours(5 * 24), hours(12)).await);

    let known = endpoints::enable(&stage.pool, "test", &stage.id).await.unwrap();
    let given_up = stage.one.failed(&stage.id, noon() + hours(5 * 24 + 1)).await;

    assert!(known && !given_up);
    let row = stage.row().await;
    assert_eq!((row.disabled, row.failures), (None, 1));
}

#[tokio::test]
async fn one_that_says_gone_is_disabled_at_once_and_told_once() {
    let stage = Stage::set().await;

    stage.one.gone(&stage.id, noon()).await;
    stage.other.gone(&stage.id, noon()).await;

    assert_eq!(stage.row().await.disabled.as_deref(), Some("it answered 410 Gone"));
    let deeds: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE action = 'endpoint.disable'")
        .fetch_one(&stage.pool)
        .await
        .unwrap();
    assert_eq!(deeds, 1);
}

#[test]
fn a_thousand_deliveries_a_minute_cost_few_statements() {
    let (mut failing, mut healthy, mut now) = (Seen::default(), Seen::default(), noon());
    let (mut failures, mut writes, mut successes) = (0, 0, 0);

    for _ in 0..10_000 {
        let written = failing.failed(now);
        failures += written;
        writes += u32::from(0 < written);
        successes += u32::from(healthy.succeeded(now, false));
        now += TimeDelta::milliseconds(60);
    }

    assert_eq!((writes, successes), (10, 1));
    assert!((9_000..=10_000).contains(&failures), "{failures} were written, the rest is with the next");
}

#[test]
fn a_success_after_a_failure_is_written_at_once() {
    let mut seen = Seen::default();
    assert!(seen.succeeded(noon(), false));
    assert_eq!(seen.failed(noon() + hours(0)), 1);

    assert!(seen.succeeded(noon() + TimeDelta::seconds(1), false));
    assert!(!seen.succeeded(noon() + TimeDelta::seconds(2), false), "nothing is new");
    assert!(!seen.succeeded(noon() + TimeDelta::seconds(3), true), "it was written a moment ago");
    assert!(seen.succeeded(noon() + TimeDelta::minutes(2), true), "another worker saw it fail since");
}
