//! A list that is empty because its filter names nothing that exists would look as if all were well.
//!
//! Asked only after nothing was found: history of a queue or kind that is no more is shown like any other.

use crate::{
    config::Environment,
    exit::{Exit, Stop},
};

use super::{Global, context::Redis};

/// Refuses a queue or kind that nobody has heard of.
///
/// Queues are known to the file or to workers; while Redis is away nobody can say that a queue is unknown.
pub(super) async fn refuse_unknown(
    global: &Global,
    environment: &Environment,
    queue: Option<&str>,
    kind: Option<&str>,
) -> Result<(), Stop> {
    if let Some(queue) = queue {
        match Redis::new(environment)?.known_queue(global, queue).await {
            Err(stop) if !matches!(stop.exit, Exit::Unreachable) => return Err(stop),
            _ => {}
        }
    }
    let registry = global.additions.registry();
    match kind.filter(|kind| registry.get(kind).is_none()) {
        None => Ok(()),
        Some(kind) => {
            let kinds = registry.names().collect::<Vec<_>>().join(", ");
            Err(Stop::not_found(format!("there is no kind `{kind}`; this release knows {kinds}")))
        }
    }
}
