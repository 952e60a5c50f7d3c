//! Workers, people and faults around the structures in Redis: which steps are possible, and what each does.

use stateright::{Model, Property};

use super::{
    fleet::{Fleet, Run, Stage, WORKERS, Worker, fault_of_a_worker},
    scripts::{Job, Verdict, line_goes_on},
};

/// How much may happen in one history, and which rule is broken on purpose.
#[derive(Debug, Clone)]
pub(super) struct Protocol {
    pub(super) jobs: usize,
    /// Kills, pauses, cuts and lost replies together.
    pub(super) faults: u8,
    /// Restarts of Redis, each long enough for every lease to end.
    pub(super) restarts: u8,
    pub(super) cancels: u8,
    /// All jobs are in one line.
    pub(super) in_order: bool,
    pub(super) broken: Option<Rule>,
}

/// What the protocol rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// settle.lua: a verdict counts only while `id:run` is in `running`.
    SettleNeedsTheLease,
    /// settle.lua: the record and the removal are one step.
    RecordAndRemovalAreOne,
    /// heartbeat.lua: a lease that is lost is not given back.
    HeartbeatsLengthenOnly,
    /// fetch.lua: out of the line and under lease in one step, so a lost reply loses nothing.
    FetchMovesInOneStep,
    /// fetch.lua, cancel.lua: an id that was cancelled in line is dropped.
    NoLeaseForWhatWasCancelled,
    /// recover.lua: a lost run has used up its number.
    EveryRunHasItsNumber,
    /// `recover.rs`, `Watch`: an ended lease is believed at the second sighting.
    RecoveryLooksTwice,
    /// `lease.rs`, `Keeper`: a worker that cannot renew stops its own runs before others may take them.
    WorkersFenceThemselves,
    /// `run.rs`: a run that lost its lease is not heard, but asks for release.
    LostRunsAreReleased,
    /// settle.lua, recover.lua: only what has ended lets the next of its line go.
    OnlyEndsMoveTheLine,
    /// settle.lua: every end lets it go.
    SettledEndsMoveTheLine,
    /// cancel.lua: so does this one.
    CancelledEndsMoveTheLine,
    /// recover.lua: and this one.
    BuriedEndsMoveTheLine,
}

impl Rule {
    pub(super) const ALL: [Self; 13] = [
        Self::SettleNeedsTheLease,
        Self::RecordAndRemovalAreOne,
        Self::HeartbeatsLengthenOnly,
        Self::FetchMovesInOneStep,
        Self::NoLeaseForWhatWasCancelled,
        Self::EveryRunHasItsNumber,
        Self::RecoveryLooksTwice,
        Self::WorkersFenceThemselves,
        Self::LostRunsAreReleased,
        Self::OnlyEndsMoveTheLine,
        Self::SettledEndsMoveTheLine,
        Self::CancelledEndsMoveTheLine,
        Self::BuriedEndsMoveTheLine,
    ];

    /// True when it takes a line to break it.
    pub(super) fn is_about_lines(self) -> bool {
        matches!(
            self,
            Self::OnlyEndsMoveTheLine
                | Self::SettledEndsMoveTheLine
                | Self::CancelledEndsMoveTheLine
                | Self::BuriedEndsMoveTheLine
        )
    }
}

/// One step. Workers and jobs are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Fetch { worker: usize, job: usize },
    FetchReplyLost { worker: usize, job: usize },
    Effect { worker: usize },
    Settle { worker: usize, verdict: Verdict },
    SettleReplyLost { worker: usize, verdict: Verdict },
    Heartbeat { worker: usize },
    HeartbeatReplyLost { worker: usize },
    Promote { job: usize },
    Cancel { job: usize },
    Pause { worker: usize },
    Resume { worker: usize },
    Crash { worker: usize },
    Restart { worker: usize },
    Cut { worker: usize },
    Heal { worker: usize },
    Fence { worker: usize },
    LeaseEnds { job: usize, run: u8 },
    FirstSighting { worker: usize, job: usize, run: u8 },
    Recover { worker: usize, job: usize, run: u8 },
    RedisRestarts,
}

