//! What people set for a queue while its workers are at work: pause for a time, rate, concurrency.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::time::{Duration, Instant};

use flota_engine::control::{self, Control, Note, Setting};
use flota_tests::{
    PATIENCE,
    fleet::{TestQueue, drain, eventually},
    toys::{Act, toy},
};
use tokio::time::sleep;

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(10);

async fn set(queue: &TestQueue, setting: &Setting, lasting: Option<Duration>) {
    let note = Note { by: "cli:ana", reason: "a test", lasting };
    control::set(&queue.link, &queue.keys, setting, &note).await.unwrap();
}

fn rate(texts: &[&str]) -> Setting {
    Setting::rate(texts.iter().map(|text| text.parse().unwrap()).collect()).unwrap()
}

#[tokio::test]
async fn a_queue_that_is_paused_for_a_time_goes_on_by_itself() {
    let queue = TestQueue::new().await;
    let fleet = queue.start();
    set(&queue, &Setting::Pause, None).await;

    let ids = queue.enqueue_many(20, &toy([Act::Succeed])).await;
    let while_paused = queue.counts().await;
    let began = Instant::now();
    set(&queue, &Setting::Pause, Some(Duration::from_millis(1_500))).await;
    queue.witness.wait_for_ended(ids.len()).await;

    assert!(while_paused.paused && while_paused.ready == 20, "{while_paused:?}");
    assert!(Duration::from_millis(1_500) <= began.elapsed(), "{:?}", began.elapsed());
    assert!(!queue.counts().await.paused);
    assert_eq!(control::read(&queue.link, &queue.keys).await.unwrap(), control::Controls::default());
    drain(fleet, PATIENCE).await;
}

#[tokio::test]
async fn no_second_sees_more_starts_than_the_rate_of_a_queue_however_many_workers_there_are() {
    let queue = TestQueue::new().await;
    set(&queue, &rate(&["30/s", "90/h"]), None).await;
    let fleets = [queue.start(), queue.start(), queue.start()];
    let began = Instant::now();

    queue.enqueue_many(200, &toy([Act::Succeed])).await;
    queue.witness.wait_for_ended(90).await;
    let an_hours_worth = began.elapsed();

    // Ninety are three seconds' worth, and the first thirty of them may go at once.
    assert!(Duration::from_secs(2) <= an_hours_worth, "{an_hours_worth:?}");
    // A worker that may start nothing asks once a second. When one of the three has done so three times, the short window is
    // open again, and the long one alone holds.
    let asked = queue.witness.seen().fetched;
    queue.witness.wait_until("the workers ask again", |seen| asked + 7 <= seen.fetched).await;
    assert_eq!(queue.witness.seen().ended, 90, "the longer window holds, too");
    assert!(control::unset(&queue.link, &queue.keys, Control::Rate).await.unwrap());
    queue.witness.wait_for_ended(200).await;
    for fleet in fleets {
        drain(fleet, PATIENCE).await;
    }
}

#[tokio::test]
async fn workers_take_up_another_concurrency_and_stop_nothing_for_it() {
    let mut queue = TestQueue::new().await;
    queue.policy.concurrency = 8;
    let fleets = [queue.start(), queue.start()];
    let load = |slots: bool| {
        let loads = fleets.iter().map(|fleet| fleet.handle().load().remove(0));
        loads.map(|load| if slots { load.slots } else { load.busy }).collect::<Vec<_>>()
    };
    queue.enqueue_many(200, &toy([Act::Sleep(300)])).await;
    eventually(PATIENCE, "work for all slots", async || load(false) == [8, 8]).await;

    set(&queue, &Setting::concurrency(2).unwrap(), None).await;
    eventually(PATIENCE, "fewer slots", async || load(true) == [2, 2]).await;
    let busy: Vec<usize> = load(false);
    control::unset(&queue.link, &queue.keys, Control::Concurrency).await.unwrap();
    eventually(PATIENCE, "all slots again", async || load(true) == [8, 8]).await;

    assert!(busy.iter().all(|busy| *busy <= 2), "{busy:?}");
    let seen = queue.witness.wait_for_ended(200).await;
    assert!(seen.started.values().all(|runs| *runs == 1), "every job ran once");
    for fleet in fleets {
        drain(fleet, PATIENCE).await;
    }
}

#[tokio::test]
async fn an_idle_worker_takes_up_fewer_places_too_and_one_that_starts_begins_with_them() {
    let mut queue = TestQueue::new().await;
    queue.policy.concurrency = 64;
    let fleet = queue.start();
    let first = queue.enqueue(toy([Act::Succeed])).await;
    queue.witness.wait_for_ended(1).await;

    set(&queue, &Setting::concurrency(2).unwrap(), None).await;
    eventually(PATIENCE, "fewer slots", async || fleet.handle().load()[0].slots == 2).await;
    drain(fleet, PATIENCE).await;
    let again = queue.start();
    queue.enqueue_many(6, &toy([Act::Sleep(400)])).await;
    let (mut most, began) = (0, Instant::now());
    while queue.witness.seen().ended < 7 {
        most = most.max(again.handle().load()[0].busy);
        assert!(began.elapsed() < PATIENCE, "{:?}", queue.witness.seen());
        sleep(LOOK).await;
    }

    assert_eq!((most, queue.witness.seen().started[&first]), (2, 1));
    drain(again, PATIENCE).await;
}

#[tokio::test]
async fn a_concurrency_for_a_time_is_over_when_its_time_is() {
    let mut queue = TestQueue::new().await;
    queue.policy.concurrency = 4;
    let fleet = queue.start();
    let slots = || fleet.handle().load()[0].slots;

    set(&queue, &Setting::concurrency(64).unwrap(), None).await;
    eventually(PATIENCE, "more slots", async || slots() == 64).await;
    set(&queue, &Setting::concurrency(64).unwrap(), Some(Duration::from_secs(1))).await;
    eventually(PATIENCE, "the slots of the file", async || slots() == 4).await;

    drain(fleet, PATIENCE).await;
}
