//! Everything that one queue holds, in a form that two of them can be compared in, and what must be true of it.

use std::collections::{BTreeMap, BTreeSet};

use flota_engine::{Record, Status, store::RunId};
use flota_producer::JobId;

use super::{operation::Lease, step::envelope_of};

/// The structures of one queue, with the ids and members in them as people read them. Times are left to who knows them: [`super::model`] keeps them apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) jobs: BTreeMap<String, String>,
    /// Normal, high, low.
    pub(super) ready: [Vec<String>; 3],
    /// Marked id → due already.
    pub(super) delayed: BTreeMap<String, bool>,
    pub(super) running: BTreeMap<String, Lease>,
    pub(super) marks: BTreeMap<String, String>,
    pub(super) parked: BTreeMap<String, String>,
    /// Id → mark, of jobs behind others of their line.
    pub(super) in_line: BTreeMap<String, String>,
    /// Ordering key → ids, the first first.
    pub(super) lines: BTreeMap<String, Vec<String>>,
    pub(super) cancelled: BTreeSet<String>,
    /// Worker and records of each entry; a purge takes parked jobs in no order, so records are sorted.
    pub(super) outcomes: Vec<(String, Vec<String>)>,
    pub(super) bell: usize,
    pub(super) config: BTreeMap<String, String>,
    /// Idempotency and unique keys, as long as somebody holds them.
    pub(super) strings: BTreeMap<String, String>,
}

impl Contents {
    /// Says what is broken: invariants 1 and 2 of `docs/life-of-a-job.md` on what is held right now.
    pub(super) fn check(&self) -> Result<(), String> {
        for id in self.jobs.keys() {
            let places = self.places(id);
            if places.len() != 1 {
                return Err(format!("job {id} is in {} places: {places:?}", places.len()));
            }
        }
        for id in self.marks.keys() {
            if !self.jobs.contains_key(id) {
                return Err(format!("job {id} has ended, but its counters are left"));
            }
        }
        self.check_lines()?;
        // What was cancelled in line is known to be, until fetch drops it.
        let in_line: Vec<&String> =
            self.ready.iter().flatten().filter(|id| !self.jobs.contains_key(*id)).collect();
        let known: Vec<&String> = self.cancelled.iter().filter(|id| !self.jobs.contains_key(*id)).collect();
        if in_line.len() != known.len() || !in_line.iter().all(|id| known.contains(id)) {
            return Err(format!("ended jobs in line: {in_line:?}, known to be cancelled: {known:?}"));
        }
        for member in self.running.keys() {
            if job_of(member).is_some_and(|id| !self.jobs.contains_key(id)) {
                return Err(format!("{member} has a lease, but its job has ended"));
            }
        }
        for id in
            self.parked.keys().map(String::as_str).chain(self.delayed.keys().map(|member| unmarked(member)))
        {
            if !self.jobs.contains_key(id) && id.parse::<JobId>().is_ok() {
                return Err(format!("job {id} has ended, but it still waits"));
            }
        }
        for (name, holder) in self.strings.iter().filter(|(name, _)| name.contains(":unique:")) {
            if !self.jobs.contains_key(holder) {
                return Err(format!("{name} is held by {holder}, which has ended"));
            }
        }
        Ok(())
    }

    /// A live job with an order is in its line once, and exactly the first of a line does not wait in it. A line whose
    /// head was taken away by something that knew nothing of lines stands still, until the next call that touches it.
    fn check_lines(&self) -> Result<(), String> {
        for (id, body) in &self.jobs {
            let order = envelope_of(body).order().map(str::to_owned);
            let lines = self.lines.iter().flat_map(|(key, ids)| ids.iter().map(move |other| (key, other)));
            let found: Vec<&String> = lines.filter(|(_, other)| *other == id).map(|(key, _)| key).collect();
            if found != Vec::from_iter(&order) {
                return Err(format!("job {id} with the order {order:?} is in the lines {found:?}"));
            }
        }
        for (key, ids) in &self.lines {
            let (first, behind) = ids.split_first().expect("a list without elements is no list");
            if self.in_line.contains_key(first) {
                return Err(format!("the first of line {key} waits in it: {ids:?}"));
            }
            if let Some(id) = behind.iter().find(|id| !self.in_line.contains_key(*id)) {
                return Err(format!("{id} of line {key} does not wait its turn: {ids:?}"));
            }
        }
        for id in self.in_line.keys() {
            if !self.jobs.contains_key(id) || !self.lines.values().any(|ids| ids[1..].contains(id)) {
                return Err(format!("{id} waits in line behind nobody"));
            }
        }
        Ok(())
    }

    /// True when the head of a line is gone.
    pub(super) fn some_line_stands(&self) -> bool {
        self.lines.values().any(|ids| !self.jobs.contains_key(&ids[0]))
    }

    fn places(&self, id: &str) -> Vec<String> {
        let ready = (0..3).flat_map(|list| {
            self.ready[list].iter().filter(move |other| *other == id).map(move |_| format!("ready {list}"))
        });
        let delayed = self
            .delayed
            .keys()
            .filter(|member| unmarked(member) == id)
            .map(|member| format!("delayed {member}"));
        let running = self
            .running
            .keys()
            .filter(|member| job_of(member) == Some(id))
            .map(|member| format!("running {member}"));
        let parked = self.parked.keys().filter(|other| *other == id).map(|_| "parked".to_owned());
        let in_line = self.in_line.keys().filter(|other| *other == id).map(|_| "in_line".to_owned());
        ready.chain(delayed).chain(running).chain(parked).chain(in_line).collect()
    }

    /// Ids of jobs that ended, one for each record that says so.
    pub(super) fn ends(&self) -> impl Iterator<Item = String> {
        self.outcomes.iter().flat_map(|(_, records)| records).filter_map(|line| {
            let record: Record = serde_json::from_str(line).expect("every line is a record");
            (record.status != Status::Retried).then(|| record.id.to_string())
        })
    }
}

/// What the running set calls a run.
pub(super) fn member_of(run: RunId) -> String {
    if run.run == 1 { run.id.to_string() } else { format!("{}:{}", run.id, run.run) }
}

/// The id of a member of the running set; `None` for what is no run.
fn job_of(member: &str) -> Option<&str> {
    let id = member.split(':').next()?;
    id.parse::<JobId>().is_ok().then_some(id)
}

/// The id of a member of the delayed set.
pub(super) fn unmarked(member: &str) -> &str {
    member.strip_prefix("h:").or_else(|| member.strip_prefix("l:")).unwrap_or(member)
}
