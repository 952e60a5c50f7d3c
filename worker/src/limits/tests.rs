//! Stories about turns, told with a real Redis. Waits are slept, as jobs do in `delayed`.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use flota_providers::usage::Reset;
use tokio::time::{Instant, sleep};

use super::*;
use crate::{
    dev::{RedisOptions, RedisServer},
    outcomes::tests::servers,
};

const SECOND: Duration = Duration::from_secs(1);

fn prefix() -> Prefix {
    Prefix::new(&format!("limits-{:08x}", rand::random::<u32>())).unwrap()
}

fn limits_at(url: &str, prefix: &Prefix, windows: Vec<Window>) -> RedisLimits {
    let mut limits = ProviderLimits::default();
    limits.set("whatsapp", windows);
    RedisLimits::start(Link::new(url).unwrap(), prefix.clone(), limits)
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
    let limits = limits(vec![Window::new(SECOND, 10, 2)]);
    let key = key("turns");
    let mut turns = Vec::new();
    for ticket in ["a", "b", "c", "d", "e"] {
        turns.push(limits.take(&key, ticket).await);
    }

    assert!(is_now(turns[0]) && is_now(turns[1]), "{turns:?}");
    let waits: Vec<u128> = turns[2..].iter().map(|turn| reserved(*turn).as_millis()).collect();
    for (wait, most) in waits.iter().zip([100, 200, 300]) {
        assert!(most - 60 <= *wait && *wait <= most, "{waits:?}");
    }
    // Asking again moves nobody.
    assert!(reserved(limits.take(&key, "e").await) <= reserved(turns[4]));
    sleep(reserved(turns[2])).await;
    assert!(is_now(limits.take(&key, "c").await));
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
    let began = Instant::now();
    let mut jobs = tokio::task::JoinSet::new();
    for job in 0..300_usize {
        let (limits, asks) = (Arc::clone(&processes[job % 2]), Arc::clone(&asks));
        jobs.spawn(async move {
            loop {
                asks.fetch_add(1, Ordering::Relaxed);
                match limits.take(&key("backlog"), &job.to_string()).await {
                    Turn::Now { .. } => return began.elapsed().as_millis() as u64,
                    turn => sleep(reserved(turn)).await,
                }
            }
        });
    }
    let mut passed: Vec<u64> = jobs.join_all().await;
    passed.sort_unstable();

    let in_a_second = |from: u64| passed.iter().filter(|at| (from..from + 1_000).contains(*at)).count();
    let fullest = passed.iter().map(|from| in_a_second(*from)).max().unwrap();
    // A pass is noted some milliseconds after Redis gave it.
    assert!(fullest <= 110 + 5, "{fullest} calls in one second");
    let took = *passed.last().unwrap();
    assert!((2_800..4_500).contains(&took), "300 calls at 100 a second took {took} ms");
    let asks = asks.load(Ordering::Relaxed);
    assert!(asks <= 300 * 5 / 2, "{asks} asks for 300 jobs");
}

#[tokio::test]
async fn a_refusal_moves_everybody_by_its_wait_and_nobody_has_to_line_up_again() {
    let limits = limits(vec![Window::new(SECOND, 100, 1)]);
    let key = key("refused");
    assert!(is_now(limits.take(&key, "first").await));
    let second = reserved(limits.take(&key, "second").await);

    let again = reserved(limits.refused(&key, "first", Some(SECOND / 2)).await);
    sleep(second).await;
    let later = reserved(limits.take(&key, "second").await);

    assert!(SECOND / 2 <= again, "{again:?}");
    assert!(
        SECOND * 4 / 10 <= later && later < again,
        "the second comes before the refused: {later:?} {again:?}"
    );
    sleep(later).await;
    assert!(is_now(limits.take(&key, "second").await));
}

#[tokio::test]
async fn a_refusal_parks_its_own_key_only_and_without_windows_too() {
    let limits = limits(Vec::new());
    let (loud, quiet) = (key("loud"), key("quiet"));
    limits.refused(&loud, "job", Some(SECOND)).await;

    let turn = limits.take(&loud, "other").await;

    assert!(SECOND * 8 / 10 <= reserved(turn), "{turn:?}");
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

    assert!(waits[0] < SECOND * 3 / 2 && SECOND * 19 / 10 <= waits[1], "{waits:?}");
}

