//! What Redis holds of one job, and what each script does to it, whole or not at all.
//!
//! The names are those of the files in `worker/engine/src/scripts`. Where a rule is broken on purpose, the script does
//! what a plausible mistake would have made of it.

use super::protocol::Rule;

/// Failed runs after which a job is buried (`max_attempts`, charged by settle).
const MAX_ATTEMPTS: u8 = 2;
/// Lost leases after which it is (`max_deliveries`, charged by recover).
const MAX_DELIVERIES: u8 = 3;

/// One member of the `running` set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Held {
    /// The fence.
    pub(super) run: u8,
    /// Whether its score lies in the past.
    pub(super) ended: bool,
    /// Who was given it. Redis does not know: only the invariants look at it.
    pub(super) worker: usize,
}

/// How a run wants its job to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Verdict {
    Complete,
    Retry,
    Cancel,
    Release,
}

/// One job in the structures of its queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Job {
    /// `jobs`: it is alive.
    pub(super) body: bool,
    /// In a ready list. An id that was cancelled there stays until it is fetched.
    pub(super) in_line: bool,
    pub(super) delayed: bool,
    /// `in_line`: others of its line are before it.
    pub(super) behind: bool,
    pub(super) running: Vec<Held>,
    /// `marks`: the last run that ended, and what is charged.
    pub(super) last_run: u8,
    pub(super) attempts: u8,
    pub(super) deliveries: u8,
    /// `cancelled`: asked to stop, or cancelled in line.
    pub(super) asked: bool,
    /// Terminal records in `outcomes`.
    pub(super) outcomes: u8,
    pub(super) succeeded: bool,
    /// Effects in the world outside.
    pub(super) effects: u8,
    /// Faults after which one effect more is to be expected.
    pub(super) excuses: u8,
    /// A result was taken from a worker that did not hold the lease.
    pub(super) usurped: bool,
}

impl Job {
    /// enqueue.lua, for a job with so many before it in its line.
    pub(super) fn enqueued(before: usize) -> Self {
        Self {
            body: true,
            in_line: before == 0,
            delayed: false,
            behind: 0 < before,
            running: Vec::new(),
            last_run: 0,
            attempts: 0,
            deliveries: 0,
            asked: false,
            outcomes: 0,
            succeeded: false,
            effects: 0,
            excuses: 0,
            usurped: false,
        }
    }

    /// fetch.lua: the run that was leased, and whether it was asked to stop earlier. `heard` says that the reply arrives.
    pub(super) fn fetch(&mut self, worker: usize, heard: bool, broken: Option<Rule>) -> Option<(u8, bool)> {
        self.in_line = false;
        if !self.body && broken != Some(Rule::NoLeaseForWhatWasCancelled) {
            self.asked = false;
            return None;
        }
        let run = self.last_run + 1;
        if heard || broken != Some(Rule::FetchMovesInOneStep) {
            self.hold(Held { run, ended: false, worker });
        }
        (self.body && heard).then_some((run, self.asked))
    }

    /// heartbeat.lua: `None` when the lease is lost, otherwise whether the run is asked to stop.
    pub(super) fn heartbeat(&mut self, worker: usize, run: u8, broken: Option<Rule>) -> Option<bool> {
        match self.running.iter_mut().find(|held| held.run == run) {
            Some(held) => held.ended = false,
            None if broken == Some(Rule::HeartbeatsLengthenOnly) => {
                self.hold(Held { run, ended: false, worker });
            }
            None => return None,
        }
        Some(self.asked)
    }

    /// settle.lua: true when the lease was held and the verdict carried out.
    pub(super) fn settle(&mut self, worker: usize, run: u8, verdict: Verdict, broken: Option<Rule>) -> bool {
        let held = self.running.iter().position(|held| held.run == run);
        match held {
            Some(at) => self.usurped |= self.running.remove(at).worker != worker,
            None if broken == Some(Rule::SettleNeedsTheLease) && self.body => {
                self.usurped = true;
                self.running.clear();
            }
            None => return false,
        }
        match verdict {
            Verdict::Complete => self.end(true),
            Verdict::Cancel => self.end(false),
            Verdict::Retry if self.attempts + 1 == MAX_ATTEMPTS => self.end(false),
            Verdict::Retry => {
                self.last_run = run;
                self.attempts += 1;
                // Who was asked to stop does not wait for the next run, which ends it.
                self.delayed = !self.asked;
                self.in_line = self.asked;
            }
            Verdict::Release => {
                self.last_run = run;
                self.in_line = true;
            }
        }
        true
    }

    /// promote.lua
    pub(super) fn promote(&mut self) {
        self.delayed = false;
        self.in_line = true;
    }

    /// recover.lua, for a run whose lease is found to have ended.
    pub(super) fn recover(&mut self, run: u8, broken: Option<Rule>) {
        self.running.retain(|held| held.run != run);
        if !self.body {
            return;
        }
        self.deliveries += 1;
        if self.deliveries == MAX_DELIVERIES {
            return self.end(false);
        }
        if broken != Some(Rule::EveryRunHasItsNumber) {
            self.last_run = run;
        }
        self.in_line = true;
    }

    /// cancel.lua
    pub(super) fn cancel(&mut self) {
        if self.running.iter().any(|held| held.run == self.last_run + 1) {
            self.asked = true;
            return;
        }
        let in_line = self.in_line;
        self.behind = false;
        self.end(false);
        // fetch drops it.
        self.asked = in_line;
    }

    /// A terminal record and the end of everything that Redis holds, in one step. The id in a ready list stays there.
    fn end(&mut self, succeeded: bool) {
        self.outcomes += 1;
        self.succeeded = succeeded;
        self.body = false;
        self.delayed = false;
        self.last_run = 0;
        self.asked = false;
    }

    /// True when some run of it was ever leased.
    pub(super) fn has_started(&self) -> bool {
        !self.running.is_empty() || 0 < self.last_run || 0 < self.effects
    }

    fn hold(&mut self, held: Held) {
        self.running.push(held);
        self.running.sort_unstable();
    }
}

/// line.lua: the first of a line that is alive goes on if it waits there. The jobs are in the order of their line.
pub(super) fn line_goes_on(line: &mut [Job]) {
    if let Some(first) = line.iter_mut().find(|job| job.body).filter(|job| job.behind) {
        first.behind = false;
        first.in_line = true;
    }
}
