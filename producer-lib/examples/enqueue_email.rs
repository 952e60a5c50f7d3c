//! Enqueues one email: `cargo run -p flota-producer --example enqueue_email -- ana@example.com`.

use flota_producer::{EmailBody, EnqueueError, NewJob, Producer, SendEmail, Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let to = std::env::args().nth(1).unwrap_or_else(|| "ana@example.com".to_owned());
    let producer = Producer::new(Settings::from_env()?)?;
    let mail = SendEmail::new(to, EmailBody::text("Hello from Flota", "It works."));

    match producer.enqueue(NewJob::new(mail).tenant("acme").key("hello-ana")).await {
        Ok(receipt) if receipt.deduplicated => println!("{} was there already", receipt.id),
        Ok(receipt) => println!("{} waits in queue {}", receipt.id, receipt.queue),
        // Without a key this is all that anybody can know; look the id up before trying again.
        Err(EnqueueError::Unknown { id, .. }) => println!("{id} may have been accepted"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
