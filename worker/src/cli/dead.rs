//! `flota dead`: find dead letters, replay or discard them.

use std::io;

use clap::{Args, Subcommand};
use sqlx::PgPool;

use crate::{
    clock::now,
    config::Environment,
    dead::{self, Filter, Kind, UnknownFilter, export::Form, filter::Words},
    exit::{Done, Exit, Stop},
};

use super::{
    Global,
    context::{self, postgres},
    known::refuse_unknown,
};

mod decide;
mod show;

pub(super) use decide::replay_one;
use decide::{decide, edited, new_operation};
use show::story;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Dead letters, newest first
    #[command(visible_alias = "ls")]
    #[command(
        after_help = "Examples: flota dead list --queue email --since 2h\n          flota dead list payload.to=ana@example.com --state all"
    )]
    List {
        #[command(flatten)]
        selection: Selection,
        /// In this state: dead, replaying, replayed, discarded, all
        #[arg(long, default_value = "dead")]
        state: String,
        /// Most letters
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Continue behind this letter: the last one of the page before
        #[arg(long, value_name = "ID")]
        before: Option<String>,
    },
    /// One letter: its input, every run, its line of repetitions, who decided what
    #[command(after_help = "Example: flota dead get 0199a7c2-9c1e-7cc3-98c4-dc0c0c07398f -o json")]
    Get {
        /// Its id: that of the job that died
        id: String,
    },
    /// Letters by how they failed, largest group first
    #[command(after_help = "Example: flota dead groups --since 1d, then flota dead list --group FINGERPRINT")]
    Groups {
        #[command(flatten)]
        selection: Selection,
        /// In this state: dead, replaying, replayed, discarded, all
        #[arg(long, default_value = "dead")]
        state: String,
        /// Most groups
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Enqueue letters once more, byte for byte, each at most once
    #[command(
        after_help = "Examples: flota dead replay --queue email --class server_error --dry-run\n          flota dead replay --group 4f1d… --stage 10 --max-failures 2 --rate 50/s --yes\n          flota dead replay ID --set payload.to=ana@example.com --yes"
    )]
    Replay {
        #[command(flatten)]
        selection: Selection,
        /// Change the input of a single letter first: payload.path=value
        #[arg(long, value_name = "PATH=VALUE")]
        set: Vec<String>,
        /// Most letters per second, for example 50/s
        #[arg(long, value_parser = rate)]
        rate: Option<f64>,
        /// After so many letters wait until their replays have ended
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        stage: Option<u32>,
        /// Stop when more replays than this have died; needs --stage, 0 with it unless given
        #[arg(long, requires = "stage")]
        max_failures: Option<u32>,
        #[command(flatten)]
        decision: Decision,
    },
    /// Take letters off the list for good; they stay in the database with their reason
    #[command(
        after_help = "Example: flota dead discard --tenant acme --until 30d --reason 'account closed' --yes"
    )]
    Discard {
        #[command(flatten)]
        selection: Selection,
        #[command(flatten)]
        decision: Decision,
    },
    /// Write letters with their input to standard output, for other programs
    #[command(after_help = "Example: flota dead export --format csv --since 7d > dead.csv")]
    Export {
        #[command(flatten)]
        selection: Selection,
        /// In this state: dead, replaying, replayed, discarded, all
        #[arg(long, default_value = "dead")]
        state: String,
        /// How letters are written
        #[arg(long, value_enum, default_value = "jsonl")]
        format: Form,
    },
}

/// Which letters; what is not given does not matter.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Selection {
    /// Ids of letters, or payload.path=value
    #[arg(value_name = "ID|payload.PATH=VALUE")]
    words: Vec<String>,
    /// Only of this queue
    #[arg(long)]
    queue: Option<String>,
    /// Only of this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Only with this class of error, for example network
    #[arg(long)]
    class: Option<String>,
    /// Only with this code of the other side, for example 550
    #[arg(long)]
    code: Option<String>,
    /// Only those that failed alike: a fingerprint of `flota dead groups`
    #[arg(long, value_name = "FINGERPRINT")]
    group: Option<String>,
    /// Only tried so often: 3, 2..5, 3.. or ..3
    #[arg(long, value_name = "N|N..M")]
    attempts: Option<String>,
    /// Only those that died since: 2h, 7d, 2026-11-21 or 2026-11-21T18:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only those that died before
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only with this text in error, code or input
    #[arg(long)]
    text: Option<String>,
}

