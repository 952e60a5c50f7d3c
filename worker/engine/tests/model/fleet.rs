//! Everything at one moment: jobs, workers, what they run and have seen, and what a fault does to them.

use super::{
    protocol::{Action, Rule},
    scripts::{Job, Verdict},
};

pub(super) const WORKERS: usize = 2;

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Fleet {
    pub(super) jobs: Vec<Job>,
    pub(super) workers: Vec<Worker>,
    pub(super) faults: u8,
    pub(super) restarts: u8,
    pub(super) cancels: u8,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Worker {
    pub(super) down: bool,
    pub(super) paused: bool,
    /// Nothing comes through to Redis.
    pub(super) cut: bool,
    /// It runs one job at a time.
    pub(super) run: Option<Run>,
    /// Ended leases that its recovery has seen once: job and run.
    pub(super) seen: Vec<(usize, u8)>,
}

impl Worker {
    pub(super) fn can_act(&self) -> bool {
        !self.down && !self.paused
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Run {
    pub(super) job: usize,
    pub(super) number: u8,
    pub(super) stage: Stage,
    /// It has heard that somebody cancelled the job.
    pub(super) asked: bool,
}

impl Run {
    pub(super) fn may_be_fenced(&self) -> bool {
        !matches!(self.stage, Stage::Fenced | Stage::Settled(_))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    Working,
    /// The effect has happened; the result waits to be settled.
    Effected,
    /// It was told to stop because its lease is lost, or may be.
    Fenced,
    /// Settled, but the reply was lost: the same verdict is sent again.
    Settled(Verdict),
    /// Only where record and removal are two steps: the record is written.
    Recorded,
}

impl Fleet {
    /// Every job has its outcome, and nothing of it is left.
    pub(super) fn is_over(&self) -> bool {
        self.jobs.iter().all(|job| !job.body && !job.in_line && job.running.is_empty() && 0 < job.outcomes)
            && self.workers.iter().all(|worker| worker.run.is_none())
    }

    /// Whether a lease may end: no worker that holds it will be heard of in time.
    pub(super) fn may_end(&self, job: usize, number: u8) -> bool {
        self.holders(job, number).all(|(worker, _)| !worker.can_act() || worker.cut)
    }

    /// Whether two heartbeats may pass after a lease has ended: nothing stops a worker that is paused or gone, any other
    /// that cannot lengthen it has fenced itself by then.
    pub(super) fn may_be_seen_twice(&self, job: usize, number: u8, broken: Option<Rule>) -> bool {
        let unfenced = broken == Some(Rule::WorkersFenceThemselves);
        self.holders(job, number)
            .all(|(worker, run)| !worker.can_act() || worker.cut && (unfenced || !run.may_be_fenced()))
    }

    pub(super) fn holders(&self, job: usize, number: u8) -> impl Iterator<Item = (&Worker, &Run)> {
        let held = self.workers.iter().filter_map(|worker| Some((worker, worker.run.as_ref()?)));
        held.filter(move |(_, run)| run.job == job && run.number == number)
    }

    pub(super) fn forget_sightings(&mut self, job: usize, number: u8) {
        self.workers.iter_mut().for_each(|worker| worker.seen.retain(|seen| *seen != (job, number)));
    }

    /// A fault takes away the result of what this worker runs: it is to be expected that the effect repeats.
    pub(super) fn excuse(&mut self, worker: usize, when: impl Fn(&Run) -> bool) {
        if let Some(run) = self.workers[worker].run.as_ref().filter(|run| when(run)) {
            let job = run.job;
            self.jobs[job].excuses += 1;
        }
    }
}

/// A worker stops, starts, is cut off or stops its own run.
pub(super) fn fault_of_a_worker(fleet: &mut Fleet, action: Action) {
    match action {
        Action::Crash { worker } => {
            fleet.faults += 1;
            fleet.excuse(worker, |run| matches!(run.stage, Stage::Effected | Stage::Recorded));
            fleet.workers[worker] = Worker { down: true, ..Worker::default() };
        }
        Action::Pause { worker } => {
            fleet.faults += 1;
            // It may have its effect after it wakes up, before it hears that its lease is lost.
            fleet.excuse(worker, |_| true);
            let paused = &mut fleet.workers[worker];
            paused.paused = true;
            // A gap between two looks starts the count again.
            paused.seen.clear();
        }
        Action::Cut { worker } => {
            fleet.faults += 1;
            fleet.workers[worker].cut = true;
            fleet.workers[worker].seen.clear();
        }
        Action::Fence { worker } => fence(fleet, worker),
        Action::Restart { worker } => fleet.workers[worker].down = false,
        Action::Resume { worker } => fleet.workers[worker].paused = false,
        Action::Heal { worker } => fleet.workers[worker].cut = false,
        _ => {}
    }
}

fn fence(fleet: &mut Fleet, worker: usize) {
    fleet.excuse(worker, |run| matches!(run.stage, Stage::Effected | Stage::Recorded));
    if let Some(run) = fleet.workers[worker].run.as_mut().filter(|run| run.may_be_fenced()) {
        run.stage = Stage::Fenced;
    }
}
