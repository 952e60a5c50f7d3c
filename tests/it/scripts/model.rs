//! The queue in plain Rust: what each script has to do, said once more without Redis.
//!
//! Each function stands for one script, takes what the script takes and answers what the script answers. It is written
//! from `docs/life-of-a-job.md` and the headers of the scripts, and knows no time: what is due or has ended is said.

mod lines;
mod people;

use std::collections::{BTreeMap, BTreeSet};

use flota_engine::{
    Marks,
    store::{Pulse, RunId, Settlement, Step, Suspect},
};
use flota_producer::{Envelope, JobId, Priority, handover::Handed, keys::QueueKeys};

use super::{
    contents::{Contents, member_of, unmarked},
    operation::{Due, Lease},
    real::Fetched,
};

/// Most wake-ups.
const BELL: usize = 64;

pub(super) struct Model {
    pub(super) contents: Contents,
    pub(super) keys: QueueKeys,
    /// When delayed jobs are due, as Redis has it: only the order of what is due matters here.
    pub(super) due: BTreeMap<String, u64>,
    pub(super) full: bool,
    /// Every run that was ever fetched.
    pub(super) runs: Vec<RunId>,
    /// Every job that was ever sent, and whether it was accepted.
    pub(super) sent: BTreeMap<JobId, Envelope>,
    pub(super) accepted: BTreeSet<String>,
    /// Records that were taken out of the stream and said that a job ended.
    pub(super) recorded: Vec<String>,
    /// Bodies that idempotency keys were used for.
    bodies: BTreeMap<String, String>,
}

/// A job as it is sent.
pub(super) struct Outgoing {
    pub(super) id: JobId,
    pub(super) envelope: Envelope,
    pub(super) bytes: String,
    pub(super) due: Due,
}

impl Model {
    pub(super) fn new(keys: QueueKeys) -> Self {
        Self {
            contents: Contents::default(),
            keys,
            due: BTreeMap::new(),
            full: false,
            runs: Vec::new(),
            sent: BTreeMap::new(),
            accepted: BTreeSet::new(),
            recorded: Vec::new(),
            bodies: BTreeMap::new(),
        }
    }

    /// The counters of a job.
    pub(super) fn marks(&self, id: JobId) -> Marks {
        self.contents.marks.get(&id.to_string()).map_or_else(Marks::default, |line| Marks::parse(line))
    }

    /// `None` when Redis is full and refuses the call.
    pub(super) fn enqueue(&mut self, jobs: &[Outgoing], late: bool) -> Option<Vec<Handed>> {
        if late {
            return Some(vec![Handed::Late; jobs.len()]);
        }
        let before = (self.contents.clone(), self.bodies.clone());
        let answers: Vec<Handed> = jobs.iter().map(|job| self.enqueue_one(job)).collect();
        if self.full && self.contents.jobs != before.0.jobs {
            (self.contents, self.bodies) = before;
            return None;
        }
        let length = |contents: &Contents| contents.ready.iter().map(Vec::len).sum::<usize>();
        if length(&before.0) < length(&self.contents) {
            self.ring();
        }
        Some(answers)
    }

    fn enqueue_one(&mut self, job: &Outgoing) -> Handed {
        let (id, envelope) = (job.id.to_string(), &job.envelope);
        let stood_for = |other: &str| {
            if other == id { Handed::Taken } else { Handed::StoodFor(other.parse().unwrap()) }
        };
        let key = envelope.key.as_ref().map(|key| self.keys.dedup(None, key));
        if let Some((key, first)) = key.as_ref().and_then(|key| Some((key, self.contents.strings.get(key)?)))
        {
            let same = self.bodies[key] == envelope.payload.get();
            return if same { stood_for(first) } else { Handed::Conflict(first.parse().unwrap()) };
        }
        if self.contents.jobs.contains_key(&id) {
            return Handed::Taken;
        }
        let unique = self.keys.unique_of(envelope);
        if let Some(holder) =
            self.contents.strings.get(&unique).filter(|id| self.contents.jobs.contains_key(*id))
        {
            return stood_for(holder);
        }
        let most: usize = self.contents.config.get("max_len").map_or(0, |most| most.parse().unwrap());
        if 0 < most && most <= self.contents.jobs.len() {
            return Handed::Full;
        }
        if let Some(key) = key {
            self.contents.strings.insert(key.clone(), id.clone());
            self.bodies.insert(key, envelope.payload.get().to_owned());
        }
        if !unique.is_empty() {
            self.contents.strings.insert(unique, id.clone());
        }
        self.contents.jobs.insert(id.clone(), job.bytes.clone());
        if let Some(key) = envelope.order() {
            self.goes_on(key);
            let line = self.contents.lines.entry(key.to_owned()).or_default();
            line.push(id.clone());
            if 1 < line.len() {
                self.contents.in_line.insert(id, envelope.priority.mark().to_owned());
                return Handed::Taken;
            }
        }
        match job.due {
            Due::Now | Due::LongAgo => self.contents.ready[list(envelope.priority)].push(id),
            Due::FarAhead => {
                self.contents.delayed.insert(format!("{}{id}", envelope.priority.mark()), false);
            }
        }
        Handed::Taken
    }

