//! `flota` with the jobs of the stories, and a history of everything its worker does.

use std::{env, path::Path, process::ExitCode, sync::Arc, time::Duration};

use flota_engine::{Observer, Registry};
use flota_tests::{
    chaos::{errand::Errand, history::History},
    toys::Toy,
};
use flota_worker::{Additions, cli, outbox::Pace, services::Services};

type Kinds = Registry<Services>;

fn main() -> ExitCode {
    let mut outbox = Pace::default();
    if let Some(ms) = env::var("CHAOS_LOST_AFTER_MS").ok().and_then(|ms| ms.parse().ok()) {
        outbox.lost_after = Duration::from_millis(ms);
        outbox.search_every = outbox.search_every.min(outbox.lost_after / 3);
    }
    // An old release is one that does not know the jobs of the stories yet.
    let kinds: fn(Kinds) -> Kinds = match env::var_os("CHAOS_OLD_RELEASE") {
        Some(_) => |known| known,
        None => |known| known.with::<Errand>().with::<Toy>(),
    };
    cli::main_with(Additions { kinds, observer: observer(), outbox })
}

fn observer() -> Arc<dyn Observer> {
    let Ok(directory) = env::var("CHAOS_HISTORY") else { return Arc::new(()) };
    let process = env::var("CHAOS_PROCESS").unwrap_or_else(|_| format!("process-{}", std::process::id()));
    Arc::new(History::open(Path::new(&directory), &process).expect("the history can be opened"))
}