impl Protocol {
    /// What an ordinary test can look at in seconds.
    pub(super) const SMALL: Self =
        Self { jobs: 1, faults: 2, restarts: 1, cancels: 1, in_order: false, broken: None };

    /// Names of what must always hold.
    pub(super) const INVARIANTS: [&'static str; 8] = [
        "one terminal outcome at most",
        "no job is gone without an outcome",
        "results are taken from the holder of the lease alone",
        "a live job is in exactly one place",
        "effects repeat only after a fault that explains it",
        "what succeeded has had its effect",
        "exactly the first of a line does not wait in it",
        "a job in order starts when all before it have ended",
    ];

    fn worker_actions(&self, fleet: &Fleet, worker: usize, actions: &mut Vec<Action>) {
        let this = &fleet.workers[worker];
        let faults = fleet.faults < self.faults;
        if this.down {
            return actions.push(Action::Restart { worker });
        }
        if this.paused {
            return actions.push(Action::Resume { worker });
        }
        if faults {
            actions.extend([Action::Crash { worker }, Action::Pause { worker }]);
        }
        if let Some(run) = &this.run {
            if run.stage == Stage::Working && !run.asked {
                actions.push(Action::Effect { worker });
            }
            if this.cut && run.may_be_fenced() {
                actions.push(Action::Fence { worker });
            }
        }
        if this.cut {
            return actions.push(Action::Heal { worker });
        }
        if faults {
            actions.push(Action::Cut { worker });
        }
        self.calls(fleet, worker, faults, actions);
    }

    /// What a worker that reaches Redis may call.
    fn calls(&self, fleet: &Fleet, worker: usize, faults: bool, actions: &mut Vec<Action>) {
        let this = &fleet.workers[worker];
        match &this.run {
            None => {
                for job in (0..self.jobs).filter(|job| fleet.jobs[*job].in_line) {
                    actions.push(Action::Fetch { worker, job });
                    actions.extend(faults.then_some(Action::FetchReplyLost { worker, job }));
                }
            }
            Some(run) => {
                actions.push(Action::Heartbeat { worker });
                actions.extend(faults.then_some(Action::HeartbeatReplyLost { worker }));
                for verdict in verdicts(run, self.broken) {
                    actions.push(Action::Settle { worker, verdict });
                    actions.extend(faults.then_some(Action::SettleReplyLost { worker, verdict }));
                }
            }
        }
        for (job, run) in ended(fleet) {
            if !this.seen.contains(&(job, run)) {
                actions.push(Action::FirstSighting { worker, job, run });
            } else if fleet.may_be_seen_twice(job, run, self.broken) {
                actions.push(Action::Recover { worker, job, run });
            }
        }
    }

    fn settle(&self, fleet: &mut Fleet, worker: usize, verdict: Verdict, heard: bool) {
        let Some(run) = fleet.workers[worker].run.clone() else { return };
        let two_steps = self.broken == Some(Rule::RecordAndRemovalAreOne) && verdict == Verdict::Complete;
        if two_steps && run.stage == Stage::Effected {
            let job = &mut fleet.jobs[run.job];
            if job.running.iter().any(|held| held.run == run.number) {
                job.outcomes += 1;
                job.succeeded = true;
                fleet.workers[worker].run = Some(Run { stage: Stage::Recorded, ..run });
            }
            return;
        }
        let settled = fleet.jobs[run.job].settle(worker, run.number, verdict, self.broken);
        if settled {
            self.line_goes_on(fleet, run.job, Rule::SettledEndsMoveTheLine);
        }
        if settled {
            fleet.forget_sightings(run.job, run.number);
        }
        if two_steps && settled {
            fleet.jobs[run.job].outcomes -= 1;
        }
        fleet.workers[worker].run = (!heard).then_some(Run { stage: Stage::Settled(verdict), ..run });
    }