/// How a decision about many letters is made.
#[derive(Debug, Clone, Args)]
pub(super) struct Decision {
    /// Why, for whoever looks at it later
    #[arg(long)]
    reason: Option<String>,
    /// Do it without asking
    #[arg(long, short, conflicts_with = "dry_run")]
    yes: bool,
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(global: &Global, environment: Environment, command: Command) -> Done {
    let pool = postgres(&environment)?;
    let filter = async |selection: &Selection, state| {
        let filter = selection.filter(state)?;
        refuse_nothing(global, &environment, &pool, &filter).await?;
        Ok::<_, Stop>(filter)
    };
    match command {
        Command::List { selection, state, limit, before } => {
            let filter = filter(&selection, Filter::state(&state)?).await?;
            list(global, &pool, &filter, limit, before.as_deref()).await
        }
        Command::Get { id } => get(global, &pool, &id).await,
        Command::Groups { selection, state, limit } => {
            let filter = filter(&selection, Filter::state(&state)?).await?;
            let groups = dead::groups(&pool, &filter, limit).await?;
            global.output.list(&groups, "No dead letter fits.")?;
            Ok(Exit::Ok)
        }
        Command::Replay { selection, set, rate, stage, max_failures, decision } => {
            let mut new = new_operation(Kind::Replay, filter(&selection, Some("dead")).await?, &decision);
            (new.rate, new.stage_size) = (rate, stage);
            new.max_failures = stage.map(|_| max_failures.unwrap_or(0));
            if !set.is_empty() {
                new.edited = Some(edited(global, &pool, &new.filter, &set).await?);
            }
            decide(global, &pool, new, &decision).await
        }
        Command::Discard { selection, decision } => {
            let new = new_operation(Kind::Discard, filter(&selection, Some("dead")).await?, &decision);
            if decision.yes && decision.reason.is_none() {
                return Err(Stop::usage("a discarded letter keeps its reason: add --reason 'why'"));
            }
            decide(global, &pool, new, &decision).await
        }
        Command::Export { selection, state, format } => {
            let filter = filter(&selection, Filter::state(&state)?).await?;
            let mut out = io::BufWriter::new(io::stdout().lock());
            dead::export::export(&pool, &filter, format, &mut out).await?;
            Ok(Exit::Ok)
        }
    }
}

/// Refuses a filter that fits nothing because it names a queue or kind that nobody has heard of.
async fn refuse_nothing(
    global: &Global,
    environment: &Environment,
    pool: &PgPool,
    filter: &Filter,
) -> Result<(), Stop> {
    let (queue, kind) = (filter.queue.as_deref(), filter.kind.as_deref());
    if queue.is_none() && kind.is_none() || !dead::page(pool, filter, None, 1).await?.is_empty() {
        return Ok(());
    }
    refuse_unknown(global, environment, queue, kind).await
}

impl Selection {
    fn filter(&self, state: Option<&'static str>) -> Result<Filter, Stop> {
        let words = Words {
            queue: self.queue.clone(),
            kind: self.kind.clone(),
            tenant: self.tenant.clone(),
            class: self.class.clone(),
            code: self.code.clone(),
            group: self.group.clone(),
            attempts: self.attempts.clone(),
            since: self.since.clone(),
            until: self.until.clone(),
            text: self.text.clone(),
        };
        let mut filter = words.filter(state, now())?;
        for word in &self.words {
            filter.take(word)?;
        }
        Ok(filter)
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let wrong = || format!("`{text}` is no rate; write letters per second, for example 50/s");
    let rate: f64 = text.strip_suffix("/s").unwrap_or(text).parse().map_err(|_| wrong())?;
    if (0.01..=100_000.0).contains(&rate) { Ok(rate) } else { Err(wrong()) }
}

async fn list(global: &Global, pool: &PgPool, filter: &Filter, limit: u32, before: Option<&str>) -> Done {
    let before = match before {
        None => None,
        Some(id) => {
            let position = dead::position_of(pool, context::job_id(id)?).await?;
            Some(position.ok_or_else(|| Stop::not_found(format!("there is no dead letter {id}")))?)
        }
    };
    let letters = dead::page(pool, filter, before, limit).await?;
    global.output.list(&letters, "No dead letter fits.")?;
    if let Some(last) = letters.last().filter(|_| global.output.is_table() && letters.len() == limit as usize)
    {
        anstream::eprintln!("There may be more: add --before {}", last.id);
    }
    Ok(Exit::Ok)
}

async fn get(global: &Global, pool: &PgPool, id: &str) -> Done {
    let id = context::job_id(id)?;
    let letter = dead::get(pool, id).await?;
    let letter = letter.ok_or_else(|| {
        Stop::not_found(format!(
            "there is no dead letter {id}; see `flota job get {id}` for what became of the job"
        ))
    })?;
    global.output.one(&letter, &id.to_string(), || story(&letter))?;
    Ok(Exit::Ok)
}

impl From<UnknownFilter> for Stop {
    fn from(error: UnknownFilter) -> Self {
        Self { exit: Exit::Usage, error: error.into() }
    }
}
