//! `flota queue`: how many jobs are where, pause and resume, purge and release.

mod contents;

use clap::Subcommand;
use flota_engine::inspect;
use serde::Serialize;

use crate::{
    config::Environment,
    exit::{Done, Exit},
    view,
};

use super::{
    Global,
    context::{Redis, optional_postgres},
    output::{Show, age},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Every queue with its counts
    #[command(visible_alias = "ls", after_help = "Example: flota queue list -o json")]
    List,
    /// One queue in full: counts, why it is paused, what is published for producers
    #[command(after_help = "Example: flota queue get email")]
    Get {
        /// Name of the queue
        name: String,
    },
    /// Cancel every waiting job of a queue; each leaves its outcome `cancelled`, and what runs goes on
    #[command(after_help = "Example: flota queue purge email --state delayed --yes")]
    Purge {
        /// Name of the queue
        name: String,
        /// Only jobs that wait there; all three unless given
        #[arg(long, value_enum)]
        state: Option<contents::Waiting>,
        /// Do it: purged jobs cannot be brought back
        #[arg(long)]
        yes: bool,
    },
    /// Put parked jobs back in line, for a worker that can read them
    #[command(after_help = "Examples:\n  flota queue release email\n  \
flota queue release email --id 0199a7c2-9c1e-7cc3-98c4-dc0c0c07398f")]
    Release {
        /// Name of the queue
        name: String,
        /// Only this job; may be given several times
        #[arg(long = "id", value_name = "ID")]
        ids: Vec<String>,
    },
    /// Stop fetching from a queue, in every worker; what runs goes on
    #[command(after_help = "Example: flota queue pause email --reason 'provider is down'")]
    Pause {
        /// Name of the queue
        name: String,
        /// Why, for whoever looks at it later
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Fetch from a queue again
    #[command(after_help = "Example: flota queue resume email")]
    Resume {
        /// Name of the queue
        name: String,
    },
}

#[derive(Debug, Serialize)]
struct Paused {
    queue: String,
    paused: bool,
}

pub(super) async fn run(global: &Global, environment: Environment, command: Command) -> Done {
    let redis = Redis::new(&environment)?;
    match command {
        Command::List => {
            let names = redis.queues(global).await?;
            let pool = optional_postgres(&environment)?;
            let queues = view::queues(&redis.link, &redis.prefix, pool.as_ref(), &names).await?;
            global.output.list(&queues, "No queue is known yet: start a worker, or check queues.toml.")?;
        }
        Command::Get { name } => return contents::get(global, &environment, &name).await,
        Command::Purge { name, state, yes } => {
            return contents::purge(global, &environment, &name, state, yes).await;
        }
        Command::Release { name, ids } => return contents::release(global, &environment, &name, &ids).await,
        Command::Pause { name, reason } => {
            let keys = redis.known_queue(global, &name).await?;
            inspect::pause(&redis.link, &keys, &reason).await?;
            say(global, &name, true, "Queue {} is paused: jobs are accepted but not started.")?;
        }
        Command::Resume { name } => {
            let keys = redis.known_queue(global, &name).await?;
            let was_paused = inspect::resume(&redis.link, &keys).await?;
            let text = if was_paused { "Queue {} is fetched again." } else { "Queue {} was not paused." };
            say(global, &name, false, text)?;
        }
    }
    Ok(Exit::Ok)
}

fn say(global: &Global, name: &str, paused: bool, text: &str) -> std::io::Result<()> {
    let answer = Paused { queue: name.to_owned(), paused };
    global.output.one(&answer, name, || text.replace("{}", name))
}

impl Show for view::QueueView {
    const COLUMNS: &'static [&'static str] =
        &["queue", "ready", "delayed", "running", "parked", "dead", "oldest ready", "state"];

    fn row(&self) -> Vec<String> {
        let count = |count: u64| count.to_string();
        let dead = self.dead.map_or_else(|| "?".to_owned(), count);
        let oldest = self.oldest_ready_age_ms.map_or_else(|| "-".to_owned(), age);
        let state = if self.paused { "paused" } else { "open" };
        vec![
            self.queue.clone(),
            count(self.ready),
            count(self.delayed),
            count(self.running),
            count(self.parked),
            dead,
            oldest,
            state.to_owned(),
        ]
    }

    fn id(&self) -> String {
        self.queue.clone()
    }
}
