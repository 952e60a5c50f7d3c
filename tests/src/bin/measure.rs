//! Measures the stories with large numbers:
//! `cargo run --release -p flota-tests --bin measure -- drain|kill|outage|flushall|replay|dead|sends|storm|pipeline|sizes|storage`.

use std::time::Duration;

use anyhow::bail;
use flota_tests::{
    cluster::{DEFAULT, SHORT},
    replays,
    stored_file::{self, PROMISED},
    stories::{self, sends::What},
};

const USAGE: &str = "usage: measure drain [jobs] | kill [jobs] | outage [seconds] | flushall [jobs] | replay [letters] | dead [letters] | sends [jobs] | storm [jobs] | pipeline [calls] | sizes [jobs] | storage [MiB]";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = words.get(1).and_then(|word| word.parse::<usize>().ok());
    match words.first().map(String::as_str) {
        Some("drain") => drain(number.unwrap_or(100_000)).await,
        Some("kill") => kill(number.unwrap_or(200)).await,
        Some("outage") => outage(Duration::from_secs(number.unwrap_or(60) as u64)).await,
        Some("flushall") => flushall(number.unwrap_or(5_000)).await,
        Some("replay") => replay(number.unwrap_or(10_000)).await,
        Some("dead") => dead(number.unwrap_or(1_000_000)).await,
        Some("sends") => sends(number.unwrap_or(3_000)).await,
        Some("storm") => storm(number.unwrap_or(50_000)).await,
        Some("sizes") => sizes(number.unwrap_or(50_000)).await,
        Some("pipeline") => pipeline(number.unwrap_or(100_000)).await,
        Some("storage") => storage(number.unwrap_or(1_024)).await,
        _ => bail!(USAGE),
    }
}

async fn drain(jobs: usize) -> anyhow::Result<()> {
    let drained = stories::drain_a_backlog(jobs, 1024, 200).await?;
    let rate = |took: Duration| (jobs as f64 / took.as_secs_f64()) as u64;
    println!("{jobs} no-op jobs with 200-byte payloads, one worker process with 1024 slots, AOF everysec");
    println!("enqueue             {:>9} jobs/s", rate(drained.enqueued));
    println!("drain, settled      {:>9} jobs/s", rate(drained.settled));
    println!("drain, committed    {:>9} jobs/s", rate(drained.committed));
    println!("Redis CPU, enqueue  {:>9.1} µs/job", drained.redis_enqueue.as_secs_f64() * 1e6);
    println!("Redis CPU, drain    {:>9.1} µs/job", drained.redis_drain.as_secs_f64() * 1e6);
    println!("Redis memory        {:>9.0} bytes/job", drained.bytes_per_job);
    Ok(())
}

async fn sizes(jobs: usize) -> anyhow::Result<()> {
    println!(
        "{jobs} no-op jobs with 200-byte payloads by 1, 8 and 32 worker processes of 32 slots, AOF everysec"
    );
    println!("pick-up at 50 jobs/s, from the producer's clock until a processor starts\n");
    println!("| workers | Redis, idle | pick-up p50 | p99 | drained, committed | Redis per job |");
    println!("|---|---|---|---|---|---|");
    for workers in [1, 8, 32] {
        let of = stories::sizes::of_size(workers, 1_000, jobs).await?;
        let [p50, p99] = of.pick_up_us.map(|us| us / 1_000.0);
        println!(
            "| {} | {:.1} % of a core | {p50:.2} ms | {p99:.2} ms | {:.0} jobs/s | {:.1} µs |",
            of.workers,
            of.idle_percent,
            of.drained,
            of.redis_per_job.as_secs_f64() * 1e6
        );
    }
    Ok(())
}

async fn kill(jobs: usize) -> anyhow::Result<()> {
    for leases in [DEFAULT, SHORT] {
        let killed = stories::kill_a_worker(jobs, leases).await?;
        println!(
            "kill -9 with {jobs} jobs in flight, lease {:?}, heartbeat {:?}",
            leases.lease, leases.heartbeat
        );
        println!(
            "  last ready again {:.1?}, last picked up {:.1?}",
            killed.last_ready_again, killed.last_picked_up
        );
        println!("  {:?}, {} repeated effects", killed.recorded, killed.repeated);
    }
    Ok(())
}

