//! `flota job`: one job from its first to its last moment, and cancelling.

mod live;

use std::time::Duration;

use clap::Subcommand;
use flota_engine::{browse::LiveState, inspect, store::Cancelled};
use flota_providers::pipeline::PASSED_OVER;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    config::Environment,
    exit::{Done, Exit, Stop},
    outcomes::{self, Filter},
    view::{self, JobView},
};

use super::{
    Global,
    context::{self, Redis, optional_postgres, postgres},
    known::refuse_unknown,
    output::{Show, age, printable, table},
};

/// A job that just ended is for a moment neither in Redis nor yet in Postgres.
const RECORDING: Duration = Duration::from_millis(200);
/// How often to look again during that moment.
const LOOKS: usize = 10;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Where a job is and what happened to it, run by run
    #[command(after_help = "Example: flota job get 0199a7c2-9c1e-7cc3-98c4-dc0c0c07398f")]
    Get {
        /// Its id
        id: String,
    },
    /// Jobs that have ended, newest first; with a live state those in Redis
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  flota job list --state dead --queue email\n  flota job list --state parked"
    )]
    List {
        /// Only of this queue
        #[arg(long)]
        queue: Option<String>,
        /// Only of this kind
        #[arg(long)]
        kind: Option<String>,
        /// Only of this tenant
        #[arg(long)]
        tenant: Option<String>,
        /// An outcome, or where live jobs are
        #[arg(long, value_parser = [
            "succeeded", "dead", "cancelled", "expired", "ready", "delayed", "running", "parked", "in_line",
        ])]
        state: Option<String>,
        /// Most rows
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Leave out the first rows, for live states: the next page
        #[arg(long, default_value_t = 0)]
        skip: usize,
    },
    /// Run a delayed job now, or replay a dead one under a new id
    #[command(after_help = "Example: flota job retry 0199a7c2-9c1e-7cc3-98c4-dc0c0c07398f")]
    Retry {
        /// Its id
        id: String,
    },
    /// Cancel a job: at once when it waits, with the next heartbeat when it runs
    #[command(after_help = "Example: flota job cancel 0199a7c2-9c1e-7cc3-98c4-dc0c0c07398f")]
    Cancel {
        /// Its id
        id: String,
    },
}

pub(super) async fn run(global: &Global, environment: Environment, command: Command) -> Done {
    match command {
        Command::Get { id } => get(global, &environment, &id).await,
        Command::List { queue, kind, tenant, state, limit, skip } => {
            if let Some(state) = state.as_deref().and_then(LiveState::from_word) {
                let wanted = live::Wanted { queue, kind, tenant, skip, limit: limit as usize };
                return live::list(global, &environment, state, &wanted).await;
            }
            let filter = Filter { queue, kind, tenant, status: state, limit, before: None };
            let rows = outcomes::recent(&postgres(&environment)?, &filter).await?;
            if rows.is_empty() {
                refuse_unknown(global, &environment, filter.queue.as_deref(), filter.kind.as_deref()).await?;
            }
            global.output.list(&rows, "No job has ended yet that fits.")?;
            Ok(Exit::Ok)
        }
        Command::Retry { id } => super::job_retry::run(global, &environment, &id).await,
        Command::Cancel { id } => cancel(global, &environment, &id).await,
    }
}

async fn get(global: &Global, environment: &Environment, id: &str) -> Done {
    let id = context::job_id(id)?;
    let redis = Redis::new(environment)?;
    let pool = optional_postgres(environment)?;
    let names = redis.queues(global).await?;
    let find = || view::job(&redis.link, &redis.prefix, pool.as_ref(), &names, id);
    let mut waits_for_postgres = false;
    for _ in 0..LOOKS {
        let mut found = find().await?;
        if found.is_none() {
            waits_for_postgres = view::is_recording(&redis.link, &redis.prefix, &names).await?;
        }
        // It may have been recorded between the two looks.
        if found.is_none() && !waits_for_postgres {
            found = find().await?;
        }
        if let Some(job) = found {
            global.output.one(&job, &id.to_string(), || story(&job))?;
            return Ok(Exit::Ok);
        }
        if !waits_for_postgres {
            break;
        }
        sleep(RECORDING).await;
    }
    let where_else = match (waits_for_postgres, &pool) {
        (true, _) => "; outcomes wait in Redis to be recorded, perhaps its own: does a worker run?",
        (false, None) => "; ended jobs are in Postgres, set DATABASE_URL to look there",
        (false, Some(_)) => "",
    };
    Err(Stop::not_found(format!("there is no job {id}{where_else}")))
}

