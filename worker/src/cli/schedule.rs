//! `flota schedule`: what the fleet enqueues by the clock, and running one of it now.

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Subcommand;
use flota_producer::Producer;
use serde::Serialize;
use serde_json::json;

use crate::{
    audit::{self, Deed},
    config::Environment,
    exit::{Done, Exit, Stop},
    schedules::{self, CatchUp, Overlap, Schedule},
};

use super::{
    Global,
    context::{self, Redis, optional_postgres},
    output::Show,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Every schedule of the queues file, with its next run in its own zone and in UTC
    #[command(visible_alias = "ls", after_help = "Example: flota schedule list")]
    List,
    /// Enqueue a schedule's job now, beside its ticks
    #[command(after_help = "Example: flota schedule run nightly-report")]
    Run {
        /// Name of the schedule
        name: String,
    },
}

/// A schedule as the list shows it.
#[derive(Debug, Serialize)]
struct ScheduleRow {
    schedule: String,
    cron: String,
    timezone: &'static str,
    kind: String,
    queue: String,
    tenant: Option<String>,
    overlap: &'static str,
    catch_up: &'static str,
    /// In its own zone.
    next: Option<String>,
    next_utc: Option<DateTime<Utc>>,
    /// Up to here everything has been dealt with; `None` while no worker has seen it.
    last_utc: Option<DateTime<Utc>>,
}

pub(super) async fn run(global: &Global, environment: Environment, command: Command) -> Done {
    let queues = context::queues(global)?;
    let redis = Redis::new(&environment)?;
    match command {
        Command::List => {
            let (now, last) = schedules::last_ticks(&redis.link, &redis.prefix).await?;
            let row = |schedule: &Schedule| row(schedule, now, last.get(&schedule.name).copied());
            let rows: Vec<ScheduleRow> = queues.schedules.iter().map(row).collect();
            let empty = "There is no schedule: write [schedules.<name>] into queues.toml.";
            global.output.list(&rows, empty)?;
        }
        Command::Run { name } => {
            let found = queues.schedules.iter().find(|schedule| schedule.name == name);
            let schedule = found.ok_or_else(|| unknown(&name, &queues.schedules))?;
            return run_now(global, &environment, schedule).await;
        }
    }
    Ok(Exit::Ok)
}

async fn run_now(global: &Global, environment: &Environment, schedule: &Schedule) -> Done {
    let producer = Producer::new(environment.redis.clone())?;
    let receipt = producer.enqueue(schedule.job()).await?;
    let detail = json!({ "job": receipt.id, "deduplicated": receipt.deduplicated });
    let deed = Deed {
        actor: &context::actor(),
        action: "schedule.run",
        subject: &schedule.name,
        tenant: None,
        detail,
    };
    audit::note(optional_postgres(environment)?.as_ref(), &deed).await;
    global.output.one(&receipt, &receipt.id.to_string(), || {
        if receipt.deduplicated {
            return format!(
                "The last job of schedule {} is still alive, as {}; its overlap is \"skip\".",
                schedule.name, receipt.id
            );
        }
        format!("Job {} waits in queue {}.", receipt.id, receipt.queue)
    })?;
    Ok(Exit::Ok)
}

fn unknown(name: &str, known: &[Schedule]) -> Stop {
    let names: Vec<&str> = known.iter().map(|schedule| schedule.name.as_str()).collect();
    let known = if names.is_empty() { "there are none".to_owned() } else { names.join(", ") };
    Stop::not_found(format!("there is no schedule `{name}`; known schedules: {known}"))
}

fn row(schedule: &Schedule, now: DateTime<Utc>, last: Option<DateTime<Utc>>) -> ScheduleRow {
    let next = schedules::next(&schedule.cron, schedule.timezone, now);
    let local = |next: DateTime<Utc>| {
        next.with_timezone(&schedule.timezone).to_rfc3339_opts(SecondsFormat::Secs, false)
    };
    ScheduleRow {
        schedule: schedule.name.clone(),
        cron: schedule.cron.as_str().to_owned(),
        timezone: schedule.timezone.name(),
        kind: schedule.kind.clone(),
        queue: schedule.queue.clone(),
        tenant: schedule.tenant.clone(),
        overlap: match schedule.overlap {
            Overlap::Skip => "skip",
            Overlap::Allow => "allow",
        },
        catch_up: match schedule.catch_up {
            CatchUp::Last => "last",
            CatchUp::None => "none",
        },
        next: next.map(local),
        next_utc: next,
        last_utc: last,
    }
}

impl Show for ScheduleRow {
    const COLUMNS: &'static [&'static str] =
        &["schedule", "cron", "zone", "kind", "queue", "next there", "next in UTC", "last in UTC"];

    fn row(&self) -> Vec<String> {
        let dash = || "-".to_owned();
        let utc = |time: Option<DateTime<Utc>>| {
            time.map_or_else(dash, |time| time.format("%Y-%m-%d %H:%M").to_string())
        };
        vec![
            self.schedule.clone(),
            self.cron.clone(),
            self.timezone.to_owned(),
            self.kind.clone(),
            self.queue.clone(),
            self.next.clone().unwrap_or_else(|| "never".to_owned()),
            utc(self.next_utc),
            utc(self.last_utc),
        ]
    }

    fn id(&self) -> String {
        self.schedule.clone()
    }
}
