//! Stories about turns, told with a real Redis. Waits are slept, as jobs do in `delayed`.
//!
//! A busy machine makes time pass between any two lines, and turns come nearer meanwhile: what is compared is what a
//! wait was by the clock of Redis, that is with what has passed since, and windows are far longer than any test.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use flota_providers::usage::Reset;
use futures_util::FutureExt;
use tokio::time::{Instant, sleep};

use super::*;
use crate::{
    dev::{RedisOptions, RedisServer},
    outcomes::tests::servers,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
/// How long a test waits for an event before it fails.
const PATIENCE: Duration = Duration::from_mins(2);

fn prefix() -> Prefix {
    Prefix::new(&format!("limits-{:08x}", rand::random::<u32>())).unwrap()
}

fn limits_at(url: &str, prefix: &Prefix, windows: Vec<Window>) -> RedisLimits {
    let mut limits = ProviderLimits::default();
    limits.set("whatsapp", windows);
    RedisLimits::start_with(Link::new(url).unwrap(), prefix.clone(), limits, PATIENCE)
}

fn limits(windows: Vec<Window>) -> RedisLimits {
    limits_at(&servers().redis_url(), &prefix(), windows)
}

fn key(credential: &str) -> LimitKey {
    LimitKey { provider: "whatsapp", tenant: "".into(), credential: credential.into() }
}

fn reserved(turn: Turn) -> Duration {
    match turn {
        Turn::Reserved { after } => after,
        turn => panic!("a turn was expected and not {turn:?}"),
    }
}

fn is_now(turn: Turn) -> bool {
    matches!(turn, Turn::Now { .. })
}

#[tokio::test]
async fn who_is_too_early_gets_a_turn_of_its_own_and_keeps_it() {
    let limits = limits(vec![Window::new(MINUTE * 30, 6, 2)]);
    let key = key("turns");
    let (mut turns, began) = (Vec::new(), Instant::now());
    for ticket in ["a", "b", "c", "d", "e"] {
        turns.push(limits.take(&key, ticket).await);
    }
    let passed = began.elapsed();

    assert!(is_now(turns[0]) && is_now(turns[1]), "{turns:?}");
    for (turn, most) in turns[2..].iter().zip([5, 10, 15]) {
        let wait = reserved(*turn);
        assert!(MINUTE * most <= wait + passed && wait <= MINUTE * most, "{turns:?} after {passed:?}");
    }
    // Asking again moves nobody.
    assert!(reserved(limits.take(&key, "e").await) <= reserved(turns[4]));
}

#[tokio::test]
async fn a_turn_that_was_waited_for_is_there() {
    let limits = limits(vec![Window::new(SECOND, 10, 1)]);
    let key = key("kept");
    assert!(is_now(limits.take(&key, "a").await));

    // A machine that is busy may take so long that it is the turn of "b" at once.
    if let Turn::Reserved { after } = limits.take(&key, "b").await {
        sleep(after).await;
        assert!(is_now(limits.take(&key, "b").await));
    }
}

#[tokio::test]
async fn a_backlog_keeps_to_every_window_and_each_job_asks_about_twice() {
    let (url, prefix, windows) = (
        servers().redis_url(),
        prefix(),
        vec![Window::new(SECOND, 100, 10), Window::new(SECOND * 60, 4_000, 400)],
    );
    let processes = [1, 2].map(|_| Arc::new(limits_at(&url, &prefix, windows.clone())));
    let asks = Arc::new(AtomicUsize::new(0));
    let mut jobs = tokio::task::JoinSet::new();
    for job in 0..300_usize {
        let (limits, asks) = (Arc::clone(&processes[job % 2]), Arc::clone(&asks));
        jobs.spawn(async move {
            loop {
                asks.fetch_add(1, Ordering::Relaxed);
                let asked = Instant::now();
                match limits.take(&key("backlog"), &job.to_string()).await {
                    Turn::Now { .. } => return (asked, Instant::now()),
                    turn => sleep(reserved(turn)).await,
                }
            }
        });
    }
    let passed: Vec<(Instant, Instant)> = jobs.join_all().await;

    // Redis gave each pass between its two times, so these were given in one second for certain.
    let in_a_second = |from: Instant| {
        passed.iter().filter(|(asked, heard)| from <= *asked && *heard <= from + SECOND).count()
    };
    let fullest = passed.iter().map(|(asked, _)| in_a_second(*asked)).max().unwrap();
    assert!(fullest <= 110, "{fullest} calls in one second");
    let first = passed.iter().map(|(asked, _)| *asked).min().unwrap();
    let took = passed.iter().map(|(_, heard)| heard.duration_since(first)).max().unwrap();
    // Ten go at once, the others one after the other.
    assert!(SECOND * 28 / 10 <= took, "300 calls at 100 a second took {took:?}");
    let asks = asks.load(Ordering::Relaxed);
    // "About twice", with room for those that came too late for their turn on a busy machine; without turns of their own
    // it would be hundreds each.
    assert!(asks <= 300 * 4, "{asks} asks for 300 jobs");
}

#[tokio::test]
async fn a_refusal_moves_everybody_by_its_wait_and_nobody_has_to_line_up_again() {
    let limits = limits(vec![Window::new(MINUTE * 60, 6, 1)]);
    let key = key("refused");
    assert!(is_now(limits.take(&key, "first").await));
    let second = reserved(limits.take(&key, "second").await);

    let began = Instant::now();
    let again = reserved(limits.refused(&key, "first", Some(MINUTE * 30)).await);
    let later = reserved(limits.take(&key, "second").await);
    let passed = began.elapsed();

    assert!(MINUTE * 30 <= again, "{again:?}");
    assert!(
        MINUTE * 30 <= later + passed && second <= later && later < again,
        "the second comes before the refused: {later:?} {again:?}"
    );
}

#[tokio::test]
async fn a_refusal_parks_its_own_key_only_and_without_windows_too() {
    let limits = limits(Vec::new());
    let (loud, quiet) = (key("loud"), key("quiet"));
    let began = Instant::now();
    limits.refused(&loud, "job", Some(MINUTE * 10)).await;

    let turn = limits.take(&loud, "other").await;

    assert!(MINUTE * 10 <= reserved(turn) + began.elapsed(), "{turn:?}");
    assert!(is_now(limits.take(&quiet, "other").await));
}

#[tokio::test]
async fn refusals_without_a_wait_wait_longer_each_time() {
    let limits = limits(Vec::new());
    let key = key("strikes");
    let mut waits = Vec::new();
    for _ in 0..2 {
        let wait = reserved(limits.refused(&key, "job", None).await);
        waits.push(wait);
        sleep(wait).await;
        assert!(is_now(limits.take(&key, "job").await));
    }

    // One second, then two, each with a place in the line behind it.
    assert!(waits[0] < SECOND * 3 / 2 && SECOND * 19 / 10 <= waits[1], "{waits:?}");
}

#[tokio::test]
async fn calls_that_were_refused_together_count_once() {
    let limits = limits(Vec::new());
    let key = key("together");
    let mut waits = Vec::new();
    for job in 0..50 {
        waits.push(reserved(limits.refused(&key, &job.to_string(), Some(MINUTE * 10)).await));
    }

    // Half a second for fifty turns at a hundred a second, behind the wait that each of them asks for anew. Were each
    // refusal counted, the pace would be halved fifty times and the waits added up.
    let last = waits.last().unwrap();
    assert!(MINUTE * 10 <= *last && *last <= MINUTE * 10 + SECOND, "{last:?}");
    assert!(waits.is_sorted() || waits.iter().all(|wait| *wait < MINUTE * 10 + SECOND), "{waits:?}");
}

#[tokio::test]
async fn an_allowance_that_the_provider_calls_used_up_is_left_alone_until_its_window_ends() {
    let limits = limits(Vec::new());
    let key = key("headers");
    let usage = |reset| Usage { limit: 100.0, remaining: 0.0, reset: Some(Reset::After(reset)) };

    let began = Instant::now();
    let used = limits.heard(&key, usage(MINUTE * 10)).await;
    let wait = reserved(limits.take(&key, "job").await);
    let passed = began.elapsed();

    assert_eq!(used, Some(1.0));
    assert!(MINUTE * 10 <= wait + passed && wait <= MINUTE * 10, "{wait:?} after {passed:?}");
    let short = self::key("short");
    limits.heard(&short, usage(SECOND)).await;
    sleep(SECOND).await;
    assert!(is_now(limits.take(&short, "job").await), "its window has ended");
}

#[tokio::test]
async fn what_is_scarce_is_spread_over_the_rest_of_the_window() {
    let limits = limits(Vec::new());
    let key = key("scarce");
    let usage = Usage { limit: 100.0, remaining: 10.0, reset: Some(Reset::After(MINUTE * 100)) };
    limits.heard(&key, usage).await;

    let began = Instant::now();
    assert!(is_now(limits.take(&key, "a").await));
    let wait = reserved(limits.take(&key, "b").await);
    let passed = began.elapsed();

    // Ten calls in a hundred minutes; a little may have passed since that was announced.
    assert!(MINUTE * 9 <= wait + passed && wait <= MINUTE * 10, "{wait:?} after {passed:?}");
}

#[tokio::test]
async fn nothing_is_asked_where_nothing_limits() {
    let mut redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let limits = limits_at(&redis.url(), &prefix(), Vec::new());
    redis.stop().await.unwrap();

    // Each turn is there the first time that it is looked at, so nobody was asked.
    for job in 0..1_000 {
        let (free, ticket) = (key("free"), job.to_string());
        let turn = limits.take(&free, &ticket).now_or_never();
        assert!(turn.is_some_and(is_now), "{turn:?}");
    }
}

#[tokio::test]
async fn without_redis_a_process_keeps_to_the_windows_by_itself() {
    let mut redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let limits = limits_at(&redis.url(), &prefix(), vec![Window::new(MINUTE * 60, 6, 3)]);
    redis.stop().await.unwrap();

    let mut turns = Vec::new();
    for job in 0..4 {
        turns.push(limits.take(&key("away"), &job.to_string()).await);
    }

    assert_eq!(turns.iter().filter(|turn| is_now(**turn)).count(), 3, "{turns:?}");
    assert!(matches!(turns[3], Turn::Later { after } if after <= MINUTE * 10), "{turns:?}");
    redis.start_again().await.unwrap();
    let began = Instant::now();
    let mut again = 0;
    while !matches!(limits.take(&key("back"), &again.to_string()).await, Turn::Now { used: Some(_) }) {
        assert!(began.elapsed() < PATIENCE, "Redis is not asked again");
        sleep(SECOND / 10).await;
        again += 1;
    }
}

#[tokio::test]
async fn turns_are_given_at_maxmemory_and_every_key_ends_by_itself() {
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let (prefix, link) = (prefix(), Link::new(redis.url()).unwrap());
    let limits = limits_at(&redis.url(), &prefix, vec![Window::new(MINUTE * 10, 1, 1)]);
    let mut full = redis::cmd("CONFIG");
    link.query::<()>(full.arg("SET").arg("maxmemory").arg("1mb")).await.unwrap();

    assert!(is_now(limits.take(&key("full"), "a").await));
    reserved(limits.take(&key("full"), "b").await);

    let keys = prefix.limit("whatsapp", "", "full");
    for name in [keys.state(), keys.turns()] {
        let left: i64 = link.query(redis::cmd("PTTL").arg(&name)).await.unwrap();
        assert!((1..=3_100_000).contains(&left), "{name}: {left}");
    }
}

#[tokio::test]
async fn a_window_that_ends_in_a_thousand_years_is_waited_for_a_day_and_its_key_ends() {
    let (url, prefix, key) = (servers().redis_url(), prefix(), key("absurd"));
    let limits = limits_at(&url, &prefix, Vec::new());

    limits.heard(&key, Usage { limit: 1.0, remaining: 0.0, reset: Some(Reset::At(u64::MAX)) }).await;
    limits.heard(&key, Usage { limit: 1.0, remaining: 0.0, reset: Some(Reset::After(Duration::MAX)) }).await;
    let turn = limits.take(&key, "job").await;

    assert!(reserved(turn) <= Duration::from_hours(25), "{turn:?}");
    let name = prefix.limit("whatsapp", "", "absurd").state();
    let left: i64 = Link::new(url).unwrap().query(redis::cmd("PTTL").arg(&name)).await.unwrap();
    assert!((1..=Duration::from_hours(26).as_millis() as i64).contains(&left), "{left}");
}

#[test]
fn what_is_remembered_of_allowances_is_bounded_even_when_all_of_them_are_watched() {
    let now = std::time::Instant::now();
    let mut known = HashMap::new();
    for number in 0..MOST_REMEMBERED as u64 {
        let watched_until = Some(now + Duration::from_millis(1 + number));
        known.insert(key(&number.to_string()), Known { watched_until, ..Known::default() });
    }

    make_room(&mut known, now);

    assert!(known.len() < MOST_REMEMBERED - FORGOTTEN_AT_ONCE, "{} are left", known.len());
    assert!(MOST_REMEMBERED / 2 < known.len() && !known.contains_key(&key("0")), "{} are left", known.len());
    assert!(known.contains_key(&key(&(MOST_REMEMBERED - 1).to_string())), "those watched longest are kept");
}