async fn cancel(global: &Global, environment: &Environment, id: &str) -> Done {
    let id = context::job_id(id)?;
    let redis = Redis::new(environment)?;
    for name in redis.queues(global).await? {
        let answer = inspect::cancel(&redis.link, &redis.keys(&name), id, &context::actor()).await?;
        let (word, text) = match answer {
            Cancelled::Unknown => continue,
            Cancelled::Now => ("cancelled", "is cancelled"),
            Cancelled::Requested => {
                ("requested", "runs and is asked to stop; it ends with the next heartbeat")
            }
        };
        let json = json!({ "id": id, "queue": name, "result": word });
        global.output.one(&json, &id.to_string(), || format!("Job {id} {text}."))?;
        return Ok(Exit::Ok);
    }
    Err(Stop::not_found(format!("no live job {id}; see `flota job get {id}`")))
}

/// A job as people read it.
fn story(job: &JobView) -> String {
    let mut text = format!("Job {}\n  {} in queue {}", job.id, job.kind, job.queue);
    if let Some(tenant) = &job.tenant {
        text.push_str(&format!(", tenant {tenant}"));
    }
    text.push_str(&format!("\n  {}, attempt {}", job.state, job.attempt));
    if let Some(reason) = &job.reason {
        text.push_str(&format!(" ({reason})"));
    }
    if let Some(due) = job.due_in_ms {
        text.push_str(&format!(", due in {}", age(due)));
    }
    let mut result = job.outcome.as_ref().map(|outcome| outcome["result"].clone()).unwrap_or_default();
    for service in passed_over(&mut result) {
        text.push_str(&format!("\n  passed over {}", printable(&service)));
    }
    if !result.is_null() {
        text.push_str(&format!("\n  result {}", printable(&result.to_string())));
    }
    if job.attempts.is_empty() {
        return text;
    }
    format!("{text}\n\n{}", runs(&job.attempts))
}

/// Services that failed before another one did it, each in a sentence; taken out of the result.
fn passed_over(result: &mut Value) -> Vec<String> {
    let Some(Value::Array(services)) = result.as_object_mut().and_then(|all| all.remove(PASSED_OVER)) else {
        return Vec::new();
    };
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let sentence = |service: &Value| {
        let [provider, class, message] = ["provider", "class", "message"].map(|name| text(&service[name]));
        format!("{provider} ({class}): {message}")
    };
    services.iter().map(sentence).collect()
}

/// Runs as a table.
pub(super) fn runs(attempts: &[outcomes::AttemptRow]) -> String {
    let columns = ["run", "attempt", "status", "class", "ms", "finished (UTC)", "error or reference"];
    let rows = attempts.iter().map(|run| {
        vec![
            run.run.to_string(),
            run.attempt.to_string(),
            run.status.clone(),
            run.error_class.clone().unwrap_or_else(|| "-".to_owned()),
            format!("{:.1}", run.duration_ms),
            run.finished_at.format("%Y-%m-%d %H:%M:%S%.3f").to_string(),
            run.error.clone().or_else(|| run.provider_ref.clone()).unwrap_or_default(),
        ]
    });
    table(&columns, rows).to_string()
}

impl Show for outcomes::OutcomeRow {
    const COLUMNS: &'static [&'static str] =
        &["id", "queue", "kind", "tenant", "status", "attempt", "ms", "finished", "error"];

    fn row(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.queue.clone(),
            self.kind.clone(),
            self.tenant.clone().unwrap_or_else(|| "-".to_owned()),
            self.status.clone(),
            self.attempt.to_string(),
            format!("{:.1}", self.duration_ms),
            self.finished_at.format("%Y-%m-%d %H:%M:%S").to_string(),
            self.error.clone().unwrap_or_default(),
        ]
    }

    fn id(&self) -> String {
        self.id.to_string()
    }
}
