//! `chaos`: tells stories with seeds, several at a time, and sums up.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    process::ExitCode,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::bail;
use tokio::time::timeout;

use super::{
    hunt::{self, Catch},
    mutants::Mutant,
    report,
    scene::Told,
    stories,
    story::{CannotBeTold, Story},
    summary::{Line, Summary},
};

/// Longest that one telling may take.
const PATIENCE: Duration = Duration::from_mins(6);

const HELP: &str = "\
Tells stories of the chaos suite: what is done to a fleet, and whether its promises held.

  chaos [--story NAME]... [--smoke] [--seeds N] [--first SEED] [--at-once N] [--report PAGE]
  chaos --mutants [--report PAGE]
  chaos --list

  --story NAME   this story only; may be given several times
  --smoke        the quick set, one seed each
  --seeds N      how many seeds of each story; what the story itself says unless given
  --first SEED   the first seed; 1 unless given
  --at-once N    how many are told at the same time; 2 unless given
  --mutants      seed a mistake into every worker, one after the other, and see whether it is noticed
  --report PAGE  write the summary into its part of that page, docs/chaos-report.md
";

/// What is to be told.
struct Plan {
    stories: Vec<Story>,
    seeds: Option<u64>,
    first: u64,
    at_once: usize,
    report: Option<String>,
    mutants: bool,
    mutant: Option<&'static Mutant>,
}

/// The story that mutants are let loose in.
const HUNTING_GROUND: &str = "bustle";

impl Plan {
    /// Each story with each of its seeds.
    fn tellings(&self) -> impl Iterator<Item = (Story, u64)> {
        let seeds = |story: &Story| self.first..self.first + self.seeds.unwrap_or(story.seeds);
        self.stories.iter().flat_map(move |story| seeds(story).map(|seed| (*story, seed)))
    }
}

/// The program.
///
/// # Errors
/// When it is used wrongly.
pub fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.iter().any(|argument| argument == "--list") {
        for story in stories::ALL {
            println!("{:<24} {:<10} {}", story.name, story.promise, story.what);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let plan = plan(&arguments)?;
    if let Some(mutant) = plan.mutant {
        println!("{}", hunt::told(&told(named(HUNTING_GROUND)?, plan.first, Some(mutant))));
        return Ok(ExitCode::SUCCESS);
    }
    let (held, report_text) = if plan.mutants { hunt(&plan)? } else { stories_told(&plan) };
    if let Some(page) = &plan.report {
        let part = if plan.mutants { "mutants" } else { "stories" };
        report::put(Path::new(page), part, &format!("{}{report_text}", report::heading()))?;
        println!("written to {page}");
    }
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn stories_told(plan: &Plan) -> (bool, String) {
    let summary = tell(plan);
    print!("\n{}", summary.table());
    (summary.held(), summary.report())
}

/// Lets every mutant loose; all must be caught.
fn hunt(plan: &Plan) -> anyhow::Result<(bool, String)> {
    let mut quarry = in_parallel(plan.at_once, hunt::quarry().enumerate(), |(place, mutant)| {
        let catch = Catch::hunt(mutant, plan.first);
        if let Ok(catch) = &catch {
            println!("{}", catch.sentence());
        }
        (place, catch)
    });
    quarry.sort_by_key(|(place, _)| *place);
    let catches = quarry.into_iter().map(|(_, catch)| catch).collect::<Result<Vec<Catch>, _>>()?;
    let caught = catches.iter().filter(|catch| catch.is_caught()).count();
    println!("\n{caught} of {} mutants caught", catches.len());
    Ok((caught == catches.len(), hunt::report(&catches)))
}

fn plan(arguments: &[String]) -> anyhow::Result<Plan> {
    let mut plan = Plan {
        stories: Vec::new(),
        seeds: None,
        first: 1,
        at_once: 2,
        report: None,
        mutants: false,
        mutant: None,
    };
    let mut smoke = false;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| anyhow::anyhow!("{argument} needs a value\n\n{HELP}"));
        match argument.as_str() {
            "--story" => plan.stories.push(named(value()?)?),
            "--smoke" => smoke = true,
            "--mutants" => plan.mutants = true,
            "--mutant" => plan.mutant = Some(mutant_named(value()?)?),
            "--seeds" => plan.seeds = Some(value()?.parse()?),
            "--first" => plan.first = value()?.parse()?,
            "--at-once" => plan.at_once = value()?.parse::<usize>()?.max(1),
            "--report" => plan.report = Some(value()?.clone()),
            other => bail!("`{other}` is not understood\n\n{HELP}"),
        }
    }
    if plan.stories.is_empty() {
        plan.stories = stories::ALL.iter().filter(|story| !smoke || story.smoke).copied().collect();
    }
    if smoke {
        plan.seeds = plan.seeds.or(Some(1));
    }
    Ok(plan)
}

fn named(name: &str) -> anyhow::Result<Story> {
    let known = || stories::ALL.iter().map(|story| story.name).collect::<Vec<_>>().join(", ");
    let found = stories::ALL.iter().find(|story| story.name == name);
    found.copied().ok_or_else(|| anyhow::anyhow!("there is no story `{name}`; there are {}", known()))
}

fn mutant_named(name: &str) -> anyhow::Result<&'static Mutant> {
    Mutant::named(name).ok_or_else(|| anyhow::anyhow!("there is no mutant `{name}`"))
}

/// Tells everything, each telling on a thread and a runtime of its own: what one does or breaks stays there.
fn tell(plan: &Plan) -> Summary {
    let tell_one = |(story, seed)| {
        let line = told(story, seed, None);
        println!("{}", line.sentence());
        line
    };
    let (alone, together): (Vec<_>, Vec<_>) =
        plan.tellings().partition(|(story, _)| stories::ALONE.contains(&story.name));
    let mut lines = in_parallel(plan.at_once, together.into_iter(), tell_one);
    lines.extend(in_parallel(1, alone.into_iter(), tell_one));
    let order: BTreeMap<&str, usize> =
        plan.stories.iter().enumerate().map(|(place, story)| (story.name, place)).collect();
    lines.sort_by_key(|line: &Line| (order[line.story.name], line.seed));
    Summary { lines }
}

/// Does something with each of these, several at a time. The answers come in the order in which they were ready.
fn in_parallel<T: Send, R: Send>(
    at_once: usize,
    items: impl Iterator<Item = T>,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let items: Mutex<VecDeque<T>> = Mutex::new(items.collect());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let Some(item) = lock(&items).pop_front() else { break };
                    let result = work(item);
                    lock(&done).push(result);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells one story once; whatever goes wrong becomes part of the line.
fn told(story: Story, seed: u64, mutant: Option<&'static Mutant>) -> Line {
    let began = Instant::now();
    let telling = std::thread::spawn(move || {
        mutant.inspect(|mutant| mutant.choose());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let told = runtime.block_on(async { timeout(PATIENCE, (story.tell)(seed)).await });
        runtime.shutdown_background();
        told.unwrap_or_else(|_| Err(anyhow::anyhow!("it took longer than {PATIENCE:?}")))
    });
    let result = telling.join().unwrap_or_else(|_| Err(anyhow::anyhow!("it panicked; see above")));
    let (told, trouble, skipped) = match result {
        Ok(told) => (told, None, None),
        Err(error) => match error.downcast::<CannotBeTold>() {
            Ok(reason) => (Told::default(), None, Some(reason.0)),
            Err(error) => (Told::default(), Some(format!("{error:#}")), None),
        },
    };
    Line { story, seed, told, trouble, skipped, took: began.elapsed() }
}
