//! `flota job list --state ready|delayed|running|parked|in_line`: live jobs, read from Redis.

use flota_engine::browse::LiveState;

use crate::{
    config::Environment,
    exit::{Done, Exit},
    view::{self, LiveFilter, LiveRow},
};

use super::super::{
    Global,
    context::Redis,
    known::refuse_unknown,
    output::{Show, age},
};

/// What the command line asks for.
pub(super) struct Wanted {
    pub(super) queue: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) skip: usize,
    pub(super) limit: usize,
}

pub(super) async fn list(
    global: &Global,
    environment: &Environment,
    state: LiveState,
    wanted: &Wanted,
) -> Done {
    let redis = Redis::new(environment)?;
    let queues = match &wanted.queue {
        Some(name) => {
            redis.known_queue(global, name).await?;
            vec![name.clone()]
        }
        None => redis.queues(global).await?,
    };
    let filter = LiveFilter {
        state,
        kind: wanted.kind.as_deref(),
        tenant: wanted.tenant.as_deref(),
        skip: wanted.skip,
        limit: wanted.limit,
    };
    let rows = view::live(&redis.link, &redis.prefix, &queues, &filter).await?;
    if rows.is_empty() {
        refuse_unknown(global, environment, None, filter.kind).await?;
    }
    global.output.list(&rows, &format!("No job that fits is {} now.", state.word()))?;
    Ok(Exit::Ok)
}

impl Show for LiveRow {
    const COLUMNS: &'static [&'static str] =
        &["id", "queue", "kind", "tenant", "state", "attempt", "enqueued", "due", "why"];

    fn row(&self) -> Vec<String> {
        let dash = || "-".to_owned();
        vec![
            self.id.clone(),
            self.queue.clone(),
            if self.kind.is_empty() { dash() } else { self.kind.clone() },
            self.tenant.clone().unwrap_or_else(dash),
            self.state.to_owned(),
            self.attempt.to_string(),
            self.age_ms.map_or_else(dash, |ms| format!("{} ago", age(ms))),
            self.due_in_ms.map_or_else(dash, |ms| format!("in {}", age(ms))),
            self.reason.clone().unwrap_or_default(),
        ]
    }

    fn id(&self) -> String {
        self.id.clone()
    }
}
