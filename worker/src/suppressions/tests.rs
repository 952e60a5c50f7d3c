//! Stories about the list, told with a real Postgres.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::*;
use crate::outcomes::tests::servers;

/// How long a test waits for an event before it fails.
const PATIENCE: Duration = Duration::from_mins(2);

/// Waits until the copy says so; it asks every [`PERIOD`].
async fn until(copy: &Suppressions, held: bool, (tenant, address): (Option<&str>, &str)) {
    let told = async {
        while copy.holds(Channel::Email, tenant, address) != Ok(held) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, told).await.expect("the copy hears of it");
}

async fn put(pool: &PgPool, tenant: Option<&str>, address: &str) {
    assert_eq!(
        add(pool, (Channel::Email, tenant), &[address.to_owned()], "bounced", "test").await.unwrap(),
        1
    );
}

#[tokio::test]
async fn a_copy_has_what_was_there_and_hears_of_what_comes_and_goes() {
    let pool = servers().database().await;
    put(&pool, None, "old@example.com").await;

    let copy = Suppressions::following(pool.clone());

    assert_eq!(copy.holds(Channel::Email, None, "old@example.com"), Err(NotReadYet));
    until(&copy, true, (None, "Old <OLD@example.com>")).await;
    put(&pool, None, "new@example.com").await;
    until(&copy, true, (None, "new@example.com")).await;
    assert!(remove(&pool, (Channel::Email, None), "old@example.com", "test").await.unwrap());
    until(&copy, false, (None, "old@example.com")).await;
}

#[tokio::test]
async fn an_entry_committed_late_is_heard_of() {
    let pool = servers().database().await;
    let mut late = pool.begin().await.unwrap();
    let row =
        sqlx::query(include_str!("add.sql")).bind("email").bind("").bind(["late@example.com"].as_slice());
    row.bind("bounced").bind("test").execute(&mut *late).await.unwrap();
    let copy = Suppressions::following(pool.clone());
    put(&pool, None, "early@example.com").await;
    until(&copy, true, (None, "early@example.com")).await;

    late.commit().await.unwrap();

    until(&copy, true, (None, "late@example.com")).await;
}

#[tokio::test]
async fn a_tenants_entry_holds_for_that_tenant_alone() {
    let pool = servers().database().await;
    put(&pool, Some("acme"), "ana@example.com").await;

    let copy = Suppressions::following(pool);

    until(&copy, true, (Some("acme"), "ana@example.com")).await;
    for tenant in [None, Some("globex")] {
        assert_eq!(copy.holds(Channel::Email, tenant, "ana@example.com"), Ok(false));
    }
    assert_eq!(copy.holds(Channel::Sms, Some("acme"), "ana@example.com"), Ok(false));
}

#[tokio::test]
async fn what_a_provider_says_holds_at_once_and_for_the_fleet() {
    let pool = servers().database().await;
    let (here, there) = (Suppressions::following(pool.clone()), Suppressions::following(pool.clone()));
    until(&here, false, (None, "x@example.com")).await;

    here.learn(Channel::Push, Some("acme"), "https://push.example.com/secret", "gone", "push").await;

    assert_eq!(here.holds(Channel::Push, Some("acme"), "https://push.example.com/secret"), Ok(true));
    let [row] = list(&pool, &Wanted::default(), 9).await.unwrap().try_into().unwrap();
    assert_eq!((&*row.actor, &*row.reason, row.tenant.as_deref()), ("push", "gone", Some("acme")));
    let told = async {
        while there.holds(Channel::Push, Some("acme"), "https://push.example.com/secret") != Ok(true) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, told).await.expect("the other process hears of it");
}

#[tokio::test]
async fn additions_are_counted_once_and_every_deed_is_in_the_audit_log() {
    let pool = servers().database().await;
    let addresses: Vec<String> = (0..2_500).map(|n| format!("user{n}@example.com")).collect();

    let first = add(&pool, (Channel::Email, None), &addresses, "bounced", "cli:ana").await.unwrap();
    let again = add(&pool, (Channel::Email, None), &addresses, "bounced", "cli:ana").await.unwrap();
    let removed = remove(&pool, (Channel::Email, None), "user7@example.com", "cli:ana").await.unwrap();
    let twice = remove(&pool, (Channel::Email, None), "user7@example.com", "cli:ana").await.unwrap();
    let back = add(&pool, (Channel::Email, None), &addresses[7..8], "bounced", "cli:ana").await.unwrap();

    assert_eq!((first, again, removed, twice, back), (2_500, 0, true, false, 1));
    let sql =
        "SELECT string_agg(action || ' ' || coalesce(detail->>'added', ''), ', ' ORDER BY id) FROM audit_log";
    let deeds: String = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
    assert_eq!(deeds, "suppression.add 2500, suppression.add 0, suppression.remove , suppression.add 1");
}

#[tokio::test]
async fn a_worker_that_starts_without_postgres_waits_for_one_try_and_works_on() {
    let pool = crate::database::connect(&"postgres://nobody@127.0.0.1:1/none".into(), 1).unwrap();

    let copy = Suppressions::following(pool);

    assert_eq!(copy.holds(Channel::Email, None, "ana@example.com"), Err(NotReadYet));
    until(&copy, false, (None, "ana@example.com")).await;
}
