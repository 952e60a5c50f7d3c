//! How deliveries to an endpoint go, and when it is given up: after [`FAILING_FOR`] without a success, or at once when
//! it answers 410 Gone.
//!
//! Postgres holds the truth, for all workers and over restarts; it is written sparsely. A failing endpoint costs one
//! statement a minute and process, a healthy one one an hour. A success that another process does not know of yet can
//! shorten the five days by [`super::FRESH`] at most. The time comes in: nothing here reads a clock.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use metrics::counter;
use serde_json::json;
use sqlx::Row;
use tracing::{error, warn};

use super::{Endpoint, Endpoints};
use crate::{
    audit::{self, Deed},
    failure::chain,
    telemetry::metrics::WEBHOOK_ENDPOINTS_DISABLED,
};

/// How long every delivery must have failed before an endpoint is disabled: two days longer than one event is tried.
pub const FAILING_FOR: Duration = Duration::from_hours(5 * 24);
/// After this long without any delivery nobody knows how the endpoint was in between, and counting begins anew. Longer
/// than the longest delay between two tries of one event (24 h and a fifth).
pub const SILENCE: Duration = Duration::from_hours(2 * 24);
/// Most often that a process writes down failures of one endpoint.
const FAILURES_EVERY: Duration = Duration::from_mins(1);
/// Most often that a process writes down successes of an endpoint that is not failing.
const SUCCESS_EVERY: Duration = Duration::from_hours(1);
/// Who does it, in the audit log.
const ACTOR: &str = "worker";

/// What this process has seen of each endpoint.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<HashMap<String, Seen>>);

/// What this process has seen of one endpoint since it last wrote.
#[derive(Debug, Default)]
struct Seen {
    /// Failures that are not written down yet.
    failures: i64,
    /// When failures were last written.
    failed: Option<DateTime<Utc>>,
    /// When a success was last written.
    succeeded: Option<DateTime<Utc>>,
}

impl Seen {
    /// Takes in a failure. Answers how many have to be written down now, 0 for none.
    fn failed(&mut self, now: DateTime<Utc>) -> i64 {
        self.failures += 1;
        if self.failed.is_some_and(|last| !has_passed(FAILURES_EVERY, last, now)) {
            return 0;
        }
        self.failed = Some(now);
        std::mem::take(&mut self.failures)
    }

    /// Takes in a success. Answers whether it has to be written down now; `is_failing` is what Postgres last said.
    fn succeeded(&mut self, now: DateTime<Utc>, is_failing: bool) -> bool {
        let wrote_a_failure = self.failed.take().is_some();
        let every = if is_failing { FAILURES_EVERY } else { SUCCESS_EVERY };
        let is_due = self.succeeded.is_none_or(|last| has_passed(every, last, now));
        self.failures = 0;
        if wrote_a_failure || is_due {
            self.succeeded = Some(now);
            return true;
        }
        false
    }
}

impl Watch {
    fn of<T>(&self, id: &str, look: impl FnOnce(&mut Seen) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        look(all.entry(id.to_owned()).or_default())
    }
}

/// The words for why an endpoint is given up, in metrics and logs.
pub const REASONS_TO_DISABLE: [&str; 2] = ["gone", "failing"];

/// Why an endpoint is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Gone,
    FailingSince(DateTime<Utc>, i64),
}

impl Cause {
    /// The value of the metric's label.
    const fn word(self) -> &'static str {
        match self {
            Self::Gone => REASONS_TO_DISABLE[0],
            Self::FailingSince(..) => REASONS_TO_DISABLE[1],
        }
    }

    /// What people read in `flota endpoint list`.
    fn sentence(self) -> String {
        match self {
            Self::Gone => "it answered 410 Gone".to_owned(),
            Self::FailingSince(since, failures) => {
                let since = since.format("%Y-%m-%d %H:%M");
                format!("all {failures} deliveries since {since} UTC have failed")
            }
        }
    }
}

