//! The command line: noun, then verb. One file per noun; errors and exit codes are handled here, once.

use std::{io::Write, path::PathBuf, process::ExitCode, time::Duration};

use clap::{CommandFactory, Parser, Subcommand};

use crate::{
    Additions,
    config::Environment,
    exit::{self, Done, Exit, Stop},
    open_files,
    telemetry::{self, Traces},
};

mod bulk;
mod config;
mod context;
mod db;
mod dead;
mod demo;
mod dev;
mod doctor;
mod documented;
mod email;
mod endpoint;
mod enqueue;
mod job;
mod job_retry;
mod keys;
mod known;
mod llm;
pub mod output;
mod queue;
#[cfg(test)]
mod reference;
mod sandbox;
mod schedule;
mod serve;
mod storage;
mod suppression;
mod token;
mod worker;
mod workers;

pub use documented::{check_command_line, check_mention};
use output::{Format, Output};

/// Flota: a fleet of workers for typed background jobs.
///
/// Jobs wait in Redis, worker processes run them, every outcome is recorded in Postgres.
#[derive(Debug, Parser)]
#[command(name = "flota", version, propagate_version = true, after_help = exit::HELP)]
struct Cli {
    /// How to print: a table on a terminal, JSON in a pipe, unless said otherwise
    #[arg(short, long, global = true, value_enum)]
    output: Option<Format>,
    /// File with the queues; ./queues.toml or the built-in one unless given
    #[arg(long, global = true, env = "FLOTA_QUEUES_FILE", hide_env_values = true)]
    queues: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run jobs until SIGTERM or Ctrl-C
    Worker(worker::Args),
    /// Serve the HTTP API, health checks and metrics
    Serve(serve::Args),
    /// Private Redis and Postgres, every provider and a worker, until Ctrl-C
    Dev(dev::Args),
    /// Every provider's API on this machine, until Ctrl-C: try and test without an account
    Sandbox(sandbox::Args),
    /// Show the whole story in half a minute: jobs succeed, retry and die; exit 0 only if all went as it should
    Demo(demo::Args),
    /// Put a job into its queue
    Enqueue(enqueue::Args),
    /// Look at jobs, cancel them
    #[command(subcommand)]
    Job(job::Command),
    /// Find dead letters, replay or discard them
    #[command(subcommand)]
    Dead(dead::Command),
    /// Follow, stop and resume operations on many dead letters
    #[command(subcommand)]
    Bulk(bulk::Command),
    /// Look at queues, pause and resume them
    #[command(subcommand)]
    Queue(queue::Command),
    /// Look at worker processes, quiet and stop them
    #[command(subcommand)]
    Workers(workers::Command),
    /// Look at schedules, run one now
    #[command(subcommand)]
    Schedule(schedule::Command),
    /// Register where webhooks go
    #[command(subcommand)]
    Endpoint(endpoint::Command),
    /// Language models: who is asked, what they cost, what may still be spent
    #[command(subcommand)]
    Llm(llm::Command),
    /// Files in the bucket, links to them, how long they are kept
    #[command(subcommand)]
    Storage(storage::Command),
    /// Stop writing to addresses that bounce or opted out
    #[command(subcommand)]
    Suppression(suppression::Command),
    /// Make, list and revoke tokens of the HTTP API
    #[command(subcommand)]
    Token(token::Command),
    /// Look at the e-mail templates
    #[command(subcommand)]
    Email(email::Command),
    /// Prepare Postgres
    #[command(subcommand)]
    Db(db::Command),
    /// Check and show settings
    #[command(subcommand)]
    Config(config::Command),
    /// Make secrets
    #[command(subcommand)]
    Keys(keys::Command),
    /// Check everything a fleet needs, with a fix for each finding
    Doctor(doctor::Args),
    /// Print a completion script
    #[command(after_help = "Example: flota completion bash > /etc/bash_completion.d/flota")]
    Completion {
        /// Shell to complete for
        shell: clap_complete::Shell,
    },
}

/// How long threads that are still busy get at the end.
const LEAVE: Duration = Duration::from_secs(1);

/// What every command gets: how to print, and where the queues are.
struct Global {
    output: Output,
    queues: Option<PathBuf>,
    additions: Additions,
}

