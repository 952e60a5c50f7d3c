//! `flota bulk`: operations on many dead letters, followed until they end, stopped and resumed.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    config::Environment,
    dead::{self, Kind, Operation, State, Told},
    exit::{Done, Exit, Stop},
    shutdown::Shutdown,
};

use super::{
    Global,
    context::{self, postgres},
    output::Show,
};

/// How often progress is said where there is no terminal.
const SAY: Duration = Duration::from_secs(5);

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Operations, newest first
    #[command(visible_alias = "ls", after_help = "Example: flota bulk list --limit 10")]
    List {
        /// Most operations
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// How far an operation has come
    #[command(after_help = "Example: flota bulk get 0199a7c2-9c1e-7cc3-98c4-dc0c0c07398f -o json")]
    Get {
        /// Its id
        id: String,
    },
    /// Give up what an operation has not done yet; what it has done stays
    #[command(after_help = "Example: flota bulk abort 0199a7c2-9c1e-7cc3-98c4-dc0c0c07398f")]
    Abort {
        /// Its id
        id: String,
    },
    /// Carry an operation on from where it stopped, or where its process was killed
    #[command(after_help = "Example: flota bulk resume 0199a7c2-9c1e-7cc3-98c4-dc0c0c07398f")]
    Resume {
        /// Its id
        id: String,
    },
}

pub(super) async fn run(global: &Global, environment: Environment, command: Command) -> Done {
    let pool = postgres(&environment)?;
    match command {
        Command::List { limit } => {
            let operations = dead::list(&pool, limit).await?;
            global.output.list(&operations, "There is no bulk operation: `flota dead replay` makes one.")?;
            Ok(Exit::Ok)
        }
        Command::Get { id } => {
            let operation = existing(&pool, &id).await?;
            global.output.one(&operation, &id, || story(&operation))?;
            Ok(Exit::Ok)
        }
        Command::Abort { id } => {
            let operation = existing(&pool, &id).await?;
            if !dead::abort(&pool, operation.id, &context::actor()).await? {
                return Err(ended(&operation));
            }
            let operation = existing(&pool, &id).await?;
            global.output.one(&operation, &id, || story(&operation))?;
            Ok(Exit::Ok)
        }
        Command::Resume { id } => {
            let operation = existing(&pool, &id).await?;
            if !dead::reopen(&pool, operation.id, &context::actor()).await? {
                return Err(ended(&operation));
            }
            carry_out(global, &pool, operation.id).await
        }
    }
}

async fn existing(pool: &PgPool, id: &str) -> Result<Operation, Stop> {
    let parsed: Uuid = id
        .parse()
        .map_err(|_| Stop::usage(format!("`{id}` is not an operation's id; see `flota bulk list`")))?;
    let operation = dead::find(pool, parsed).await?;
    operation.ok_or_else(|| Stop::not_found(format!("there is no operation {id}; see `flota bulk list`")))
}

fn ended(operation: &Operation) -> Stop {
    let word = operation.state.word();
    Stop::new(Exit::Failed, format!("operation {} is {word} and stays so; nothing was changed", operation.id))
}

/// Carries an operation out with a progress bar; Ctrl-C pauses it.
pub(super) async fn carry_out(global: &Global, pool: &PgPool, id: Uuid) -> Done {
    let shutdown = Shutdown::on_signals()?;
    let mut progress = Progress::new();
    let done =
        dead::carry_out(pool, id, &context::actor(), &shutdown.stop, |told| progress.tell(&told)).await;
    progress.bar.finish_and_clear();
    let operation = match done {
        Ok(operation) => operation.ok_or_else(|| Stop::not_found(format!("operation {id} was removed")))?,
        Err(error) => {
            let stop = Stop::from(error);
            let advice = format!("operation {id} is not done; go on with `flota bulk resume {id}`");
            return Err(Stop { error: stop.error.context(advice), ..stop });
        }
    };
    say_how_it_ended(global, &operation)?;
    let complete = operation.state == State::Done && operation.queued == operation.matched;
    Ok(if complete { Exit::Ok } else { Exit::Partly })
}

