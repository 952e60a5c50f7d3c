//! What a provider does and says, and that its ledger is true in every case.

use std::time::Instant;

use tempfile::TempDir;
use tokio::time::timeout;

use super::*;
use crate::chaos::proxy::{Fault, Proxy};

const SOON: Duration = crate::PATIENCE;

async fn provider() -> (Provider, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (Provider::start(directory.path()).await.unwrap(), directory)
}

fn effect(run: u32) -> Effect {
    let job = JobId::mint();
    Effect {
        job,
        run,
        attempt: 1,
        worker: "worker-1".into(),
        key: job.to_string(),
        ns: 0,
        kind: EffectKind::Toy,
    }
}

async fn report(provider: &Provider, effect: &Effect) -> Result<(), NotConfirmed> {
    timeout(SOON, report_effect(&provider.url(), effect)).await.expect("an answer in time")
}

/// The same without the time, which the ledger adds.
fn timeless(effects: Vec<Effect>) -> Vec<Effect> {
    effects.into_iter().map(|effect| Effect { ns: 0, ..effect }).collect()
}

#[tokio::test]
async fn a_confirmed_effect_is_in_the_ledger_with_its_time() {
    let (provider, directory) = provider().await;
    let (first, second) = (effect(1), effect(2));

    report(&provider, &first).await.unwrap();
    report(&provider, &second).await.unwrap();

    let effects = provider.effects().unwrap();
    assert!(0 < effects[0].ns && effects[0].ns <= effects[1].ns);
    assert_eq!(timeless(effects), [first, second]);
    let lines = std::fs::read_to_string(directory.path().join(LEDGER)).unwrap();
    assert_eq!(lines.lines().count(), 2);
}

#[tokio::test]
async fn a_provider_that_fails_after_its_work_has_done_it() {
    let (provider, _directory) = provider().await;
    let (answered, reset, hung) = (effect(1), effect(2), effect(3));

    provider.behave(Behaviour::Answer(503));
    let answer = report(&provider, &answered).await;
    provider.behave(Behaviour::ResetAfterWork);
    let no_answer = report(&provider, &reset).await;
    provider.behave(Behaviour::HangAfterWork(Duration::from_hours(1)));
    let given_up = timeout(Duration::from_secs(3), report_effect(&provider.url(), &hung)).await;

    assert!(matches!(answer, Err(NotConfirmed::Answered(status)) if status == 503), "{answer:?}");
    assert!(matches!(no_answer, Err(NotConfirmed::Unknown(_))), "{no_answer:?}");
    assert!(given_up.is_err());
    assert_eq!(timeless(provider.effects().unwrap()), [answered, reset, hung]);
    assert_eq!(provider.refused(), 0);
}

#[tokio::test]
async fn a_provider_that_fails_before_its_work_has_done_nothing() {
    let (provider, _directory) = provider().await;

    provider.behave(Behaviour::FailBeforeWork(429));
    let answer = report(&provider, &effect(1)).await;
    provider.behave(Behaviour::ResetBeforeWork);
    let no_answer = report(&provider, &effect(2)).await;

    assert!(matches!(answer, Err(NotConfirmed::Answered(status)) if status == 429), "{answer:?}");
    assert!(matches!(no_answer, Err(NotConfirmed::Unknown(_))), "{no_answer:?}");
    assert_eq!((provider.effects().unwrap(), provider.refused()), (vec![], 2));
}

#[tokio::test]
async fn a_mixture_may_treat_the_repeat_of_a_request_otherwise() {
    let (provider, _directory) = provider().await;
    provider.behave(Behaviour::mixed(1, [(50, Behaviour::FailBeforeWork(503))]));
    let effect = effect(1);

    let mut tries = 1;
    while report(&provider, &effect).await.is_err() {
        tries += 1;
        assert!(tries < 64, "half of all requests are let through");
    }

    assert_eq!((provider.effects().unwrap().len(), provider.refused()), (1, tries - 1));
}

#[tokio::test]
async fn a_provider_that_takes_its_time_acts_afterwards() {
    let (provider, _directory) = provider().await;
    let delay = Duration::from_millis(60);
    provider.take_its_time(delay);

    let began = Instant::now();
    report(&provider, &effect(1)).await.unwrap();

    assert!(delay <= began.elapsed());
}

#[tokio::test]
async fn a_webhook_is_known_by_its_header() {
    let (provider, _directory) = provider().await;
    let job = JobId::mint();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let hook = |id: String| {
        client.post(format!("{}/hook/orders?a=b", provider.url())).header("webhook-id", id).body("{}").send()
    };

    let accepted = hook(job.to_string()).await.unwrap().status();
    let refused = hook("who".into()).await.unwrap().status();

    assert_eq!((accepted.as_u16(), refused.as_u16()), (200, 400));
    let effects = timeless(provider.effects().unwrap());
    assert_eq!(effects, [Effect::webhook(job, &job.to_string())]);
}

#[tokio::test]
async fn a_reply_that_is_cut_off_leaves_the_effect_in_the_ledger() {
    let (provider, _directory) = provider().await;
    let proxy = Proxy::before(provider.port()).await.unwrap();
    let (lost, kept_away) = (effect(1), effect(2));
    let url = proxy.instead_of(&provider.url());

    proxy.set(Fault::cut_after("POST /effect", 1));
    let unheard = timeout(SOON, report_effect(&url, &lost)).await.expect("an end in time");
    proxy.set(Fault::cut_before("POST /effect", 1));
    let undelivered = timeout(SOON, report_effect(&url, &kept_away)).await.expect("an end in time");

    assert!(matches!(unheard, Err(NotConfirmed::Unknown(_))), "{unheard:?}");
    assert!(matches!(undelivered, Err(NotConfirmed::Unknown(_))), "{undelivered:?}");
    assert_eq!(timeless(provider.effects().unwrap()), [lost]);
}

#[tokio::test]
async fn many_reports_at_once_are_all_in_the_ledger() {
    let (provider, _directory) = provider().await;

    let reports = (0..64).map(async |_| {
        for run in 1..=50 {
            report(&provider, &effect(run)).await.unwrap();
        }
    });
    futures_util::future::join_all(reports).await;

    assert_eq!(provider.effects().unwrap().len(), 3_200);
}

#[tokio::test]
async fn the_ledger_takes_five_thousand_effects_a_second() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(LEDGER);
    let ledger = Ledger::open(&path).unwrap();

    let began = Instant::now();
    for _ in 0..20 {
        let waiting = (0..500).map(|run| ledger.append(effect(run)));
        futures_util::future::try_join_all(waiting).await.unwrap();
    }
    let took = began.elapsed();

    assert_eq!(effect::read(&path).unwrap().len(), 10_000);
    // Two seconds are meant; the rest is for a machine that is busy. One write at a time would take minutes there.
    assert!(took < Duration::from_secs(30), "10,000 effects took {took:?}");
}

#[tokio::test]
async fn a_ledger_that_cannot_be_written_is_not_passed_over() {
    let ledger = Ledger::open(Path::new("/dev/full")).unwrap();

    let error = ledger.append(effect(1)).await.unwrap_err();

    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}
