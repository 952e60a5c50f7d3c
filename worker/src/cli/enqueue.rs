//! `flota enqueue`: one job by hand, checked as a producer would check it.

use std::{io::IsTerminal, time::Duration};

use clap::Parser;
use flota_producer::{JobId, NewJob, Priority, Producer, Receipt, Trace};
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use crate::{
    config::Environment,
    exit::{Done, Exit, Stop},
    telemetry::is_traceparent,
    view::{self, JobView},
};

use super::{
    Global,
    context::{Redis, postgres},
};

/// Pause between two looks at a job that is waited for.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  flota enqueue send_email --data '{\"to\":[\"ana@example.com\"],\"body\":{\"subject\":\"Hi\",\"text\":\"Hello\"}}'
  flota enqueue deliver_webhook --data @event.json --tenant acme --key order-42 --wait
  flota enqueue deliver_webhook --data @event.json --in-order shop-7")]
pub(super) struct Args {
    /// Kind of job, for example `send_email`
    kind: String,
    /// The payload: JSON, @file, or - for standard input
    #[arg(long, short)]
    data: String,
    /// Queue to use instead of the kind's own
    #[arg(long)]
    queue: Option<String>,
    /// Whose work it is
    #[arg(long)]
    tenant: Option<String>,
    /// Start it this much later: 90s, 5m, 2h
    #[arg(long, value_parser = humantime::parse_duration, conflicts_with = "at")]
    delay: Option<Duration>,
    /// Start it at this time, RFC 3339: 2026-12-24T18:00:00Z
    #[arg(long, value_parser = parse_time)]
    at: Option<u64>,
    /// Idempotency key: the same key and payload give the first job back
    #[arg(long)]
    key: Option<String>,
    /// Unique key: nothing is added while a job with it is alive
    #[arg(long)]
    unique: Option<String>,
    /// Ordering key: it starts when all jobs enqueued with the same key before it have ended
    #[arg(long, value_name = "KEY", conflicts_with_all = ["delay", "at"])]
    in_order: Option<String>,
    /// Before or after the other jobs of the queue
    #[arg(long, value_enum, default_value = "normal")]
    priority: PriorityArg,
    /// Failed tries before it is buried
    #[arg(long)]
    max_attempts: Option<u32>,
    /// Longest time one run may take: 30s, 2m; at most a day
    #[arg(long, value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Trace that the job is part of: a `traceparent` header of W3C Trace Context
    #[arg(long, env = "TRACEPARENT", hide_env_values = true)]
    traceparent: Option<String>,
    /// Wait until it has ended and say how; exit 1 unless it succeeded
    #[arg(long)]
    wait: bool,
    /// Longest time to wait
    #[arg(long, value_parser = humantime::parse_duration, default_value = "5m", requires = "wait")]
    wait_timeout: Duration,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum PriorityArg {
    High,
    Normal,
    Low,
}

pub(super) async fn run(global: &Global, environment: Environment, args: Args) -> Done {
    let pool = if args.wait { Some(postgres(&environment)?) } else { None };
    let job = job(global, &args)?;
    let redis = Redis::new(&environment)?;
    if let Some(queue) = &args.queue {
        redis.known_queue(global, queue).await?;
    }
    let producer = Producer::new(environment.redis.clone())?;
    let receipt = producer.enqueue(job).await?;
    let Some(pool) = pool else {
        global.output.one(&receipt, &receipt.id.to_string(), || accepted(&receipt))?;
        return Ok(Exit::Ok);
    };
    let deadline = Instant::now() + args.wait_timeout;
    let mut told = String::new();
    let people_read = std::io::stderr().is_terminal();
    if people_read {
        eprintln!("{}", accepted(&receipt));
    }
    loop {
        let queue = std::slice::from_ref(&receipt.queue);
        let found = view::job(&redis.link, &redis.prefix, Some(&pool), queue, receipt.id).await?;
        match found {
            Some(job) if job.outcome.is_some() => {
                global.output.one(&job, &receipt.id.to_string(), || ended(&job))?;
                return Ok(if job.state == "succeeded" { Exit::Ok } else { Exit::Failed });
            }
            found if deadline <= Instant::now() => {
                return Err(still_waiting(receipt.id, args.wait_timeout, found.as_ref()));
            }
            Some(job) if people_read => tell(&job, &mut told),
            _ => {}
        }
        sleep(LOOK).await;
    }
}

fn job(global: &Global, args: &Args) -> Result<NewJob, Stop> {
    let registry = global.additions.registry();
    let kinds = registry.names().collect::<Vec<_>>().join(", ");
    let kind = registry.get(&args.kind).ok_or_else(|| {
        Stop::usage(format!("there is no kind `{}`; this release knows {kinds}", args.kind))
    })?;
    let payload = payload(&args.data)?;
    (kind.check)(&payload)
        .map_err(|error| Stop::usage(format!("the payload of {} is not valid: {error}", args.kind)))?;
    let queue = args.queue.as_deref().unwrap_or(kind.queue);
    let mut job = NewJob::untyped(&args.kind, queue, payload).priority(match args.priority {
        PriorityArg::High => Priority::High,
        PriorityArg::Normal => Priority::Normal,
        PriorityArg::Low => Priority::Low,
    });
    if let Some(tenant) = &args.tenant {
        job = job.tenant(tenant);
    }
    if let Some(delay) = args.delay {
        job = job.after(delay);
    }
    if let Some(at) = args.at {
        job = job.at(at);
    }
    if let Some(key) = &args.key {
        job = job.key(key);
    }
    if let Some(unique) = &args.unique {
        job = job.unique(unique);
    }
    if let Some(key) = &args.in_order {
        job = job.in_order(key);
    }
    if let Some(attempts) = args.max_attempts {
        job = job.max_attempts(attempts);
    }
    if let Some(timeout) = args.timeout {
        job = job.timeout(timeout);
    }
    if let Some(traceparent) = args.traceparent.as_deref().filter(|text| !text.is_empty()) {
        job = job.trace(trace(traceparent)?);
    }
    Ok(job)
}

fn trace(traceparent: &str) -> Result<Trace, Stop> {
    if is_traceparent(traceparent) {
        return Ok(Trace { traceparent: traceparent.to_owned(), tracestate: None });
    }
    Err(Stop::usage(
        "--traceparent (or TRACEPARENT) is no trace context, so the job was not enqueued: write \
         00-<32 hex digits>-<16 hex digits>-<2 hex digits>, all in lower case, or leave it out",
    ))
}

fn payload(data: &str) -> Result<Box<RawValue>, Stop> {
    let text = match data.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| Stop::usage(format!("--data @{file}: the file cannot be read: {error}")))?,
        None if data == "-" => {
            if std::io::stdin().is_terminal() {
                return Err(Stop::usage("--data - reads standard input: pipe the payload in"));
            }
            std::io::read_to_string(std::io::stdin())?
        }
        None => data.to_owned(),
    };
    RawValue::from_string(text.trim().to_owned())
        .map_err(|error| Stop::usage(format!("the payload is not JSON: {error}")))
}