/// Runs the program.
pub fn main() -> ExitCode {
    main_with(Additions::default())
}

/// Runs the program with what another program adds to it.
pub fn main_with(additions: Additions) -> ExitCode {
    let cli = Cli::parse();
    match run(cli, additions) {
        Ok(exit) => exit.into(),
        Err(stop) if is_closed_pipe(&stop) => ExitCode::SUCCESS,
        Err(stop) => {
            for line in stop.sentence().lines() {
                anstream::eprintln!("flota: {}", output::printable(line));
            }
            stop.exit.into()
        }
    }
}

fn run(cli: Cli, additions: Additions) -> Done {
    let global = Global { output: Output::new(cli.output), queues: cli.queues, additions };
    let is_of_mail = matches!(cli.output, Some(Format::Html | Format::Text | Format::Eml));
    if is_of_mail && !matches!(cli.command, Command::Email(email::Command::Preview(_))) {
        let said =
            "html, text and eml are formats of `flota email preview` only; use table, json, jsonl or id";
        return Err(Stop::usage(said));
    }
    // These need no environment and no runtime.
    match &cli.command {
        Command::Completion { shell } => {
            // Written in memory first: the generator panics when its writer fails, as a closed pipe does.
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "flota", &mut script);
            std::io::stdout().write_all(&script)?;
            return Ok(Exit::Ok);
        }
        Command::Keys(command) => return keys::run(&global, command),
        Command::Email(command) => return email::run(&global, command),
        Command::Config(config::Command::EnvExample) => return config::env_example(),
        _ => {}
    }
    let environment = Environment::load().map_err(|error| Stop::usage(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let traces = start_traces(&environment, &runtime)?;
    telemetry::init(environment.log_format, environment.log_filter.as_deref(), traces.as_ref());
    open_files::raise_limit();
    for warning in &environment.warnings {
        tracing::warn!("{warning}");
    }
    let done = runtime.block_on(dispatch(cli.command, global, environment));
    if let Some(traces) = traces {
        traces.end();
    }
    // A processor that blocks its thread must not keep the process from ending; its job is released or comes back.
    runtime.shutdown_timeout(LEAVE);
    done
}

fn start_traces(
    environment: &Environment,
    runtime: &tokio::runtime::Runtime,
) -> Result<Option<Traces>, Stop> {
    let Some(collector) = &environment.traces else { return Ok(None) };
    let _inside = runtime.enter();
    Traces::start(collector).map(Some).map_err(|error| Stop { exit: Exit::Usage, error: error.into() })
}

async fn dispatch(command: Command, global: Global, environment: Environment) -> Done {
    match command {
        Command::Worker(args) => worker::run(&global, environment, args).await,
        Command::Serve(args) => serve::run(&global, environment, args).await,
        Command::Dev(args) => dev::run(&global, args).await,
        Command::Sandbox(args) => sandbox::run(&global, args).await,
        Command::Demo(args) => demo::run(&global, args).await,
        Command::Enqueue(args) => enqueue::run(&global, environment, args).await,
        Command::Job(command) => job::run(&global, environment, command).await,
        Command::Dead(command) => dead::run(&global, environment, command).await,
        Command::Bulk(command) => bulk::run(&global, environment, command).await,
        Command::Queue(command) => queue::run(&global, environment, command).await,
        Command::Workers(command) => workers::run(&global, environment, command).await,
        Command::Schedule(command) => schedule::run(&global, environment, command).await,
        Command::Endpoint(command) => endpoint::run(&global, environment, command).await,
        Command::Llm(command) => llm::run(&global, environment, command).await,
        Command::Storage(command) => storage::run(&global, environment, command).await,
        Command::Suppression(command) => suppression::run(&global, environment, command).await,
        Command::Token(command) => token::run(&global, environment, command).await,
        Command::Db(command) => db::run(&global, environment, command).await,
        Command::Config(command) => config::run(&global, &environment, command),
        Command::Doctor(args) => doctor::run(&global, environment, args).await,
        Command::Keys(_) | Command::Email(_) | Command::Completion { .. } => Ok(Exit::Ok),
    }
}

fn is_closed_pipe(stop: &Stop) -> bool {
    let is_pipe = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    stop.error.chain().any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(is_pipe))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
