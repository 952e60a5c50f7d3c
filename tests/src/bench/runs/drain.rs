//! A backlog that is loaded first and then run: rates, CPU, memory.
//!
//! Rates count from the end of the first handler, for everybody. Ours end when the last job has left Redis (settled) and
//! when its row is committed; a peer's when its last handler has ended.

use std::time::{Duration, Instant};

use flota_engine::control::{self, Control, Note, Setting};
use flota_producer::keys::{Prefix, QueueKeys};
use sqlx::{Connection, PgConnection};
use tokio::time::sleep;

use super::{
    load::{DELAY, Load},
    meter::Meter,
    producers,
    workers::Workers,
};
use crate::bench::{
    case::Case,
    figures::GRAPHILE,
    ground::{Field, Fsync, Ground},
    metric::Metric,
    payload::{QUEUE, unix_ns},
    peers::{Peer, install::Call},
    sample::Readings,
};

/// Slots of each worker where there are several.
const SLOTS_OF_MANY: usize = 32;
/// Between two looks at Redis.
const LOOK: Duration = Duration::from_millis(5);
/// What a peer may take to tidy up after the last handler.
const TIDY: Duration = Duration::from_secs(1);
/// A little run before the first, so that scripts are loaded when memory is looked at.
const WARM_UP: usize = 200;

/// The drain of the figures.
pub(super) async fn usual(ground: &Ground, jobs: usize) -> anyhow::Result<Readings> {
    ours(ground, Load::of(Case::Usual, WARM_UP), &[]).await?;
    ours(ground, Load::of(Case::Usual, jobs), &[]).await
}

/// The same with several workers.
pub(super) async fn fleets(ground: &Ground, fleets: &[usize], jobs: usize) -> anyhow::Result<Readings> {
    let mut readings = Readings::new();
    for &processes in fleets {
        let case = Case::Workers(processes);
        let load = Load { processes, slots: SLOTS_OF_MANY, ..Load::of(case, jobs) };
        readings.extend(ours(ground, load, &[]).await?);
    }
    Ok(readings)
}

/// The same with Redis writing in this way.
pub(super) async fn with_fsync(
    ground: &Ground,
    jobs: usize,
    case: Case,
    fsync: Fsync,
) -> anyhow::Result<Readings> {
    ours(ground, Load { fsync, ..Load::of(case, jobs) }, &[]).await
}

/// Ours. `more` are variables of the workers.
pub(super) async fn ours(ground: &Ground, load: Load, more: &[(&str, String)]) -> anyhow::Result<Readings> {
    let (field, keys) = (ground.empty(load.fsync, true).await?, Prefix::default().queue(QUEUE));
    let mut readings = bulk(&field, load).await?;
    // Several workers begin together, when all are there.
    let together = 1 < load.processes;
    if together {
        control::set(&field.link, &keys, &Setting::Pause, &Note::default()).await?;
    }
    let mut meter = Meter::start(&field).await?;
    let workers = Workers::ours(&field, load.processes, load.slots, more).await?;
    if together {
        workers.at_work(&field).await?;
        meter = Meter::start(&field).await?;
        control::unset(&field.link, &keys, Control::Pause).await?;
    }
    let ends = emptied(&field, &keys, &workers).await?;
    readings.extend(meter.read(&field, &workers, load.jobs).await?);
    let tally = workers.ran(load.jobs).await?;
    workers.stop().await?;
    ensure_recorded(&field, load.jobs).await?;
    let left = (field.redis_memory().await? - field.empty) / load.jobs as f64;
    let per_second = |end: u64| load.jobs as f64 / (end.saturating_sub(tally.first) as f64 / 1e9);
    readings.push((Metric::SettledPerS, per_second(ends.settled)));
    readings.push((Metric::CommittedPerS, per_second(ends.committed)));
    readings.push((Metric::BytesLeft, left));
    Ok(with_sum(readings).into_iter().map(|(metric, value)| (load.case, metric, value)).collect())
}

async fn bulk(field: &Field<'_>, load: Load) -> anyhow::Result<Vec<(Metric, f64)>> {
    load.set_up(field).await?;
    let (cpu, began) = (field.redis_cpu().await?, Instant::now());
    load.enqueue(field).await?;
    let (took, last) = (began.elapsed(), Instant::now());
    let cpu = field.redis_cpu().await?.saturating_sub(cpu);
    let bytes = (field.redis_memory().await? - field.empty) / load.jobs as f64;
    field.quiet().await?;
    if load.case == Case::Delayed {
        sleep(DELAY.saturating_sub(last.elapsed())).await;
    }
    Ok(vec![
        (Metric::BulkPerS, load.jobs as f64 / took.as_secs_f64()),
        (Metric::RedisBulkUs, cpu.as_secs_f64() * 1e6 / load.jobs as f64),
        (Metric::BytesPerQueued, bytes),
    ])
}

