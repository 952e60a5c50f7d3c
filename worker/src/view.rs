//! Views: live state from Redis and history from Postgres, joined once for the command line and HTTP.

mod controls;
mod live;
mod queue;

use std::time::Duration;

use flota_engine::inspect::{self, InLine, Place};
use flota_producer::{
    Envelope, JobId, clock,
    keys::{Prefix, QueueKeys},
    link::{Link, LinkError},
};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::{
    exit::Stop,
    outcomes::{self, AttemptRow},
};

pub use controls::{ControlsView, SetView};
pub use live::{LiveFilter, LiveRow, live};
pub use queue::{QueueDetail, QueueView, known_queue, queue, queue_names, queues};

/// One job.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobView {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: JobId,
    /// Its queue.
    pub queue: String,
    /// Its kind.
    pub kind: String,
    /// Whose it is.
    pub tenant: Option<String>,
    /// `ready`, `delayed`, `running`, `parked`, `in_line`, `succeeded`, `dead`, `cancelled` or `expired`.
    pub state: String,
    /// Number of the try that is under way, comes next, or was the last.
    pub attempt: u32,
    /// Why it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long until it is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_in_ms: Option<u64>,
    /// Where it stands in its line, for jobs in order that wait for those before them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub in_line: Option<InLine>,
    /// How it ended.
    #[schema(value_type = Option<outcomes::OutcomeRow>)]
    pub outcome: Option<Value>,
    /// Its runs, oldest first.
    pub attempts: Vec<AttemptRow>,
}

/// One job, wherever it is. `None` when neither Redis nor Postgres has it.
pub async fn job(
    link: &Link,
    prefix: &Prefix,
    pool: Option<&PgPool>,
    queues: &[String],
    id: JobId,
) -> Result<Option<JobView>, Stop> {
    let mut live = None;
    for queue in queues {
        if let Some(found) = inspect::find(link, &prefix.queue(queue), id).await? {
            live = Some(live_job(id, queue, &found));
            break;
        }
    }
    let history = match pool {
        // A live job can be shown without its history, an ended one cannot.
        Some(pool) => match outcomes::find(pool, id).await {
            Err(_) if live.is_some() => None,
            history => history?,
        },
        None => None,
    };
    let Some(history) = history else { return Ok(live) };
    let attempts = history.attempts();
    Ok(match history.outcome {
        Some(outcome) => Some(JobView {
            id,
            queue: outcome.queue.clone(),
            kind: outcome.kind.clone(),
            tenant: outcome.tenant.clone(),
            state: outcome.status.clone(),
            attempt: outcome.attempt,
            reason: None,
            due_in_ms: None,
            in_line: None,
            outcome: serde_json::to_value(&outcome).ok(),
            attempts,
        }),
        None => live.map(|live| JobView { attempts, ..live }),
    })
}

/// True when any outcome is still on its way to Postgres.
pub async fn is_recording(link: &Link, prefix: &Prefix, queues: &[String]) -> Result<bool, LinkError> {
    let queues: Vec<QueueKeys> = queues.iter().map(|queue| prefix.queue(queue)).collect();
    Ok(0 < inspect::unrecorded(link, &queues).await?)
}

/// True when an outcome has been on its way to Postgres for at least this long.
pub async fn is_behind(
    link: &Link,
    prefix: &Prefix,
    queues: &[String],
    age: Duration,
) -> Result<bool, LinkError> {
    let queues: Vec<QueueKeys> = queues.iter().map(|queue| prefix.queue(queue)).collect();
    let oldest_ms = inspect::oldest_unrecorded_ms(link, &queues).await?;
    // Both are whole milliseconds, rounded down.
    Ok(oldest_ms.is_some_and(|oldest| age.as_millis() <= u128::from(oldest) + 1))
}

fn live_job(id: JobId, queue: &str, found: &inspect::Found) -> JobView {
    let envelope = Envelope::decode(&found.bytes).ok();
    let waits = match (found.marks.why, &found.marks.note) {
        (Some(class), Some(note)) => Some(format!("{}: {note}", class.word())),
        (Some(class), None) => Some(class.word().to_owned()),
        (None, _) => None,
    };
    let (state, reason, due_in_ms) = match &found.place {
        Place::Ready => ("ready", None, None),
        Place::Running => ("running", None, None),
        Place::Delayed(due) => ("delayed", waits, Some(due.saturating_sub(clock::unix_now_ms()))),
        Place::Parked(reason) => ("parked", Some(reason.clone()), None),
        Place::InLine(stand) => ("in_line", Some(in_line(stand, envelope.as_ref())), None),
    };
    JobView {
        id,
        queue: queue.to_owned(),
        kind: envelope.as_ref().map_or_else(String::new, |envelope| envelope.kind.clone()),
        tenant: envelope.and_then(|envelope| envelope.tenant),
        state: state.to_owned(),
        attempt: found.marks.attempt + 1,
        reason,
        due_in_ms,
        in_line: if let Place::InLine(stand) = &found.place { Some(stand.clone()) } else { None },
        outcome: None,
        attempts: Vec::new(),
    }
}

/// What a job in line waits for.
fn in_line(stand: &InLine, envelope: Option<&Envelope>) -> String {
    let line = envelope.and_then(Envelope::order).map_or_else(String::new, |key| format!(" of line {key}"));
    match stand {
        InLine { behind: Some(first), ahead: Some(ahead) } => {
            format!("behind job {first}{line}, {ahead} ahead")
        }
        _ => format!("behind another job{line}"),
    }
}
