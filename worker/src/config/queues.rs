//! Queues: from `queues.toml` to one checked [`QueuePolicy`] each.
//!
//! 1. `raw.rs`: text → tables as they were written; unknown keys are found here
//! 2. `check.rs`: each value → a number inside the limits of its key (`keys.rs`); `delays.rs`: a plan of delays
//! 3. `policy.rs`: built in, `[defaults]` and the queue together → a policy whose settings fit together
//!
//! Every problem of the file is told at once, as a sentence with file, line, key, value and remedy (`problem.rs`).

mod check;
mod delays;
mod keys;
mod llm;
mod policy;
mod problem;
mod providers;
mod raw;
mod retention;
mod schedules;
mod transcription;

#[cfg(test)]
mod tests;

use std::{
    fmt, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use flota_engine::{QueuePolicy, Registry};
use flota_producer::keys::check_queue_name;

use self::{
    check::{Layer, check},
    policy::Layers,
    problem::Document,
    providers::ProviderTable,
    raw::RawQueues,
};
use crate::{
    limits::{CallTimeouts, ProviderLimits},
    llm::LlmSettings,
    processors,
    retention::Ages,
    schedules::Schedule,
    transcription::SpeechSettings,
};

pub use self::{
    keys::markdown,
    problem::{Problem, QueuesError},
};

/// The file that is read when none is named and it is there.
pub const FILE: &str = "queues.toml";
/// The text of the file at build time, so that the binary runs without one.
const BUILT_IN: &str = include_str!("../../../queues.toml");

/// The queues of a fleet, in the order of their names.
#[derive(Debug, Clone)]
pub struct Queues {
    /// One policy per queue, checked.
    pub policies: Vec<QueuePolicy>,
    /// What the fleet enqueues by itself, by the clock.
    pub schedules: Vec<Schedule>,
    /// How long history is kept.
    pub ages: Ages,
    /// How fast providers may be called.
    pub limits: ProviderLimits,
    /// How long one call of a provider may take.
    pub timeouts: CallTimeouts,
    /// Which language models are asked, and what they may cost.
    pub llm: LlmSettings,
    /// What transcription may take and what it costs.
    pub speech: SpeechSettings,
    /// Where they come from.
    pub source: Source,
}

/// Where queues come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The text in the binary.
    BuiltIn,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::BuiltIn => f.write_str("built in"),
        }
    }
}

impl Queues {
    /// Reads `named` if a file is named, otherwise `queues.toml` in the working directory if it is there, otherwise
    /// what is built in.
    ///
    /// # Errors
    /// [`QueuesError::Unreadable`] when the file is not there or cannot be read, [`QueuesError::Refused`] when it
    /// cannot be used.
    pub fn load(named: Option<&Path>) -> Result<Self, QueuesError> {
        Self::load_in(Path::new(""), named)
    }

    fn load_in(directory: &Path, named: Option<&Path>) -> Result<Self, QueuesError> {
        let path = named.map_or_else(|| directory.join(FILE), Path::to_owned);
        match fs::read_to_string(&path) {
            Ok(text) => {
                Ok(Self { source: Source::File(path.clone()), ..parse(&path.display().to_string(), &text)? })
            }
            Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => Self::built_in(),
            Err(source) => Err(QueuesError::Unreadable { path, source }),
        }
    }

    /// What is built in: the `queues.toml` of this repository.
    ///
    /// # Errors
    /// Never in a binary whose tests have passed.
    pub fn built_in() -> Result<Self, QueuesError> {
        parse("queues.toml (built in)", BUILT_IN)
    }

    /// The queue with this name.
    pub fn get(&self, name: &str) -> Option<&QueuePolicy> {
        self.policies.iter().find(|policy| &*policy.name == name)
    }

    /// What is worth telling about these queues and the kinds of job that this binary knows.
    pub fn notes<S: Send + Sync + 'static>(&self, registry: &Registry<S>) -> Vec<Note> {
        let homeless = registry.names().filter_map(|kind| {
            let queue = registry.get(kind)?.queue;
            self.get(queue).is_none().then_some(Note::KindWithoutQueue { kind, queue })
        });
        let defaults = registry.queues();
        let unused = self.policies.iter().filter(|policy| !defaults.contains(&&*policy.name));
        homeless
            .chain(unused.map(|policy| Note::QueueWithoutKind { queue: policy.name.to_string() }))
            .collect()
    }
}

/// Something that is allowed, but may be a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Jobs of this kind go to a queue that no worker with this file works on. Worth a warning.
    KindWithoutQueue {
        /// The kind.
        kind: &'static str,
        /// Its default queue.
        queue: &'static str,
    },
    /// Jobs come to this queue only when a producer names it. Usual for queues made on purpose.
    QueueWithoutKind {
        /// The queue.
        queue: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KindWithoutQueue { kind, queue } => write!(
                f,
                "Jobs of kind {kind} go to queue {queue}, which has no table and is not worked on here; \
                 add [queues.{queue}] to {FILE}"
            ),
            Self::QueueWithoutKind { queue } => write!(
                f,
                "No kind of job goes to queue {queue} by default; it gets only jobs whose producer names it"
            ),
        }
    }
}

/// Turns the text of a queues file into policies, schedules and ages. `file` is its name in sentences.
///
/// # Errors
/// [`QueuesError::Refused`] with every problem that was found.
pub fn parse(file: &str, text: &str) -> Result<Queues, QueuesError> {
    let (document, mut problems) = (Document { file, text }, Vec::new());
    let queues = raw::read(document, &mut problems).map(|raw| queues(document, &raw, &mut problems));
    match queues {
        Some(queues) if problems.is_empty() => Ok(queues),
        _ => {
            problems.sort();
            Err(QueuesError::Refused(problems))
        }
    }
}

fn queues(document: Document<'_>, raw: &RawQueues, problems: &mut Vec<Problem>) -> Queues {
    let policies = policies(document, raw, problems);
    let registry = processors::registry();
    let mut checked = Vec::with_capacity(raw.schedules.len());
    for (name, raw) in &raw.schedules {
        let table = schedules::Table { document, name, raw, policies: &policies, registry: &registry };
        checked.extend(table.check(problems));
    }
    let ages = retention::check(document, &raw.retention, problems);
    let (mut limits, mut timeouts) = (ProviderLimits::default(), CallTimeouts::default());
    for (name, raw) in &raw.providers {
        ProviderTable { document, name, raw }.check(&mut limits, &mut timeouts, problems);
    }
    let llm = llm::check(document, raw.llm.as_ref(), problems);
    let speech = transcription::check(document, raw.transcription.as_ref(), problems);
    Queues { policies, schedules: checked, ages, limits, timeouts, llm, speech, source: Source::BuiltIn }
}

fn policies(document: Document<'_>, raw: &RawQueues, problems: &mut Vec<Problem>) -> Vec<QueuePolicy> {
    let defaults: Layer = check(document, "defaults", &raw.defaults, problems);
    let mut policies = Vec::with_capacity(raw.queues.len());
    for (name, queue) in &raw.queues {
        if let Err(error) = check_queue_name(name.get_ref()) {
            problems.push(document.problem(name.span().start, error.to_string()));
        }
        let queue = check(document, &format!("queues.{}", name.get_ref()), queue, problems);
        let layers = Layers { queue: &queue, defaults: &defaults };
        layers.fit_together(document, problems);
        policies.push(layers.policy(name.get_ref()));
    }
    if policies.is_empty() && problems.is_empty() {
        let sentence = "there is no queue in this file; write [queues.<name>], for example [queues.email]";
        problems.push(document.problem(0, sentence.to_owned()));
    }
    policies
}
