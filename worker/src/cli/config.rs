//! `flota config`: check and show settings.

use clap::Subcommand;
use flota_engine::QueuePolicy;
use serde::Serialize;

use crate::{
    config::{
        Environment,
        env::{self, SummaryRow},
        queues::Source,
    },
    exit::{Done, Exit},
};

use super::{
    Global, context,
    output::{Show, line},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check the environment and the queues file
    #[command(after_help = "Example: flota config check --queues ./queues.toml")]
    Check,
    /// Every variable with its value, secrets masked
    #[command(after_help = "Example: flota config show")]
    Show,
    /// A commented .env file with every variable
    #[command(after_help = "Example: flota config env-example > .env")]
    EnvExample,
}

pub(super) fn run(global: &Global, environment: &Environment, command: Command) -> Done {
    match command {
        Command::EnvExample => return env_example(),
        Command::Show => global.output.list(environment.summary(), "Nothing is set.")?,
        Command::Check => {
            let queues = context::queues(global)?;
            let rows: Vec<QueueRow> = queues.policies.iter().map(QueueRow::from).collect();
            if global.output.is_table() {
                let file = match &queues.source {
                    Source::File(path) => path.display().to_string(),
                    Source::BuiltIn => "the built-in queues file".to_owned(),
                };
                line(&format!("The environment and {file} are fine.\n"))?;
                for note in queues.notes(&global.additions.registry()) {
                    line(&format!("{note}\n"))?;
                }
            }
            global.output.list(&rows, "The file has no queues.")?;
        }
    }
    Ok(Exit::Ok)
}

/// Needs no environment, since it helps to make one.
pub(super) fn env_example() -> Done {
    line(env::example().trim_end())?;
    Ok(Exit::Ok)
}

/// A queue as the file sets it.
#[derive(Debug, Serialize)]
struct QueueRow {
    queue: String,
    concurrency: usize,
    lease: String,
    heartbeat: String,
    timeout: String,
    max_attempts: u32,
    max_len: u64,
}

impl From<&QueuePolicy> for QueueRow {
    fn from(policy: &QueuePolicy) -> Self {
        let text = |duration| humantime::format_duration(duration).to_string();
        Self {
            queue: policy.name.to_string(),
            concurrency: policy.concurrency,
            lease: text(policy.lease),
            heartbeat: text(policy.heartbeat),
            timeout: text(policy.timeout),
            max_attempts: policy.max_attempts,
            max_len: policy.max_len,
        }
    }
}

impl Show for QueueRow {
    const COLUMNS: &'static [&'static str] =
        &["queue", "concurrency", "lease", "heartbeat", "timeout", "max attempts", "max len"];

    fn row(&self) -> Vec<String> {
        vec![
            self.queue.clone(),
            self.concurrency.to_string(),
            self.lease.clone(),
            self.heartbeat.clone(),
            self.timeout.clone(),
            self.max_attempts.to_string(),
            if self.max_len == 0 { "no limit".to_owned() } else { self.max_len.to_string() },
        ]
    }

    fn id(&self) -> String {
        self.queue.clone()
    }
}

impl Show for SummaryRow {
    const COLUMNS: &'static [&'static str] = &["name", "value", "source"];

    fn row(&self) -> Vec<String> {
        vec![
            self.name.to_owned(),
            self.value.clone().unwrap_or_else(|| "-".to_owned()),
            self.source.word().to_owned(),
        ]
    }

    fn id(&self) -> String {
        self.name.to_owned()
    }
}
