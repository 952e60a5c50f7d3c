//! Live jobs as lists: what waits, is put off, runs, is parked or waits behind others, read from Redis alone.

use flota_engine::{
    browse::{self, Live, LiveState},
    inspect::Place,
};
use flota_producer::{
    Priority, clock,
    keys::Prefix,
    link::{Link, LinkError},
};
use serde::Serialize;

/// One live job.
#[derive(Debug, Clone, Serialize)]
pub struct LiveRow {
    /// Its id.
    pub id: String,
    /// Its queue.
    pub queue: String,
    /// Its kind; empty when this release cannot read the envelope.
    pub kind: String,
    /// Whose it is.
    pub tenant: Option<String>,
    /// `ready`, `delayed`, `running`, `parked` or `in_line`.
    pub state: &'static str,
    /// Before or after others.
    pub priority: Priority,
    /// Number of the try that is under way or comes next.
    pub attempt: u32,
    /// How long ago it was enqueued, by the clock of its producer.
    pub age_ms: Option<u64>,
    /// How long until it is due, for delayed jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_in_ms: Option<u64>,
    /// Why it waits, where it waits for a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Which jobs to show.
#[derive(Debug)]
pub struct LiveFilter<'a> {
    /// Where they are.
    pub state: LiveState,
    /// Of this kind only.
    pub kind: Option<&'a str>,
    /// Of this tenant only.
    pub tenant: Option<&'a str>,
    /// Leave out so many, counted before the filters.
    pub skip: usize,
    /// Read so many at most, counted before the filters.
    pub limit: usize,
}

/// Live jobs of these queues, one queue after the other.
///
/// # Errors
/// When Redis does not answer.
pub async fn live(
    link: &Link,
    prefix: &Prefix,
    queues: &[String],
    filter: &LiveFilter<'_>,
) -> Result<Vec<LiveRow>, LinkError> {
    let mut rows = Vec::new();
    for queue in queues {
        let keys = prefix.queue(queue);
        let jobs = browse::page(link, &keys, filter.state, filter.skip, filter.limit).await?;
        rows.extend(
            jobs.into_iter().map(|job| row(queue, filter.state, job)).filter(|row| fits(row, filter)),
        );
    }
    rows.truncate(filter.limit);
    Ok(rows)
}

fn fits(row: &LiveRow, filter: &LiveFilter<'_>) -> bool {
    filter.kind.is_none_or(|kind| kind == row.kind)
        && filter.tenant.is_none_or(|tenant| row.tenant.as_deref() == Some(tenant))
}

fn row(queue: &str, state: LiveState, job: Live) -> LiveRow {
    let now = clock::unix_now_ms();
    let waits = job.marks.why.map(|class| format!("after {}", class.word()));
    let (due_in_ms, reason) = match job.place {
        Place::Delayed(due) => (Some(due.saturating_sub(now)), waits),
        Place::Parked(reason) => (None, Some(reason)),
        Place::InLine(_) => {
            (None, job.envelope.as_ref().and_then(|envelope| Some(format!("in line {}", envelope.order()?))))
        }
        Place::Ready | Place::Running => (None, None),
    };
    LiveRow {
        id: job.id.map_or_else(|| String::from_utf8_lossy(&job.member).into_owned(), |id| id.to_string()),
        queue: queue.to_owned(),
        kind: job.envelope.as_ref().map_or_else(String::new, |envelope| envelope.kind.clone()),
        age_ms: job.envelope.as_ref().map(|envelope| now.saturating_sub(envelope.at)),
        tenant: job.envelope.and_then(|envelope| envelope.tenant),
        state: state.word(),
        priority: job.priority,
        attempt: job.marks.attempt + 1,
        due_in_ms,
        reason,
    }
}