fn parse_time(text: &str) -> Result<u64, String> {
    let time = chrono::DateTime::parse_from_rfc3339(text)
        .map_err(|error| format!("{error}; write it as 2026-12-24T18:00:00Z"))?;
    u64::try_from(time.timestamp_millis()).map_err(|_| "a time before 1970 has passed".to_owned())
}

fn accepted(receipt: &Receipt) -> String {
    if receipt.deduplicated {
        return format!("Job {} with the same key is there already.", receipt.id);
    }
    format!("Job {} waits in queue {}.", receipt.id, receipt.queue)
}

/// Says on standard error what has changed: a job that waits for a person would look like one that hangs.
fn tell(job: &JobView, told: &mut String) {
    let error = job.attempts.last().and_then(|run| run.error.as_deref());
    let why = job.reason.as_deref().or(error).map_or_else(String::new, |why| format!(": {why}"));
    let now = format!("It is {}{why}", job.state);
    if now != *told && !matches!(job.state.as_str(), "ready" | "running") {
        eprintln!("{now}");
        *told = now;
    }
}

fn ended(job: &JobView) -> String {
    let last = job.attempts.last();
    let why = last.and_then(|run| run.error.as_ref()).map_or_else(String::new, |error| format!(": {error}"));
    let result = last.and_then(|run| run.result.as_ref());
    let result = result.map_or_else(String::new, |result| format!("\n{result:#}"));
    format!("Job {} {} at attempt {}{why}{result}", job.id, job.state, job.attempt)
}

fn still_waiting(id: JobId, waited: Duration, job: Option<&JobView>) -> Stop {
    let now = match job {
        Some(JobView { state, reason: Some(reason), .. }) => format!("it is {state} ({reason})"),
        Some(JobView { state, .. }) if state == "ready" => {
            "it is ready; does a worker run, and is the queue open?".to_owned()
        }
        Some(JobView { state, .. }) => format!("it is {state}"),
        None => "its outcome is on its way to Postgres".to_owned(),
    };
    let waited = humantime::format_duration(waited);
    Stop::new(
        Exit::Failed,
        format!("job {id} has not ended within {waited}: {now}; see `flota job get {id}`"),
    )
}