/// What scripts get when no letter fits.
pub(super) fn nothing(global: &Global, kind: Kind) -> io::Result<()> {
    let json = json!({ "operation": null, "matched": 0, past(kind): 0 });
    global.output.one(&json, "", || "No dead letter fits; nothing was done.".to_owned())
}

fn past(kind: Kind) -> &'static str {
    match kind {
        Kind::Replay => "replayed",
        Kind::Discard => "discarded",
    }
}

fn say_how_it_ended(global: &Global, operation: &Operation) -> io::Result<()> {
    let id = operation.id;
    let json =
        json!({ "operation": id, "matched": operation.matched, past(operation.kind): operation.queued });
    global.output.one(&json, &id.to_string(), || story(operation))?;
    match operation.state {
        State::Paused | State::Failed => anstream::eprintln!(
            "flota: {} letters are left: go on with `flota bulk resume {id}`, or give up with `flota bulk abort {id}`",
            operation.left()
        ),
        _ => {}
    }
    Ok(())
}

/// An operation as people read it.
fn story(operation: &Operation) -> String {
    let Operation { matched, queued, skipped, failed, .. } = operation;
    let mut text = format!("Operation {}\n  {} {}", operation.id, operation.kind, operation.state.word());
    if let Some(note) = &operation.note {
        text.push_str(&format!(" ({note})"));
    }
    text.push_str(&format!(
        "\n  {queued} of {matched} letters {}, {} left",
        past(operation.kind),
        operation.left()
    ));
    if 0 < *skipped {
        text.push_str(&format!("\n  {skipped} were decided about by somebody else first"));
    }
    if 0 < *failed {
        text.push_str(&format!("\n  {failed} could not be carried out: their envelopes were never recorded"));
    }
    text.push_str(&format!(
        "\n  by {} at {}",
        operation.actor,
        operation.created_at.format("%Y-%m-%d %H:%M:%S")
    ));
    if let Some(reason) = &operation.reason {
        text.push_str(&format!(": {reason}"));
    }
    text
}

/// A bar on a terminal, a line every few seconds elsewhere; both on standard error.
struct Progress {
    bar: ProgressBar,
    said: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    fn new() -> Self {
        let is_terminal = io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} letters, {per_sec}, {eta} left {msg}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        if !is_terminal {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        // The first line comes after the first pause: what is done at once needs no progress.
        Self { bar, said: Some(Instant::now()), is_terminal }
    }

    fn tell(&mut self, told: &Told<'_>) {
        let (operation, waiting) = match told {
            Told::Stepped(operation) => (operation, 0),
            Told::Waiting(operation, waiting) => (operation, *waiting),
        };
        self.bar.set_length(operation.matched as u64);
        self.bar.set_position((operation.matched - operation.left()) as u64);
        let wait = if waiting == 0 { String::new() } else { format!("waits for {waiting} replays to end") };
        self.bar.set_message(wait.clone());
        if !self.is_terminal && self.said.is_none_or(|said| SAY <= said.elapsed()) {
            self.said = Some(Instant::now());
            let done = operation.matched - operation.left();
            let comma = if wait.is_empty() { "" } else { ", " };
            anstream::eprintln!("flota: {done} of {} letters{comma}{wait}", operation.matched);
        }
    }
}

impl Show for Operation {
    const COLUMNS: &'static [&'static str] =
        &["id", "kind", "state", "matched", "done", "skipped", "failed", "made", "by", "reason"];

    fn row(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.kind.to_string(),
            self.state.word().to_owned(),
            self.matched.to_string(),
            self.queued.to_string(),
            self.skipped.to_string(),
            self.failed.to_string(),
            self.created_at.format("%Y-%m-%d %H:%M:%S").to_string(),
            self.actor.clone(),
            self.reason.clone().unwrap_or_default(),
        ]
    }

    fn id(&self) -> String {
        self.id.to_string()
    }
}
