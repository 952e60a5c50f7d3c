//! Enqueues an email inside a database transaction; Redis need not even run:
//! `DATABASE_URL=postgres://… cargo run -p flota-producer --features outbox --example enqueue_in_transaction`.

use flota_producer::{EmailBody, NewJob, Outbox, SendEmail};
use sqlx::{Connection, PgConnection};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut connection = PgConnection::connect(&std::env::var("DATABASE_URL")?).await?;
    let mut transaction = connection.begin().await?;

    // The application's own rows would be written here, in the same transaction.
    let mail = SendEmail::new("ana@example.com", EmailBody::text("Hello from Flota", "It was committed."));
    let receipt = Outbox::default().enqueue_in(&mut transaction, NewJob::new(mail).tenant("acme")).await?;

    transaction.commit().await?;
    println!("{} goes to queue {} as soon as a worker's relay sees it", receipt.id, receipt.queue);
    Ok(())
}
