//! What becomes of a batch of runs, and the call that carries it out.
//!
//! Nearly all runs end a job that held nothing but its lease. Of those only the run and its record are sent, the records as
//! one text: every word that a script is given costs Redis more than what it does with it.

use std::time::Duration;

use flota_producer::{
    JobId, Priority, call,
    keys::QueueKeys,
    link::{Link, LinkError},
};
use redis::Cmd;

use super::{RunId, SETTLE};
use crate::failpoint;

/// Where one queue's job goes after a run, as settle.lua understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Terminal: leaves Redis.
    End,
    /// Into `delayed`.
    Delay(Duration),
    /// First in line again.
    Release,
    /// Into `parked`, with the reason.
    Shelve(String),
}

/// What settle does with one run.
#[derive(Debug)]
pub struct Settlement {
    /// The run; only while it holds its lease anything happens.
    pub run: RunId,
    /// Where the job goes.
    pub step: Step,
    /// Its new counters, unless it ends.
    pub marks: String,
    /// Line for the outcomes stream; empty for none.
    pub record: String,
    /// Key of the unique lock to give back at the end; empty for none.
    pub unique: String,
    /// Key of the line to leave at the end; empty for none.
    pub line: String,
    /// Which ready list the job belongs to.
    pub priority: Priority,
}

impl Settlement {
    /// True for the end of a job that held nothing but its lease: of that only its run and its record have to be said.
    fn is_simple(&self) -> bool {
        self.step == Step::End && !self.record.is_empty() && self.unique.is_empty() && self.line.is_empty()
    }
}

/// Carries out verdicts. Answers the positions in `batch` of runs whose lease was gone, in their order.
pub async fn settle(
    link: &Link,
    keys: &QueueKeys,
    worker: &str,
    batch: &[&Settlement],
) -> Result<Vec<usize>, LinkError> {
    let [ready, high, low] = [Priority::Normal, Priority::High, Priority::Low].map(|of| keys.ready(of));
    let (running, jobs, marks, delayed) = (keys.running(), keys.jobs(), keys.marks(), keys.delayed());
    let (outcomes, cancelled, bell, parked) = (keys.outcomes(), keys.cancelled(), keys.bell(), keys.parked());
    let names =
        [running, jobs, marks, delayed, ready, high, low, outcomes, cancelled, bell, parked, keys.in_line()];
    let (simple, others): (Vec<usize>, Vec<usize>) = (0..batch.len()).partition(|&n| batch[n].is_simple());
    let records = simple.iter().map(|&n| batch[n].record.as_str()).collect::<Vec<_>>().join("\n");
    let bytes = worker.len() + records.len() + simple.len() * JobId::BYTES;
    let mut call = call(&SETTLE, &names, (3 + simple.len(), bytes));
    call.arg(worker).arg(simple.len()).arg(records);
    for &n in &simple {
        call.arg(batch[n].run);
    }
    for &n in &others {
        write_settlement(&mut call, batch[n]);
    }
    let (_now, lost): (String, Vec<usize>) = link.call(&SETTLE, &call).await?;
    failpoint!("settle-sent", crate::chaos::lost());
    let order: Vec<usize> = simple.into_iter().chain(others).collect();
    let mut lost: Vec<usize> = lost.into_iter().map(|position| order[position - 1]).collect();
    lost.sort_unstable();
    Ok(lost)
}

fn write_settlement(call: &mut Cmd, item: &Settlement) {
    call.arg(item.run).arg(item.run.id);
    match &item.step {
        Step::End => call.arg("end").arg(""),
        Step::Delay(delay) => call.arg("delay").arg(delay.as_millis() as u64),
        Step::Release => call.arg("release").arg(""),
        Step::Shelve(reason) => call.arg("shelve").arg(reason),
    };
    call.arg(&item.marks).arg(&item.record).arg(&item.unique).arg(item.priority.mark());
    call.arg(&item.line);
}
