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
