//! A provider that refuses one key again and again: others go on, nothing is charged, and Redis is asked little.

use std::time::Duration;

use flota_tests::stories::storm::storm;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_429_waits_without_holding_others_up() {
    let storm = storm(600, 400, Duration::from_secs(2), true).await.unwrap();

    assert_eq!(storm.taken, 600, "{storm:?}");
    // Loose, because other tests share the machine; `measure storm` tells the figure.
    assert!(storm.alone * 0.5 < storm.beside, "{storm:?}");
    assert!(storm.asks_per_job <= 4.0, "{storm:?}");
    // Those under way when it begins, and now and then one while the pace is found.
    assert!(storm.refused <= 64 + 40, "{storm:?}");
}
