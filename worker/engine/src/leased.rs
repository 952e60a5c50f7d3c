//! A job that this process holds a lease on, from fetch until it is settled.
//!
//! A [`Leased`] job is given to exactly one run, which turns it into one [`Finished`]; only a finished run can be
//! settled, and settling consumes it. Its lease is kept until Redis knows the verdict.

use std::time::Duration;

use flota_producer::JobId;
use redis::{FromRedisValue, ParsingError, Value};

use crate::{
    lease::Hold,
    marks::{Marks, RareMarks},
    policy::{Ended, QueuePolicy, Verdict},
    processor::Job,
    quarantine::Leave,
    slots::Place,
    store::{RunId, Settlement},
};

/// What a run occupies: its lease, one place of the queue's concurrency, and its leave to run in this process. All are
/// given back when the run has been settled or is lost on its way; the place may be free for others before (`slots.rs`).
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) hold: Hold,
    pub(crate) place: Place,
    pub(crate) leave: Leave,
}

/// A job under lease, with everything its run needs.
#[derive(Debug)]
pub struct Leased {
    pub(crate) run: RunId,
    pub(crate) marks: RareMarks,
    pub(crate) body: Body,
    /// The envelope as it lies in Redis.
    pub(crate) bytes: Vec<u8>,
    pub(crate) slot: Slot,
}

impl Leased {
    /// Ends it without a run, unless it has ended already.
    pub(crate) fn end_without_run(&mut self, ended: Ended) {
        let body = std::mem::replace(&mut self.body, Body::Not(Box::new(Ended::Released), None));
        self.body = match body {
            Body::Job(job) => Body::Not(Box::new(ended), Some(job)),
            not @ Body::Not(..) => not,
        };
    }

    /// True when it must not start any more at this time, Unix ms.
    pub(crate) fn has_expired(&self, now_ms: u64) -> bool {
        match &self.body {
            Body::Job(job) => job.envelope.deadline.is_some_and(|deadline| deadline <= now_ms),
            Body::Not(..) => false,
        }
    }

    /// Longest time that its run may take.
    pub(crate) fn limit(&self, policy: &QueuePolicy) -> Duration {
        match &self.body {
            Body::Job(job) => job.envelope.timeout_ms.map_or(policy.timeout, Duration::from_millis),
            Body::Not(..) => Duration::ZERO,
        }
    }
}

/// What the bytes turned out to be.
#[derive(Debug)]
pub(crate) enum Body {
    /// A job that a processor here can run.
    Job(Box<Job>),
    /// Something that ends without a run.
    Not(Box<Ended>, Option<Box<Job>>),
}

/// A run that has ended and waits to be settled.
#[derive(Debug)]
pub struct Finished {
    pub(crate) settlement: Settlement,
    pub(crate) verdict: Verdict,
    pub(crate) class: Option<crate::failure::ErrorClass>,
    pub(crate) kind: String,
    pub(crate) ran: Duration,
    pub(crate) slot: Slot,
}

impl Finished {
    /// The job.
    pub fn id(&self) -> JobId {
        self.settlement.run.id
    }
}

/// What fetch.lua answers.
#[derive(Debug)]
pub(crate) struct FetchReply {
    /// Redis time, Unix ms.
    pub(crate) now_ms: u64,
    /// What was fetched.
    pub(crate) jobs: Vec<Fetched>,
    /// True when their bodies came along.
    pub(crate) with_bodies: bool,
    /// How long nothing will be there, whoever rings: the queue is paused, or as fast as it may be. Zero otherwise.
    pub(crate) wait: Duration,
}

/// One fetched id.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The job, or what stands in Redis in place of an id: anything, when no script of ours wrote it.
    pub(crate) id: Result<JobId, Vec<u8>>,
    /// Its counters.
    pub(crate) marks: RareMarks,
    /// True when it was asked to stop in an earlier run.
    pub(crate) cancelled: bool,
    /// Its envelope, when it came along.
    pub(crate) body: Option<Vec<u8>>,
}

impl FromRedisValue for FetchReply {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let mut values = Vec::<Value>::from_redis_value(value)?.into_iter();
        let mut next =
            || values.next().ok_or_else(|| ParsingError::from("fetch.lua answers with three values or more"));
        let (now, ids, more) = (next()?, next()?, next()?);
        let now_ms = time(&now).ok_or_else(|| ParsingError::from("fetch.lua answers with a time"))?;
        let ids = fetched_ids(ids)?;
        let with_bodies = values.len() == ids.len();
        let mut jobs = Vec::with_capacity(ids.len());
        for id in ids {
            let body = values.next().map_or(Ok(None), redis::from_redis_value)?;
            jobs.push(Fetched { id, marks: RareMarks::default(), cancelled: false, body });
        }
        let mut reply = Self { now_ms, jobs, with_bodies, wait: Duration::ZERO };
        if let Value::Array(_) = more {
            reply.take_in(redis::from_redis_value(more)?)?;
        }
        Ok(reply)
    }
}

impl FetchReply {
    /// What is seldom to be said: how long to wait, marks by position, and positions of those that were asked to stop.
    fn take_in(
        &mut self,
        (wait_ms, known, cancelled): (u64, Vec<Value>, Vec<usize>),
    ) -> Result<(), ParsingError> {
        self.wait = Duration::from_millis(wait_ms);
        let mut known = known.into_iter();
        while let (Some(position), Some(line)) = (known.next(), known.next()) {
            let position: usize = redis::from_redis_value(position)?;
            let line: Vec<u8> = redis::from_redis_value(line)?;
            if let Some(job) = self.jobs.get_mut(position - 1) {
                job.marks = Marks::parse(&String::from_utf8_lossy(&line)).into();
            }
        }
        for position in cancelled {
            if let Some(job) = self.jobs.get_mut(position - 1) {
                job.cancelled = true;
            }
        }
        Ok(())
    }
}

fn time(value: &Value) -> Option<u64> {
    match value {
        Value::BulkString(digits) => std::str::from_utf8(digits).ok()?.parse().ok(),
        _ => None,
    }
}

/// One text of ids, or a list in which some are none.
fn fetched_ids(ids: Value) -> Result<Vec<Result<JobId, Vec<u8>>>, ParsingError> {
    let read = |id: &[u8]| JobId::read(id).ok_or_else(|| id.to_vec());
    match ids {
        Value::BulkString(text) => Ok(text.chunks(JobId::BYTES).map(read).collect()),
        list => {
            let list: Vec<Vec<u8>> = redis::from_redis_value(list)?;
            Ok(list.iter().map(|id| read(id)).collect())
        }
    }
}