/// When the last job had left Redis, and when nothing waited for Postgres any more; Unix nanoseconds.
struct Ends {
    settled: u64,
    committed: u64,
}

/// Records are taken out of Redis after their rows are committed, never before, so an empty stream means that all are.
async fn emptied(field: &Field<'_>, keys: &QueueKeys, workers: &Workers) -> anyhow::Result<Ends> {
    let mut look = redis::pipe();
    look.cmd("HLEN").arg(keys.jobs()).cmd("XLEN").arg(keys.outcomes());
    let (mut settled, mut before, mut since) = (None, (0, 0), Instant::now());
    loop {
        let left: (u64, u64) = field.link.pipeline(&look).await?;
        if left.0 == 0 && settled.is_none() {
            settled = Some(unix_ns());
        }
        if let (Some(settled), (0, 0)) = (settled, left) {
            return Ok(Ends { settled, committed: unix_ns() });
        }
        if left != before {
            (before, since) = (left, Instant::now());
        }
        workers
            .ensure_alive(since)
            .map_err(|error| error.context(format!("jobs and records left: {left:?}")))?;
        sleep(LOOK).await;
    }
}

async fn ensure_recorded(field: &Field<'_>, jobs: usize) -> anyhow::Result<()> {
    let sql = "SELECT count(*), count(DISTINCT job_id) FILTER (WHERE status = 'succeeded') FROM outcomes";
    let mut connection = PgConnection::connect(&field.database_url).await?;
    let recorded: (i64, i64) = sqlx::query_as(sql).fetch_one(&mut connection).await?;
    anyhow::ensure!(
        recorded == (jobs as i64, jobs as i64),
        "{jobs} jobs, and (rows, succeeded) {recorded:?}"
    );
    Ok(connection.close().await?)
}

/// A peer's.
pub(super) async fn peer(ground: &Ground, jobs: usize, peer: &Peer, call: &Call) -> anyhow::Result<Readings> {
    let jobs = peer.most_jobs.unwrap_or(jobs).min(jobs);
    let field = ground.empty(Fsync::EverySecond, false).await?;
    let cpu = field.redis_cpu().await?;
    let bulk = producers::enqueue(&field, (peer, call), "bulk", jobs, 0).await?;
    let redis_bulk = field.redis_cpu().await?.saturating_sub(cpu);
    let bytes = (field.redis_memory().await? - field.empty) / jobs as f64;
    field.quiet().await?;
    let meter = Meter::start(&field).await?;
    let workers = Workers::peer(&field, peer, call, false).await?;
    let tally = workers.ran(jobs).await?;
    sleep(TIDY).await;
    let mut readings = meter.read(&field, &workers, jobs).await?;
    workers.kill().await?;
    let left = (field.redis_memory().await? - field.empty) / jobs as f64;
    readings.extend([(Metric::BulkPerS, bulk), (Metric::SettledPerS, tally.per_second())]);
    readings.push((Metric::RedisBulkUs, redis_bulk.as_secs_f64() * 1e6 / jobs as f64));
    readings.extend([(Metric::BytesPerQueued, bytes), (Metric::BytesLeft, left)]);
    let mut readings = with_sum(readings);
    if peer.product == GRAPHILE {
        // It does not use Redis.
        readings.retain(|(metric, _)| !is_of_redis(*metric));
    }
    Ok(readings.into_iter().map(|(metric, value)| (Case::Usual, metric, value)).collect())
}

fn with_sum(mut readings: Vec<(Metric, f64)>) -> Vec<(Metric, f64)> {
    let parts = [Metric::RedisBulkUs, Metric::RedisDrainUs];
    let sum = readings.iter().filter(|(metric, _)| parts.contains(metric)).map(|(_, value)| value).sum();
    readings.push((Metric::RedisBothUs, sum));
    readings
}

fn is_of_redis(metric: Metric) -> bool {
    use Metric::{BytesLeft, BytesPerQueued, RedisBothUs, RedisBulkUs, RedisDrainUs};
    [BytesLeft, BytesPerQueued, RedisBothUs, RedisBulkUs, RedisDrainUs].contains(&metric)
}
