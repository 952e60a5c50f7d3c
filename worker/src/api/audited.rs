//! Deeds in Redis with their two lines in the audit log: that it was asked for, and how it went.
//!
//! No transaction spans Redis and Postgres. So the first line is written before anything is done, and nothing is done
//! without it; the second tells the end. A line that was asked for and has no end was cut off in between.

use serde_json::{Value, json};

use super::{Api, access::Caller, problem::Problem};
use crate::audit::{self, Deed};

/// What is about to be done.
pub(super) struct Intent<'a> {
    /// Noun and verb: `queue.pause`.
    pub(super) action: &'a str,
    /// On what.
    pub(super) subject: &'a str,
    /// Everything else that is worth knowing, an object.
    pub(super) detail: Value,
}

/// Does it between its two lines.
pub(super) async fn audited<T>(
    api: &Api,
    caller: &Caller,
    intent: Intent<'_>,
    work: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let pool = api.postgres()?;
    let actor = caller.actor();
    let line = |step: &str, error: Option<u16>| {
        let mut detail = intent.detail.clone();
        detail["step"] = step.into();
        if let Some(status) = error {
            detail["status"] = json!(status);
        }
        let (action, subject) = (intent.action, intent.subject);
        Deed { actor: &actor, action, subject, tenant: caller.tenant(), detail }
    };
    audit::write(pool, &line("asked", None)).await?;
    let done = work.await;
    let end = match &done {
        Ok(_) => line("done", None),
        Err(problem) => line("failed", Some(problem.status())),
    };
    audit::note(Some(pool), &end).await;
    done
}
