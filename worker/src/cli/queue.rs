//! `flota queue`: how many jobs are where, pause, resume and limit, purge and release.

mod contents;
mod control;

use clap::Subcommand;

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
        /// Only jobs that wait there; all four unless given
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
    #[command(after_help = "Example: flota queue pause email --for 30m --reason 'provider is down'")]
    Pause {
        /// Name of the queue
        name: String,
        #[command(flatten)]
        terms: control::Terms,
    },
    /// Fetch from a queue again
    #[command(after_help = "Example: flota queue resume email")]
    Resume {
        /// Name of the queue
        name: String,
    },
    /// Run a queue slower or faster than queues.toml says, in every worker, from now on; what runs goes on
    #[command(
        after_help = "Examples:\n  flota queue limit email --concurrency 4 --for 30m --reason 'provider is slow'\n  \
flota queue limit email --rate 10/s --rate 10000/d"
    )]
    Limit {
        /// Name of the queue
        name: String,
        #[command(flatten)]
        limits: control::Limits,
        #[command(flatten)]
        terms: control::Terms,
    },
    /// Run a queue as queues.toml says again
    #[command(after_help = "Example: flota queue unlimit email")]
    Unlimit {
        /// Name of the queue
        name: String,
        /// Only its concurrency; both unless one is given
        #[arg(long)]
        concurrency: bool,
        /// Only its rate
        #[arg(long)]
        rate: bool,
    },
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
        Command::Pause { name, terms } => return control::pause(global, &environment, &name, &terms).await,
        Command::Resume { name } => return control::resume(global, &environment, &name).await,
        Command::Limit { name, limits, terms } => {
            return control::limit(global, &environment, &name, &limits, &terms).await;
        }
        Command::Unlimit { name, concurrency, rate } => {
            return control::unlimit(global, &environment, &name, concurrency, rate).await;
        }
    }
    Ok(Exit::Ok)
}

impl Show for view::QueueView {
    const COLUMNS: &'static [&'static str] =
        &["queue", "ready", "delayed", "running", "parked", "in line", "dead", "oldest ready", "state"];

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
            count(self.in_line),
            dead,
            oldest,
            state.to_owned(),
        ]
    }

    fn id(&self) -> String {
        self.queue.clone()
    }
}