    /// What a script does at its end for the line of a job, unless the mistake is that this one does not.
    fn line_goes_on(&self, fleet: &mut Fleet, job: usize, rule: Rule) {
        if !self.in_order || self.broken == Some(rule) {
            return;
        }
        if self.broken == Some(Rule::OnlyEndsMoveTheLine) && fleet.jobs[job].body {
            return line_goes_on(&mut fleet.jobs[job + 1..]);
        }
        line_goes_on(&mut fleet.jobs);
    }

    /// recover.lua, and what it does for the line.
    fn recover(&self, fleet: &mut Fleet, job: usize, run: u8) {
        fleet.forget_sightings(job, run);
        fleet.jobs[job].recover(run, self.broken);
        self.line_goes_on(fleet, job, Rule::BuriedEndsMoveTheLine);
    }

    fn heartbeat(&self, fleet: &mut Fleet, worker: usize, heard: bool) {
        let Some(run) = fleet.workers[worker].run.clone() else { return };
        let answer = fleet.jobs[run.job].heartbeat(worker, run.number, self.broken);
        if answer.is_some() {
            fleet.forget_sightings(run.job, run.number);
        }
        let Some(run) = fleet.workers[worker].run.as_mut().filter(|_| heard) else { return };
        match answer {
            // Its verdict is on its way and is not changed any more.
            _ if matches!(run.stage, Stage::Settled(_)) => {}
            None if self.broken != Some(Rule::LostRunsAreReleased) => run.stage = Stage::Fenced,
            answer => run.asked = answer == Some(true),
        }
    }
}

/// What may become of a run at this stage.
fn verdicts(run: &Run, broken: Option<Rule>) -> Vec<Verdict> {
    match run.stage {
        Stage::Working if run.asked => vec![Verdict::Cancel],
        Stage::Working => vec![Verdict::Retry],
        Stage::Effected | Stage::Recorded => vec![Verdict::Complete],
        Stage::Settled(verdict) => vec![verdict],
        Stage::Fenced if broken == Some(Rule::LostRunsAreReleased) => vec![Verdict::Complete],
        Stage::Fenced => vec![Verdict::Release],
    }
}

fn ended(fleet: &Fleet) -> impl Iterator<Item = (usize, u8)> {
    let of = |(job, state): (usize, &Job)| {
        state.running.iter().filter(|held| held.ended).map(move |held| (job, held.run)).collect::<Vec<_>>()
    };
    fleet.jobs.iter().enumerate().flat_map(of)
}

impl Model for Protocol {
    type State = Fleet;
    type Action = Action;

    fn init_states(&self) -> Vec<Fleet> {
        vec![Fleet {
            jobs: (0..self.jobs).map(|n| Job::enqueued(if self.in_order { n } else { 0 })).collect(),
            workers: vec![Worker::default(); WORKERS],
            faults: 0,
            restarts: 0,
            cancels: 0,
        }]
    }

    fn actions(&self, fleet: &Fleet, actions: &mut Vec<Action>) {
        for worker in 0..WORKERS {
            self.worker_actions(fleet, worker, actions);
        }
        for (job, state) in fleet.jobs.iter().enumerate() {
            if state.delayed {
                actions.push(Action::Promote { job });
            }
            if state.body && fleet.cancels < self.cancels {
                actions.push(Action::Cancel { job });
            }
            for held in state.running.iter().filter(|held| !held.ended) {
                if fleet.may_end(job, held.run) {
                    actions.push(Action::LeaseEnds { job, run: held.run });
                }
            }
        }
        if fleet.restarts < self.restarts {
            actions.push(Action::RedisRestarts);
        }
    }