async fn outage(length: Duration) -> anyhow::Result<()> {
    let outage = stories::take_servers_away(DEFAULT, length).await?;
    println!("Redis stopped for {length:?} under load, then Postgres for {length:?}");
    println!("  {} accepted, {:?}, {} repeated effects", outage.accepted, outage.recorded, outage.repeated);
    println!("  settled again {:.1?} after Redis was back", outage.back_after);
    Ok(())
}

async fn flushall(jobs: usize) -> anyhow::Result<()> {
    let lost_after = flota_worker::outbox::Pace::default().lost_after;
    let flushed = stories::outbox::flush_redis(jobs, lost_after).await?;
    println!("FLUSHALL in the middle of {jobs} jobs that were enqueued in transactions");
    println!("  {} had an outcome before, {:?} afterwards", flushed.before, flushed.recorded);
    println!(
        "  all within {:.1?} of the flush; {} sent again, {} repeated effects, {} rows left in the outbox",
        flushed.took, flushed.sent_again, flushed.repeated, flushed.left
    );
    Ok(())
}

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
    for timed in Box::pin(replays::time_queries(letters)).await? {
        println!("  {:<34} {:>8.1?}  {} rows", timed.what, timed.took, timed.rows);
        for line in timed.plan {
            println!("      {line}");
        }
    }
    Ok(())
}

async fn sends(count: usize) -> anyhow::Result<()> {
    println!(
        "one worker process with 64 slots, the sandbox, Redis and Postgres on this machine; median of 5 rounds of {count}"
    );
    for (what, name) in [(What::Mails, "mails"), (What::Webhooks, "webhooks")] {
        let mut paces = stories::sends::sends(what, count, 5, 64).await?;
        paces.sort_unstable_by(f64::total_cmp);
        let (least, most) = (paces[0], paces[paces.len() - 1]);
        println!("  {name:<9} {:>7.0} a second ({least:.0} to {most:.0})", paces[paces.len() / 2]);
    }
    Ok(())
}

async fn storm(jobs: usize) -> anyhow::Result<()> {
    let storm = stories::storm::storm(jobs, 10_000, Duration::from_secs(20), false).await?;
    println!("{jobs} webhooks to one endpoint that answers 429, 10,000 to another, one worker with 64 slots");
    println!("  others alone        {:>7.0} jobs/s", storm.alone);
    println!(
        "  others beside it    {:>7.0} jobs/s ({:.1} %)",
        storm.beside,
        storm.beside / storm.alone * 100.0
    );
    println!("  all waiting after   {:>7.1?}", storm.parked_after);
    println!("  taken, refused      {:>7}, {}", storm.taken, storm.refused);
    println!(
        "  asks for a turn     {:>7.2} per job, in {:.2} script calls",
        storm.asks_per_job, storm.calls_per_job
    );
    Ok(())
}

async fn pipeline(calls: usize) -> anyhow::Result<()> {
    for (at_once, limited) in [(1, false), (1, true), (64, true)] {
        let added = stories::storm::what_the_pipeline_adds(calls, at_once, limited).await?;
        let limit = if limited { "a window in Redis" } else { "no window" };
        println!("{at_once} at once, {limit}: median {:.1?}, p99 {:.1?}", added.median, added.p99);
    }
    Ok(())
}

async fn storage(mebibytes: usize) -> anyhow::Result<()> {
    let moved = stored_file::move_one(mebibytes).await?;
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    println!(
        "a file of {mebibytes} MiB to the sandbox's storage and back by `flota storage` ({build} build): resident memory above \
         that for a file of one byte"
    );
    for (way, leg) in [("put, in parts", moved.up), ("get", moved.down)] {
        let rate = mebibytes as f64 / leg.took.as_secs_f64();
        println!("  {way:<13} {:>6.1} MiB at most, {:>6.1?}, {rate:.0} MiB/s", leg.most_memory, leg.took);
    }
    let most = moved.up.most_memory.max(moved.down.most_memory);
    anyhow::ensure!(most <= PROMISED, "{most:.1} MiB are more than the {PROMISED} that are promised");
    Ok(())
}
