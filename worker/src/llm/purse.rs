//! What tenants have spent, in Redis for the whole fleet.
//!
//! States of a job's money in a window: nothing → held (`hold.lua`) → spent (`spend.lua`, which gives back the hold).
//!
//! - What is held and spent together never exceeds the limit, except by a single call that alone is dearer than all.
//! - A job holds at most once per window: asking again replaces its hold.
//! - A call that was sent and then given up (its job was cancelled, or ran out of time) is spent as held: it may be billed.
//! - A process that dies leaves its holds: the job's next run replaces them, and the window's end forgets them. Until
//!   then the budget is a little tighter than it has to be, never wider.
//!
//! Windows follow the clock of Redis, as due times do.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use flota_producer::{
    JobId,
    keys::Prefix,
    link::{Link, LinkError},
};
use redis::Script;
use tracing::warn;

use super::{
    budget::{Budget, Window},
    money::Dollars,
};
use crate::failure::chain;

static HOLD: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("hold.lua")));
static SPEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("spend.lua")));

/// How long a window is remembered after its end, for whoever asks what was spent.
const REMEMBERED: Duration = Duration::from_hours(24 * 40);

/// All purses.
pub struct Purses {
    link: Arc<Link>,
    prefix: Prefix,
}

/// A window that has too little left.
#[derive(Debug, Clone, PartialEq)]
pub struct TooLittle {
    /// The window.
    pub window: Window,
    /// What was spent in it.
    pub spent: Dollars,
    /// What is held for other calls, which are under way.
    pub held: Dollars,
    /// What this call may cost.
    pub most: Dollars,
}

/// Money that was set aside for one job. When it is dropped (the job was cancelled, or took too long) it is given back, or
/// spent if the call was sent.
#[must_use]
pub struct Held {
    link: Arc<Link>,
    keys: Vec<String>,
    job: JobId,
    most: Dollars,
    was_sent: AtomicBool,
}

impl Held {
    /// From here on the call may be billed, whether or not anybody waits for its answer.
    pub fn sent(&self) {
        self.was_sent.store(true, Ordering::Relaxed);
    }

    /// Counts what the job has cost, and gives back what was held for it.
    ///
    /// # Errors
    /// When Redis does not answer: then the hold stays until the window ends.
    pub async fn spend(mut self, cost: Dollars) -> Result<(), LinkError> {
        let keys = std::mem::take(&mut self.keys);
        spend(&self.link, &keys, self.job, cost).await
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (keys, link, job) = (std::mem::take(&mut self.keys), Arc::clone(&self.link), self.job);
        if keys.is_empty() {
            return;
        }
        let spent = if *self.was_sent.get_mut() { self.most } else { Dollars::default() };
        tokio::spawn(async move {
            if let Err(error) = spend(&link, &keys, job, spent).await {
                warn!(job.id = %job, "What was held for a job stays held until its day ends: {}", chain(&error));
            }
        });
    }
}

async fn spend(link: &Link, keys: &[String], job: JobId, cost: Dollars) -> Result<(), LinkError> {
    let mut call = SPEND.prepare_invoke();
    for key in keys {
        call.key(key);
    }
    call.arg(job.to_string()).arg(cost.nanos()).arg(REMEMBERED.as_millis() as u64);
    link.invoke(&call).await
}

/// How a window stands.
#[derive(Debug, serde::Serialize)]
pub struct Standing {
    /// `2026-11-22`, `2026-11`.
    pub window: String,
    /// What may be spent, in dollars.
    pub limit: f64,
    /// What was.
    pub spent: f64,
    /// What is held for calls that are under way.
    pub held: f64,
}

impl Purses {
    /// Purses in this Redis.
    pub fn new(link: Link, prefix: Prefix) -> Self {
        Self { link: Arc::new(link), prefix }
    }

    /// Sets aside what a job may cost.
    ///
    /// # Errors
    /// When Redis does not answer; `Ok(Err(…))` when a window has too little left.
    pub async fn hold(
        &self,
        tenant: Option<&str>,
        budget: &Budget,
        job: JobId,
        most: Dollars,
    ) -> Result<Result<Held, TooLittle>, LinkError> {
        let windows = budget.windows(self.now().await?);
        let keys = self.keys(tenant, &windows);
        let mut call = HOLD.prepare_invoke();
        call.arg(job.to_string()).arg(most.nanos());
        for (window, key) in windows.iter().zip(&keys) {
            call.key(key).arg(window.limit.nanos()).arg((window.left + REMEMBERED).as_millis() as u64);
        }
        // Made before the call: whoever gives up while it is under way has to give back as well. Both go over one
        // connection, so in this order.
        let mut held =
            Held { link: Arc::clone(&self.link), keys, job, most, was_sent: AtomicBool::new(false) };
        let answer: Vec<u64> = self.link.invoke(&call).await?;
        let full = answer.first().and_then(|n| windows.into_iter().nth((*n as usize).checked_sub(1)?));
        let dollars = |n| Dollars::of_nanos(answer.get(n).copied().unwrap_or_default());
        let Some(window) = full else { return Ok(Ok(held)) };
        held.keys.clear();
        Ok(Err(TooLittle { window, spent: dollars(1), held: dollars(2), most }))
    }

    /// How a tenant's windows stand.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn standing(&self, tenant: Option<&str>, budget: &Budget) -> Result<Vec<Standing>, LinkError> {
        let windows = budget.windows(self.now().await?);
        let mut pipeline = redis::pipe();
        for key in self.keys(tenant, &windows) {
            pipeline.cmd("HMGET").arg(key).arg("spent").arg("held");
        }
        let read: Vec<(Option<u64>, Option<u64>)> = self.link.pipeline(&pipeline).await?;
        let dollars = |nanos: Option<u64>| Dollars::of_nanos(nanos.unwrap_or_default()).as_f64();
        let standing = |(window, (spent, held)): (Window, _)| Standing {
            window: window.name,
            limit: window.limit.as_f64(),
            spent: dollars(spent),
            held: dollars(held),
        };
        Ok(windows.into_iter().zip(read).map(standing).collect())
    }

    fn keys(&self, tenant: Option<&str>, windows: &[Window]) -> Vec<String> {
        windows.iter().map(|window| self.prefix.budget(tenant, &window.name)).collect()
    }

    async fn now(&self) -> Result<DateTime<Utc>, LinkError> {
        let (seconds, micros): (i64, u32) = self.link.query(&redis::cmd("TIME")).await?;
        Ok(DateTime::from_timestamp(seconds, micros * 1_000).unwrap_or_default())
    }
}
