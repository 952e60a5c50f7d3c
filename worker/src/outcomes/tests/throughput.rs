//! How fast history can be written. Not a test: `cargo test -p flota-worker --lib throughput -- --ignored --nocapture`.

use super::*;

#[tokio::test]
#[ignore = "measures, and promises nothing"]
async fn a_hundred_thousand_records_are_recorded() {
    let story = Story::new().await;
    for n in 0..200 {
        story.settled(NOW_MS + n, &succeeded(500)).await;
    }
    let began = Instant::now();

    let progress = story.recorder().run_once().await.unwrap();

    let took = began.elapsed();
    println!("{} rows in {took:.2?}: {:.0} rows/s", progress.recorded, 100_000.0 / took.as_secs_f64());
    assert_eq!(progress.recorded, 100_000);
}

#[tokio::test]
#[ignore = "measures, and promises nothing"]
async fn an_outbox_in_use_costs_a_deletion_for_each_row() {
    let story = Story::new().await;
    let fill = "INSERT INTO outbox (id, queue, envelope, sent_at) SELECT gen_random_uuid(), 'email', '', now() \
                FROM generate_series(1, 100000)";
    sqlx::query(fill).execute(&story.pool).await.unwrap();
    for n in 0..200 {
        let records = succeeded(500);
        let ids: Vec<uuid::Uuid> = records.iter().map(|record| record.id.uuid()).collect();
        let row =
            "INSERT INTO outbox (id, queue, envelope, sent_at) SELECT unnest($1::uuid[]), 'email', '', now()";
        sqlx::query(row).bind(ids).execute(&story.pool).await.unwrap();
        story.settled(NOW_MS + n, &records).await;
    }
    let began = Instant::now();

    let progress = story.recorder().run_once().await.unwrap();

    let took = began.elapsed();
    println!("{} rows in {took:.2?}: {:.0} rows/s", progress.recorded, 100_000.0 / took.as_secs_f64());
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(&story.pool).await.unwrap();
    assert_eq!((progress.recorded, left), (100_000, 100_000));
}
