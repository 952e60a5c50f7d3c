//! Repair: a job whose id is in no place is found and put back in line, while everything else goes on.

use std::time::Instant;

use flota_engine::{
    Verdict,
    repair::{Treatment, nowhere},
};
use flota_producer::{Priority, keys::Prefix, link::Link};
use flota_tests::{
    PATIENCE,
    fleet::{TestQueue, drain},
    program::Installation,
    toys::{Act, toy},
};

#[tokio::test]
async fn a_job_in_no_place_is_told_put_back_and_run_once() {
    let queue = TestQueue::new().await;
    let lost = queue.enqueue(toy([Act::Succeed])).await;
    let kept = queue.enqueue(toy([Act::Succeed]).after(std::time::Duration::from_hours(1))).await;
    let mut take = redis::cmd("LREM");
    queue.link.query::<u64>(take.arg(queue.keys.ready(Priority::Normal)).arg(1).arg(lost)).await.unwrap();

    let told = nowhere(&queue.link, &queue.keys, Treatment::Look).await.unwrap();
    let mended = nowhere(&queue.link, &queue.keys, Treatment::Repair).await.unwrap();
    let left = nowhere(&queue.link, &queue.keys, Treatment::Repair).await.unwrap();

    assert_eq!(told, [lost.bytes()]);
    assert_eq!(mended, told);
    assert!(left.is_empty(), "{left:?} beside the delayed {kept}");
    assert_eq!(queue.counts().await.repaired, 1);
    let fleet = queue.start();
    queue.witness.wait_for(lost, Verdict::Complete).await;
    assert_eq!(queue.ledger.effects(lost), [2], "its run has a number that nobody had before");
    drain(fleet, PATIENCE).await;
}

#[tokio::test]
async fn a_busy_queue_is_looked_through_without_finding_anything() {
    let queue = TestQueue::new().await;
    let fleet = queue.start();
    let mix = [Act::Fail(flota_engine::ErrorClass::Network), Act::Sleep(5)];
    queue.enqueue_many(2_000, &toy(mix)).await;

    let began = Instant::now();
    while queue.witness.seen().ended < 2_000 {
        assert!(began.elapsed() < PATIENCE, "{:?}", queue.counts().await);
        let found = nowhere(&queue.link, &queue.keys, Treatment::Repair).await.unwrap();
        assert!(found.is_empty(), "{found:?}");
    }

    assert_eq!(queue.counts().await.repaired, 0);
    drain(fleet, PATIENCE).await;
}

#[tokio::test]
async fn the_doctor_tells_a_lost_id_and_mends_it() {
    let installation = Installation::new().await;
    let mail = r#"{"to":["ana@example.com"],"body":{"subject":"Hi","text":"Hello"}}"#;
    let id = installation.enqueue("send_email", &serde_json::from_str(mail).unwrap(), &[]).await;
    let prefix = Prefix::new(installation.variable("FLOTA_KEY_PREFIX")).unwrap();
    let link = Link::new(installation.variable("REDIS_URL")).unwrap();
    let ready = prefix.queue("email").ready(Priority::Normal);
    link.query::<u64>(redis::cmd("DEL").arg(ready)).await.unwrap();

    let told = installation.flota(&["doctor", "-o", "json"]).await;
    let mended = installation.flota(&["doctor", "--repair", "-o", "json"]).await;
    let again = installation.flota(&["doctor", "-o", "json"]).await;

    let places = |said: &flota_tests::program::Said| {
        let findings = said.json();
        let found = findings.as_array().unwrap().iter().find(|finding| finding["check"] == "places");
        found.unwrap()["found"].as_str().unwrap().to_owned()
    };
    assert!(places(&told).contains(&format!("nowhere: 1 in email ({id}")), "{}", places(&told));
    assert!(places(&mended).starts_with("put back in line: 1 in email"), "{}", places(&mended));
    assert_eq!(places(&again), "each of 1 live jobs is somewhere");
}
