//! `flota workers`: which worker processes there are, and telling them to go quiet or to stop.

use clap::{Args, Subcommand};
use flota_engine::roster::{self, Order, Present, WorkerState};
use flota_producer::clock;
use serde::Serialize;
use serde_json::json;

use crate::{
    audit::{self, Deed},
    config::Environment,
    exit::{Done, Exit, Stop},
};

use super::{
    Global,
    context::{self, Redis, optional_postgres},
    output::{Show, age},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Every worker process that is there, with how busy it is; one that was killed is off the list within seconds
    #[command(visible_alias = "ls", after_help = "Example: flota workers list")]
    List,
    /// Stop fetching, finish what runs, and stay; for good, so that a deploy can follow
    #[command(after_help = "Examples:\n  flota workers quiet web-7:4121\n  flota workers quiet --all")]
    Quiet(Whom),
    /// Finish what runs and exit, as SIGTERM does
    #[command(
        after_help = "Examples:\n  flota workers stop web-7:4121\n  flota workers stop --all --yes\n\n\
A supervisor (systemd, Kubernetes) may start a stopped worker again; scale it down there."
    )]
    Stop {
        #[command(flatten)]
        whom: Whom,
        /// Really stop all of them
        #[arg(long, requires = "all")]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct Whom {
    /// Its name or the beginning of it
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    name: Option<String>,
    /// Every worker that is there
    #[arg(long)]
    all: bool,
}

/// A worker as the list shows it.
#[derive(Debug, Serialize)]
struct WorkerRow {
    worker: String,
    host: String,
    pid: Option<u32>,
    version: String,
    state: WorkerState,
    queues: Vec<roster::QueueLoad>,
    busy: usize,
    slots: usize,
    uptime_ms: u64,
    seen_ms_ago: u64,
}

pub(super) async fn run(global: &Global, environment: Environment, command: Command) -> Done {
    let redis = Redis::new(&environment)?;
    let present = roster::list(&redis.link, &redis.prefix).await?;
    match command {
        Command::List => {
            let rows: Vec<WorkerRow> = present.iter().map(WorkerRow::from).collect();
            global.output.list(&rows, "No worker is there: start one with `flota worker`.")?;
            Ok(Exit::Ok)
        }
        Command::Quiet(whom) => {
            tell(global, &environment, &redis, Order::Quiet, chosen(&present, &whom)?).await
        }
        Command::Stop { whom, yes } => {
            let names = chosen(&present, &whom)?;
            if whom.all && !yes {
                let count = names.len();
                return Err(Stop::new(
                    Exit::Refused,
                    format!("this would stop all {count} workers: nothing runs any more; add --yes to do it"),
                ));
            }
            tell(global, &environment, &redis, Order::Stop, names).await
        }
    }
}

async fn tell(
    global: &Global,
    environment: &Environment,
    redis: &Redis,
    order: Order,
    names: Vec<String>,
) -> Done {
    let told = roster::order(&redis.link, &redis.prefix, order, &names).await?;
    let (action, text) = match order {
        Order::Quiet => ("workers.quiet", "fetches nothing more with its next heartbeat; what runs goes on"),
        Order::Stop => ("workers.stop", "drains and exits with its next heartbeat"),
    };
    let (actor, pool) = (context::actor(), optional_postgres(environment)?);
    for name in &told {
        let deed = Deed { actor: &actor, action, subject: name, tenant: None, detail: json!({}) };
        audit::note(pool.as_ref(), &deed).await;
    }
    let lines = || told.iter().map(|name| format!("Worker {name} {text}.")).collect::<Vec<_>>().join("\n");
    global.output.one(&json!({ "action": action, "workers": told }), &told.join("\n"), lines)?;
    Ok(if told.len() < names.len() { Exit::Partly } else { Exit::Ok })
}

/// The names that are meant. A beginning that fits several workers is refused, so that nobody is told by accident.
fn chosen(present: &[Present], whom: &Whom) -> Result<Vec<String>, Stop> {
    let names = present.iter().map(|worker| &worker.info.name);
    let Some(wanted) = &whom.name else { return Ok(names.cloned().collect()) };
    let fitting: Vec<String> = names.filter(|name| name.starts_with(wanted.as_str())).cloned().collect();
    match fitting.len() {
        0 => Err(Stop::not_found(format!("there is no worker `{wanted}`; see `flota workers list`"))),
        1 => Ok(fitting),
        _ => Err(Stop::usage(format!("`{wanted}` fits several workers: {}", fitting.join(", ")))),
    }
}

impl From<&Present> for WorkerRow {
    fn from(present: &Present) -> Self {
        let info = &present.info;
        let mut parts = info.name.rsplitn(3, ':').skip(1);
        let pid = parts.next().and_then(|pid| pid.parse().ok());
        Self {
            host: parts.next().unwrap_or_default().to_owned(),
            pid,
            worker: info.name.clone(),
            version: info.version.clone(),
            state: info.state,
            busy: info.queues.iter().map(|queue| queue.busy).sum(),
            slots: info.queues.iter().map(|queue| queue.slots).sum(),
            queues: info.queues.clone(),
            uptime_ms: clock::unix_now_ms().saturating_sub(info.started_ms),
            seen_ms_ago: present.seen.as_millis() as u64,
        }
    }
}

impl Show for WorkerRow {
    const COLUMNS: &'static [&'static str] = &["worker", "version", "state", "queues", "busy", "up", "seen"];

    fn row(&self) -> Vec<String> {
        let state = match self.state {
            WorkerState::Working => "working",
            WorkerState::Quiet => "quiet",
            WorkerState::Stopping => "stopping",
        };
        let queues = self.queues.iter().map(|load| format!("{} {}/{}", load.queue, load.busy, load.slots));
        vec![
            self.worker.clone(),
            self.version.clone(),
            state.to_owned(),
            queues.collect::<Vec<_>>().join(", "),
            format!("{}/{}", self.busy, self.slots),
            age(self.uptime_ms),
            format!("{} ago", age(self.seen_ms_ago)),
        ]
    }

    fn id(&self) -> String {
        self.worker.clone()
    }
}