impl Endpoints {
    /// A delivery succeeded at this time.
    pub async fn succeeded(&self, id: &str, endpoint: &Endpoint, now: DateTime<Utc>) {
        let is_failing = endpoint.failing_since.is_some();
        if !self.seen.of(id, |seen| seen.succeeded(now, is_failing)) {
            return;
        }
        if is_failing {
            self.forget(id);
        }
        let written = sqlx::query(include_str!("succeeded.sql")).bind(id).bind(now).execute(&self.pool).await;
        if let Err(error) = written {
            warn!(endpoint = %id, "The success of endpoint {id} is not written down: {}", chain(&error));
        }
    }

    /// A delivery failed at this time. Disables the endpoint when that has gone on for too long. Answers whether it did.
    pub async fn failed(&self, id: &str, now: DateTime<Utc>) -> bool {
        let failures = self.seen.of(id, |seen| seen.failed(now));
        if failures == 0 {
            return false;
        }
        match self.write_failures(id, failures, now).await {
            Ok(Some((since, failures))) if has_passed(FAILING_FOR, since, now) => {
                self.give_up(id, Cause::FailingSince(since, failures), now).await
            }
            Ok(_) => false,
            Err(error) => {
                // They are counted again with the next.
                self.seen.of(id, |seen| seen.failures += failures);
                warn!(endpoint = %id, "Failures of endpoint {id} are not written down: {}", chain(&error));
                false
            }
        }
    }

    /// A delivery was answered 410 Gone at this time: its owner says that it will not come back.
    pub async fn gone(&self, id: &str, now: DateTime<Utc>) {
        self.give_up(id, Cause::Gone, now).await;
    }

    /// Since when it has been failing, and how many times. `None` for an endpoint that is not there any more.
    async fn write_failures(
        &self,
        id: &str,
        failures: i64,
        now: DateTime<Utc>,
    ) -> Result<Option<(DateTime<Utc>, i64)>, sqlx::Error> {
        let failed =
            sqlx::query(include_str!("failed.sql")).bind(id).bind(now).bind(failures).bind(now - SILENCE);
        let row = failed.fetch_optional(&self.pool).await?;
        row.map(|row| Ok((row.try_get("failing_since")?, row.try_get("failures")?))).transpose()
    }

    /// Disables an endpoint that is still open, and raises the alarm. Answers whether this call did it.
    async fn give_up(&self, id: &str, cause: Cause, now: DateTime<Utc>) -> bool {
        let done = self.disable_open(id, cause, now).await;
        self.forget(id);
        let sentence = cause.sentence();
        match done {
            Ok(false) => false,
            Ok(true) => {
                counter!(WEBHOOK_ENDPOINTS_DISABLED, "reason" => cause.word()).increment(1);
                error!(
                    endpoint = %id, reason = cause.word(),
                    "Endpoint {id} is disabled: {sentence}. Its events are buried; tell its owner, then \
                     `flota endpoint enable {id}` and `flota dead replay payload.endpoint={id}`"
                );
                true
            }
            Err(error) => {
                error!(endpoint = %id, "Endpoint {id} could not be disabled ({sentence}): {}", chain(&error));
                false
            }
        }
    }

    async fn disable_open(&self, id: &str, cause: Cause, now: DateTime<Utc>) -> Result<bool, sqlx::Error> {
        let since = match cause {
            Cause::Gone => None,
            Cause::FailingSince(since, _) => Some(since),
        };
        let reason = cause.sentence();
        let mut transaction = self.pool.begin().await?;
        let query =
            sqlx::query(include_str!("disable_open.sql")).bind(id).bind(now).bind(&reason).bind(since);
        let Some(row) = query.fetch_optional(&mut *transaction).await? else { return Ok(false) };
        let (tenant, detail): (Option<String>, _) = (row.try_get("tenant")?, json!({ "reason": reason }));
        let tenant = tenant.as_deref();
        let deed = Deed { actor: ACTOR, action: "endpoint.disable", subject: id, tenant, detail };
        audit::write(&mut *transaction, &deed).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

fn has_passed(time: Duration, since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (now - since).to_std().is_ok_and(|passed| time <= passed)
}

#[cfg(test)]
mod tests;