#[tokio::test]
async fn calls_that_were_refused_together_count_once() {
    let limits = limits(Vec::new());
    let key = key("together");
    let mut waits = Vec::new();
    for job in 0..50 {
        waits.push(reserved(limits.refused(&key, &job.to_string(), Some(SECOND)).await));
    }

    // Half a second for fifty turns at a hundred a second, behind the wait of one second.
    let last = waits.last().unwrap();
    assert!(SECOND <= *last && *last <= SECOND * 2, "{last:?}");
    assert!(waits.is_sorted() || waits.iter().all(|wait| *wait < SECOND * 2), "{waits:?}");
}

#[tokio::test]
async fn an_allowance_that_the_provider_calls_used_up_is_left_alone_until_its_window_ends() {
    let limits = limits(Vec::new());
    let key = key("headers");
    let usage = Usage { limit: 100.0, remaining: 0.0, reset: Some(Reset::After(SECOND)) };

    let used = limits.heard(&key, usage).await;
    let wait = reserved(limits.take(&key, "job").await);

    assert_eq!(used, Some(1.0));
    assert!(SECOND * 8 / 10 <= wait && wait <= SECOND, "{wait:?}");
    sleep(wait).await;
    assert!(is_now(limits.take(&key, "job").await));
}

#[tokio::test]
async fn what_is_scarce_is_spread_over_the_rest_of_the_window() {
    let limits = limits(Vec::new());
    let key = key("scarce");
    let usage = Usage { limit: 100.0, remaining: 10.0, reset: Some(Reset::After(SECOND * 2)) };
    limits.heard(&key, usage).await;

    assert!(is_now(limits.take(&key, "a").await));
    let wait = reserved(limits.take(&key, "b").await);

    assert!(SECOND / 10 <= wait && wait <= SECOND / 5, "{wait:?}");
}

#[tokio::test]
async fn nothing_is_asked_where_nothing_limits() {
    let mut redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let limits = limits_at(&redis.url(), &prefix(), Vec::new());
    redis.stop().await.unwrap();

    let began = Instant::now();
    for job in 0..1_000 {
        assert!(is_now(limits.take(&key("free"), &job.to_string()).await));
    }

    assert!(began.elapsed() < SECOND);
}

#[tokio::test]
async fn without_redis_a_process_keeps_to_the_windows_by_itself() {
    let mut redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let limits = limits_at(&redis.url(), &prefix(), vec![Window::new(SECOND * 60, 60, 3)]);
    redis.stop().await.unwrap();

    let mut turns = Vec::new();
    for job in 0..4 {
        turns.push(limits.take(&key("away"), &job.to_string()).await);
    }

    assert_eq!(turns.iter().filter(|turn| is_now(**turn)).count(), 3, "{turns:?}");
    assert!(matches!(turns[3], Turn::Later { after } if after <= SECOND), "{turns:?}");
    redis.start_again().await.unwrap();
    sleep(SECOND * 2).await;
    assert!(matches!(limits.take(&key("away"), "back").await, Turn::Now { used: Some(_) }));
}

#[tokio::test]
async fn turns_are_given_at_maxmemory_and_every_key_ends_by_itself() {
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let (prefix, link) = (prefix(), Link::new(redis.url()).unwrap());
    let limits = limits_at(&redis.url(), &prefix, vec![Window::new(SECOND, 1, 1)]);
    let mut full = redis::cmd("CONFIG");
    link.query::<()>(full.arg("SET").arg("maxmemory").arg("1mb")).await.unwrap();

    assert!(is_now(limits.take(&key("full"), "a").await));
    reserved(limits.take(&key("full"), "b").await);

    let keys = prefix.limit("whatsapp", "", "full");
    for name in [keys.state(), keys.turns()] {
        let left: i64 = link.query(redis::cmd("PTTL").arg(&name)).await.unwrap();
        assert!((1..=1_300_000).contains(&left), "{name}: {left}");
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