    pub(super) fn fetch(
        &mut self,
        most: usize,
        order: [Priority; 3],
        lease: Lease,
        high_water: usize,
    ) -> Fetched {
        let mut fetched = Fetched { ids: Vec::new(), known: Vec::new(), cancelled: Vec::new() };
        if self.contents.config.contains_key("paused") || high_water < self.contents.outcomes.len() {
            return fetched;
        }
        for priority in order {
            let waiting = &mut self.contents.ready[list(priority)];
            let wanted = (most - fetched.ids.len()).min(waiting.len());
            fetched.ids.extend(waiting.drain(..wanted));
        }
        let more = self.contents.ready.iter().any(|list| !list.is_empty());
        if fetched.ids.len() == most && more && self.contents.bell == 0 {
            self.ring();
        }
        // Cancelled while they waited.
        fetched.ids.retain(|id| self.contents.jobs.contains_key(id) || !self.contents.cancelled.remove(id));
        for (n, id) in fetched.ids.iter().enumerate() {
            let run = match self.contents.marks.get(id) {
                Some(line) => {
                    fetched.known.push((n + 1, line.clone()));
                    Marks::parse(line).run + 1
                }
                None => 1,
            };
            let run = RunId { id: id.parse().unwrap(), run };
            self.contents.running.insert(member_of(run), lease);
            self.runs.push(run);
            if self.contents.cancelled.contains(id) {
                fetched.cancelled.push(n + 1);
            }
        }
        fetched
    }

    pub(super) fn heartbeat(&mut self, runs: &[RunId], lease: Lease) -> Pulse {
        let mut pulse = Pulse::default();
        for run in runs {
            match self.contents.running.get_mut(&member_of(*run)) {
                None => pulse.lost.push(*run),
                Some(held) => {
                    *held = lease;
                    if self.contents.cancelled.contains(&run.id.to_string()) {
                        pulse.cancelled.push(*run);
                    }
                }
            }
        }
        pulse
    }

    pub(super) fn settle(&mut self, worker: &str, batch: &[Settlement]) -> Vec<usize> {
        let (mut lost, mut records, mut released, mut left) = (Vec::new(), Vec::new(), false, Vec::new());
        let mut again = [const { Vec::new() }; 3];
        for (n, item) in batch.iter().enumerate() {
            if self.contents.running.remove(&member_of(item.run)).is_none() {
                lost.push(n);
                continue;
            }
            records.extend((!item.record.is_empty()).then(|| item.record.clone()));
            let id = item.run.id.to_string();
            if item.step != Step::End {
                self.contents.marks.insert(id.clone(), item.marks.clone());
            }
            match &item.step {
                Step::End => {
                    self.end(&id, &item.unique);
                    left.extend((!item.line.is_empty()).then_some(id));
                }
                // It was asked to stop: its next run ends it, and must not have to wait.
                Step::Delay(_) if self.contents.cancelled.contains(&id) => {
                    again[list(item.priority)].push(id);
                }
                Step::Delay(delay) => {
                    let member = format!("{}{id}", item.priority.mark());
                    self.contents.delayed.insert(member, delay.is_zero());
                }
                Step::Release => again[list(item.priority)].push(id),
                Step::Shelve(reason) => {
                    self.contents.parked.insert(id, reason.clone());
                }
            }
        }
        for id in left {
            released |= self.leave(&id);
        }
        if released | self.put_first(again) {
            self.ring();
        }
        self.append(worker, records);
        lost
    }

