//! The scaling page on the admin port: what `/api/v1/queues/{queue}/scaling` of the API says, without a token.
//!
//! Scalers such as KEDA read it every few seconds. It tells the same numbers as `/metrics`, which is open here, too.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
    routing::get,
};
use flota_producer::{keys::Prefix, link::Link};

use crate::api::scaling::{PerReplica, read, unknown_queue};

/// What the page looks at.
pub struct Scalers {
    /// Redis.
    pub link: Link,
    /// First part of every key.
    pub prefix: Prefix,
    /// Queues, each with how many of its jobs one worker runs at once.
    pub queues: BTreeMap<String, usize>,
}

/// The page.
pub fn scalers(scalers: Scalers) -> Router {
    Router::new().route("/api/v1/queues/{queue}/scaling", get(page)).with_state(Arc::new(scalers))
}

async fn page(
    State(scalers): State<Arc<Scalers>>,
    Path(queue): Path<String>,
    Query(per): Query<PerReplica>,
) -> Response {
    let Some(slots) = scalers.queues.get(&queue) else { return unknown_queue(&queue).into_response() };
    match read(&scalers.link, &scalers.prefix, &queue, Some(*slots), &per).await {
        Ok(scaling) => Json(scaling).into_response(),
        Err(problem) => problem.into_response(),
    }
}
