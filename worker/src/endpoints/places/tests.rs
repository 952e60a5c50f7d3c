//! Stories about places, told with a real Redis. Waits are slept, as jobs do in `delayed`.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::*;
use crate::outcomes::tests::servers;

const PATIENCE: Duration = Duration::from_secs(20);
const LONGEST: Duration = Duration::from_secs(15);

/// As one worker process sees it.
fn places(prefix: &Prefix) -> Places {
    Places::new(Link::new(servers().redis_url()).unwrap(), prefix.clone(), LONGEST)
}

fn prefix() -> Prefix {
    Prefix::new(&format!("places-{:08x}", rand::random::<u32>())).unwrap()
}

fn most(most: u32) -> NonZeroU32 {
    NonZeroU32::new(most).unwrap()
}

/// What Redis says to a command about one key.
async fn ask(command: &str, key: &str) -> i64 {
    Link::new(servers().redis_url()).unwrap().query(redis::cmd(command).arg(key)).await.unwrap()
}

async fn until_empty(key: &str) {
    let end = Instant::now() + PATIENCE;
    while 0 < ask("ZCARD", key).await {
        assert!(Instant::now() < end, "{key} is not empty");
        sleep(Duration::from_millis(5)).await;
    }
}

fn wait_of(taken: Result<Place, NoPlace>) -> Duration {
    match taken.map(drop) {
        Err(NoPlace::Full { after, .. }) => after,
        other => panic!("it should be full and not {other:?}"),
    }
}

#[tokio::test]
async fn two_workers_together_never_have_more_deliveries_under_way_than_the_endpoint_bears() {
    let prefix = prefix();
    let workers = [places(&prefix), places(&prefix)];
    let (now, highest, asks) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    let counts = std::sync::Arc::new((now, highest, asks));
    let mut jobs = JoinSet::new();
    for job in 0..60_usize {
        let (places, counts) = (workers[job % 2].clone(), std::sync::Arc::clone(&counts));
        jobs.spawn(async move {
            let (now, highest, asks) = &*counts;
            for run in 1.. {
                asks.fetch_add(1, Ordering::SeqCst);
                match places.take("ep_1", most(3), &format!("job-{job}"), run).await {
                    Ok(mut place) => {
                        highest.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        sleep(Duration::from_millis(20)).await;
                        now.fetch_sub(1, Ordering::SeqCst);
                        place.was_sent = true;
                        return;
                    }
                    Err(NoPlace::Full { after, .. }) => sleep(after).await,
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }

    tokio::time::timeout(PATIENCE, async { while jobs.join_next().await.transpose().unwrap().is_some() {} })
        .await
        .expect("every job has its turn");

    let (_, highest, asks) = &*counts;
    assert_eq!(highest.load(Ordering::SeqCst), 3);
    let asks = asks.load(Ordering::SeqCst);
    assert!(asks < 60 * 8, "{asks} asks for 60 jobs");
    let keys = prefix.endpoint("ep_1");
    until_empty(&keys.holders()).await;
    assert_eq!(
        ask("ZCARD", &keys.line()).await + ask("ZCARD", &keys.due()).await,
        0,
        "nobody stands in line"
    );
    assert!(0 < ask("PTTL", &keys.state()).await, "what is left ends by itself");
}

#[tokio::test]
async fn one_endpoint_that_is_full_does_not_hold_up_another() {
    let places = places(&prefix());

    let _first = places.take("ep_1", most(1), "a", 1).await.unwrap();
    let wait = wait_of(places.take("ep_1", most(1), "b", 1).await);
    let other = places.take("ep_2", most(1), "b", 1).await;

    assert!(!wait.is_zero() && other.is_ok());
}

#[tokio::test]
async fn those_in_line_are_told_one_time_after_the_other() {
    let places = places(&prefix());
    let _place = places.take("ep_1", most(1), "a", 1).await.unwrap();

    let mut waits = Vec::new();
    for ticket in ["b", "c", "d"] {
        waits.push(wait_of(places.take("ep_1", most(1), ticket, 1).await));
    }

    let waits: Vec<u128> = waits.iter().map(Duration::as_millis).collect();
    assert_eq!(waits, [188, 375, 563], "nobody knows how long deliveries take");
    let again = wait_of(places.take("ep_1", most(1), "b", 2).await);
    assert_eq!(again.as_millis(), 188, "it keeps its place in line");
}

#[tokio::test]
async fn the_place_of_a_worker_that_vanished_is_free_when_its_hold_ends() {
    let prefix = prefix();
    let places = places(&prefix);
    std::mem::forget(places.take("ep_1", most(1), "a", 1).await.unwrap());
    let holders = prefix.endpoint("ep_1").holders();
    wait_of(places.take("ep_1", most(1), "b", 1).await);
    assert!(ask("PTTL", &holders).await <= (LONGEST + MARGIN).as_millis() as i64);

    let mut end = redis::cmd("ZADD");
    end.arg(&holders).arg("XX").arg(1).arg("a:1");
    Link::new(servers().redis_url()).unwrap().query::<i64>(&end).await.unwrap();

    assert!(places.take("ep_1", most(1), "b", 2).await.is_ok());
}

#[tokio::test]
async fn a_place_is_held_for_longer_than_the_longest_delivery_that_is_allowed() {
    let (prefix, longest) = (prefix(), Duration::from_mins(30));
    let places = Places::new(Link::new(servers().redis_url()).unwrap(), prefix.clone(), longest);

    let _place = places.take("ep_1", most(1), "a", 1).await.unwrap();

    let held = ask("PTTL", &prefix.endpoint("ep_1").holders()).await;
    assert!(longest.as_millis() as i64 <= held, "{held} ms");
}

#[tokio::test]
async fn a_run_that_lost_its_hold_does_not_give_back_the_place_of_the_next_run() {
    let prefix = prefix();
    let places = places(&prefix);
    let lost = places.take("ep_1", most(2), "a", 1).await.unwrap();
    let _next = places.take("ep_1", most(2), "a", 2).await.unwrap();

    drop(lost);

    let holders = prefix.endpoint("ep_1").holders();
    let end = Instant::now() + PATIENCE;
    while ask("ZCARD", &holders).await != 1 {
        assert!(Instant::now() < end, "the first run gave nothing back");
        sleep(Duration::from_millis(5)).await;
    }
    let mut of_the_next = redis::cmd("ZSCORE");
    of_the_next.arg(&holders).arg("a:2");
    let score: Option<f64> = Link::new(servers().redis_url()).unwrap().query(&of_the_next).await.unwrap();
    assert!(score.is_some());
}

#[tokio::test]
async fn while_redis_is_away_nothing_begins() {
    let places = Places::new(Link::new("redis://127.0.0.1:1/").unwrap(), prefix(), LONGEST);

    let taken = places.take("ep_1", most(1), "a", 1).await;

    assert!(matches!(taken, Err(NoPlace::Away(..))));
}