    fn next_state(&self, before: &Fleet, action: Action) -> Option<Fleet> {
        let mut fleet = before.clone();
        match action {
            Action::Fetch { worker, job } => {
                if let Some((number, asked)) = fleet.jobs[job].fetch(worker, true, self.broken) {
                    fleet.workers[worker].run = Some(Run { job, number, stage: Stage::Working, asked });
                }
            }
            Action::FetchReplyLost { worker, job } => {
                fleet.faults += 1;
                fleet.jobs[job].fetch(worker, false, self.broken);
            }
            Action::Effect { worker } => {
                let run = fleet.workers[worker].run.as_mut()?;
                run.stage = Stage::Effected;
                fleet.jobs[run.job].effects += 1;
            }
            Action::Settle { worker, verdict } => self.settle(&mut fleet, worker, verdict, true),
            Action::SettleReplyLost { worker, verdict } => {
                fleet.faults += 1;
                self.settle(&mut fleet, worker, verdict, false);
            }
            Action::Heartbeat { worker } => self.heartbeat(&mut fleet, worker, true),
            Action::HeartbeatReplyLost { worker } => {
                fleet.faults += 1;
                self.heartbeat(&mut fleet, worker, false);
            }
            Action::Promote { job } => fleet.jobs[job].promote(),
            Action::Cancel { job } => {
                fleet.cancels += 1;
                fleet.jobs[job].cancel();
                self.line_goes_on(&mut fleet, job, Rule::CancelledEndsMoveTheLine);
            }
            Action::LeaseEnds { job, run } => {
                fleet.jobs[job].running.iter_mut().find(|held| held.run == run)?.ended = true;
            }
            Action::FirstSighting { worker, job, run } => {
                if self.broken == Some(Rule::RecoveryLooksTwice) {
                    self.recover(&mut fleet, job, run);
                } else {
                    fleet.workers[worker].seen.push((job, run));
                    fleet.workers[worker].seen.sort_unstable();
                }
            }
            Action::Recover { job, run, .. } => self.recover(&mut fleet, job, run),
            Action::RedisRestarts => {
                fleet.restarts += 1;
                fleet.jobs.iter_mut().flat_map(|job| &mut job.running).for_each(|held| held.ended = true);
                fleet.workers.iter_mut().for_each(|worker| worker.seen.clear());
            }
            fault => fault_of_a_worker(&mut fleet, fault),
        }
        Some(fleet)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let [one, gone, holder, place, effects, succeeded, first, order] = Self::INVARIANTS;
        vec![
            Property::always(one, |_, fleet: &Fleet| fleet.jobs.iter().all(|job| job.outcomes <= 1)),
            Property::always(gone, |_, fleet: &Fleet| {
                fleet.jobs.iter().all(|job| job.body || 0 < job.outcomes)
            }),
            Property::always(holder, |_, fleet: &Fleet| fleet.jobs.iter().all(|job| !job.usurped)),
            Property::always(place, |_, fleet: &Fleet| fleet.jobs.iter().all(is_where_it_should_be)),
            Property::always(effects, |_, fleet: &Fleet| {
                fleet.jobs.iter().all(|job| job.effects <= 1 + job.excuses)
            }),
            Property::always(succeeded, |_, fleet: &Fleet| {
                fleet.jobs.iter().all(|job| !job.succeeded || 0 < job.effects)
            }),
            Property::always(first, |_, fleet: &Fleet| {
                let mut waiting = fleet.jobs.iter().filter(|job| job.body).map(|job| job.behind);
                !waiting.next().unwrap_or(false)
            }),
            Property::always(order, |protocol: &Self, fleet: &Fleet| {
                let alive = fleet.jobs.iter().position(|job| job.body).unwrap_or(fleet.jobs.len());
                let behind = fleet.jobs.iter().skip(alive + 1);
                !protocol.in_order || !behind.into_iter().any(|job| job.body && job.has_started())
            }),
            Property::sometimes("all is over", |_, fleet: &Fleet| fleet.is_over()),
            Property::sometimes("an effect repeats", |_, fleet: &Fleet| {
                fleet.jobs.iter().any(|job| 1 < job.effects)
            }),
            Property::sometimes("a job is recovered", |_, fleet: &Fleet| {
                fleet.jobs.iter().any(|job| 0 < job.deliveries)
            }),
        ]
    }
}

fn is_where_it_should_be(job: &Job) -> bool {
    let places =
        usize::from(job.in_line) + usize::from(job.delayed) + usize::from(job.behind) + job.running.len();
    if job.body { places == 1 } else { !job.delayed && !job.behind && job.running.is_empty() }
}
