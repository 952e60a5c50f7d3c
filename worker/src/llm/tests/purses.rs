//! Stories about money that is held and spent.

use chrono::{DateTime, Datelike, Utc};
use flota_producer::clock;

use super::*;

async fn held(purses: &Purses, budget: &Budget, job: JobId, dollars: f64) -> Option<purse::Held> {
    purses.hold(Some("acme"), budget, job, Dollars::new(dollars)).await.unwrap().ok()
}

fn purses() -> Purses {
    let (link, prefix) = redis();
    Purses::new(link, prefix)
}

#[tokio::test]
async fn what_is_held_and_spent_together_never_exceeds_the_limit() {
    let (purses, budget) = (purses(), budget(1.0, WhenSpent::Wait));
    let first = held(&purses, &budget, JobId::mint(), 0.6).await.unwrap();

    let too_much = held(&purses, &budget, JobId::mint(), 0.6).await;
    first.spend(Dollars::new(0.1)).await.unwrap();
    let fits_now = held(&purses, &budget, JobId::mint(), 0.9).await;

    assert!(too_much.is_none() && fits_now.is_some());
    let standing = &purses.standing(Some("acme"), &budget).await.unwrap()[0];
    assert_eq!((standing.spent, standing.held, standing.limit), (0.1, 0.9, 1.0));
}

#[tokio::test]
async fn a_job_that_asks_again_replaces_its_hold() {
    let (purses, budget, job) = (purses(), budget(1.0, WhenSpent::Wait), JobId::mint());
    let lost = held(&purses, &budget, job, 0.9).await;
    // The process was killed: nobody gives it back.
    std::mem::forget(lost);

    let again = held(&purses, &budget, job, 0.9).await.unwrap();
    again.spend(Dollars::new(0.2)).await.unwrap();

    let standing = &purses.standing(Some("acme"), &budget).await.unwrap()[0];
    assert_eq!((standing.spent, standing.held), (0.2, 0.0));
}

#[tokio::test]
async fn a_call_dearer_than_the_whole_budget_passes_once() {
    let (purses, budget) = (purses(), budget(0.5, WhenSpent::Wait));

    let dear = held(&purses, &budget, JobId::mint(), 3.0).await;
    let cheap = held(&purses, &budget, JobId::mint(), 0.1).await;

    assert!(dear.is_some() && cheap.is_none());
}

#[tokio::test]
async fn the_month_counts_beside_the_day_and_tenants_apart() {
    let purses = purses();
    let budget = Budget { per_month: Some(Dollars::new(1.0)), ..budget(10.0, WhenSpent::Wait) };
    held(&purses, &budget, JobId::mint(), 1.0).await.unwrap().spend(Dollars::new(1.0)).await.unwrap();

    let answer = purses.hold(Some("acme"), &budget, JobId::mint(), Dollars::new(0.1)).await.unwrap();
    let other = purses.hold(Some("globex"), &budget, JobId::mint(), Dollars::new(0.1)).await.unwrap();

    let spent = answer.err().unwrap();
    assert_eq!((spent.window.name.len(), spent.spent), ("2026-11".len(), Dollars::new(1.0)));
    let month = |time: DateTime<Utc>| (time.year(), time.month());
    let now = DateTime::from_timestamp_millis(clock::unix_now_ms() as i64).unwrap();
    let turn = now + spent.window.left;
    assert_eq!(month(turn - Duration::from_mins(1)), month(now), "it waits for the month to turn");
    assert_ne!(month(turn + Duration::from_mins(1)), month(now), "it waits for the month to turn");
    assert!(other.is_ok());
}