    /// How many moved.
    pub(super) fn promote(&mut self) -> usize {
        let due = self.contents.delayed.iter().filter(|(_, due)| **due).map(|(member, _)| member.clone());
        let mut due: Vec<String> = due.collect();
        due.sort_by_key(|member| (self.due[member], in_redis(member)));
        for member in &due {
            self.contents.delayed.remove(member);
            let id = unmarked(member).to_owned();
            self.contents.ready[list_of_member(member)].push(id);
        }
        if !due.is_empty() {
            self.ring();
        }
        due.len()
    }

    /// How many are ready again, and how many are buried or gone.
    pub(super) fn recover(&mut self, worker: &str, suspects: &[Suspect]) -> (usize, usize) {
        let (mut back, mut buried, mut records, mut woken) = (0, 0, Vec::new(), false);
        let mut again = [const { Vec::new() }; 3];
        for suspect in suspects {
            let (member, id) = (member_of(suspect.run), suspect.run.id.to_string());
            if self.contents.running.get(&member) != Some(&Lease::Ended) {
                continue;
            }
            self.contents.running.remove(&member);
            if suspect.record.is_empty() {
                self.contents.marks.insert(id.clone(), suspect.marks.clone());
                again[list(suspect.priority)].push(id);
                back += 1;
            } else {
                self.end(&id, &suspect.unique);
                woken |= self.leave(&id);
                records.push(suspect.record.clone());
                buried += 1;
            }
        }
        if self.put_first(again) | woken {
            self.ring();
        }
        self.append(worker, records);
        (back, buried)
    }

    pub(super) fn unpark(&mut self, jobs: &[(JobId, Priority)]) -> usize {
        let mut moved = 0;
        for (id, priority) in jobs {
            let id = id.to_string();
            if self.contents.parked.remove(&id).is_some() {
                self.contents.ready[list(*priority)].push(id);
                moved += 1;
            }
        }
        if 0 < moved {
            self.ring();
        }
        moved
    }

    pub(super) fn set_aside(&mut self, member: &str, id: &str, reason: &str) {
        if self.contents.running.remove(member).is_some() {
            self.contents.parked.insert(id.to_owned(), reason.to_owned());
        }
    }

    /// What is given back goes first, in its order. True when there was something.
    fn put_first(&mut self, again: [Vec<String>; 3]) -> bool {
        let some = again.iter().any(|ids| !ids.is_empty());
        for (list, ids) in self.contents.ready.iter_mut().zip(again) {
            list.splice(..0, ids);
        }
        some
    }

    fn end(&mut self, id: &str, unique: &str) {
        self.contents.jobs.remove(id);
        self.contents.marks.remove(id);
        self.contents.cancelled.remove(id);
        if self.contents.strings.get(unique).is_some_and(|holder| holder == id) {
            self.contents.strings.remove(unique);
        }
    }

    fn append(&mut self, worker: &str, mut records: Vec<String>) {
        if !records.is_empty() {
            records.sort_unstable();
            self.contents.outcomes.push((worker.to_owned(), records));
        }
    }

    fn ring(&mut self) {
        if self.contents.bell < BELL {
            self.contents.bell += 1;
        }
    }
}

fn list(priority: Priority) -> usize {
    match priority {
        Priority::Normal => 0,
        Priority::High => 1,
        Priority::Low => 2,
    }
}

/// A member of the delayed set as it lies there: what is due at the same time comes in the order of these bytes.
fn in_redis(member: &str) -> Vec<u8> {
    let id = unmarked(member);
    let mark = member.strip_suffix(id).unwrap_or_default();
    [mark.as_bytes(), id.parse::<JobId>().unwrap().bytes()].concat()
}

fn list_of_member(member: &str) -> usize {
    match member.get(..2) {
        Some("h:") => 1,
        Some("l:") => 2,
        _ => 0,
    }
}
