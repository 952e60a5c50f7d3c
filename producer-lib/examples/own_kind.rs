//! A job kind of your own: a struct, its kind and queue, and what makes it valid.
//! `cargo run -p flota-producer --example own_kind`.

use flota_producer::{Invalid, NewJob, Payload, Producer, Settings};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct RebuildReport {
    month: u8,
}

impl Payload for RebuildReport {
    const KIND: &'static str = "rebuild_report";
    const QUEUE: &'static str = "reports";

    fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless((1..=12).contains(&self.month), "month", "must be 1 to 12")
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let producer = Producer::new(Settings::from_env()?)?;
    // At most one rebuild of a month at a time, however often it is asked for.
    let job = NewJob::new(RebuildReport { month: 11 }).unique("rebuild-11");
    let receipt = producer.enqueue(job).await?;
    println!("{} {}", receipt.id, if receipt.deduplicated { "is under way" } else { "was added" });
    Ok(())
}
