//! A provider that refuses one key again and again: others go on, nothing is charged, and Redis is asked little.

use std::time::Duration;

use flota_tests::stories::storm::storm;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_429_waits_without_holding_others_up() {
    let storm = storm(600, 400, Duration::from_secs(2), true).await.unwrap();

    assert_eq!(storm.taken, 600, "{storm:?}");
    // All three are loose, because other tests share the machine: `measure storm` tells the figures (nine tenths, about
    // two, and little more than those under way when it begins). A storm that kept its slots would hold the others up
    // for as long as it is refused, eight times what they take alone; jobs without turns would be refused and ask dozens
    // of times each.
    assert!(storm.alone * 0.2 < storm.beside, "{storm:?}");
    assert!(storm.asks_per_job <= 10.0, "{storm:?}");
    assert!(storm.refused <= 600, "{storm:?}");
}
