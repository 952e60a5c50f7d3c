//! Enqueues a thousand webhooks in batches, spread over the next minute:
//! `cargo run -p flota-producer --example enqueue_batch`.

use std::time::Duration;

use flota_producer::{DeliverWebhook, EnqueueError, NewJob, Priority, Producer, Settings};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let producer = Producer::new(Settings::from_env()?)?;
    let event = |n: u64| DeliverWebhook::to_endpoint("ep_orders", "order.paid", json!({ "order": n }));
    let jobs = (0..1_000).map(|n| {
        let delay = Duration::from_millis(n * 60);
        NewJob::new(event(n))
            .tenant("acme")
            .key(format!("order-{n}-paid"))
            .after(delay)
            .priority(Priority::Low)
    });

    let outcomes = producer.enqueue_all(jobs.collect()).await;

    let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let full =
        outcomes.iter().filter(|outcome| matches!(outcome, Err(EnqueueError::QueueFull { .. }))).count();
    println!("{accepted} accepted, {full} refused because the queue is full");
    Ok(())
}
