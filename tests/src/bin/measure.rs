//! Measures the stories with large numbers:
//! `cargo run --release -p flota-tests --bin measure -- drain|kill|outage|flushall|replay|dead`.

use std::time::Duration;

use anyhow::bail;
use flota_tests::{
    cluster::{DEFAULT, SHORT},
    replays, stories,
};

const USAGE: &str = "usage: measure drain [jobs] | kill [jobs] | outage [seconds] | flushall [jobs] | replay [letters] | dead [letters]";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = words.get(1).and_then(|word| word.parse::<usize>().ok());
    match words.first().map(String::as_str) {
        Some("drain") => drain(number.unwrap_or(100_000)).await,
        Some("kill") => kill(number.unwrap_or(200)).await,
        Some("outage") => outage(Duration::from_secs(number.unwrap_or(60) as u64)).await,
async fn replay(letters: usize) -> anyhow::Result<()> {
    let killed = replays::kill_replays(letters, 10).await?;
    println!(
        "{letters} letters replayed by two processes at once, {} caught by SIGKILL at {} points",
        killed.caught, killed.kills
    );
    println!(
        "  {} operations, {} letters enqueued, {} jobs for them, {} outcomes, {} repeated effects",
        killed.operations, killed.replayed, killed.jobs, killed.recorded.rows, killed.repeated
    );
    println!("  from the first command until the last outcome {:.1?}", killed.took);
    Ok(())
}

async fn dead(letters: usize) -> anyhow::Result<()> {
    println!(
        "{letters} dead letters over ten days; the median of five, the first after a restart not counted"
    );
    for timed in replays::time_queries(letters).await? {
        println!("  {:<34} {:>8.1?}  {} rows", timed.what, timed.took, timed.rows);
        for line in timed.plan {
            println!("      {line}");
        }
    }
