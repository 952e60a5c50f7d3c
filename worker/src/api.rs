//! The HTTP API of `flota serve`: what applications in any language and the people who run the fleet ask of it.
//!
//! A request passes `access.rs` (token, role, rate), is read by `input.rs` (size, depth, unknown fields), and is
//! answered by one file per noun, which call the same functions as the command line. What goes wrong is a `Problem`.
//! The description (`docs/openapi.json`) is made from this code, and the roles in it are those that are enforced.

mod access;
mod answers;
mod audited;
mod batch;
mod bulk;
mod dead_letters;
mod description;
mod input;
mod jobs;
mod kinds;
mod limits;
mod new_job;
mod problem;
mod queue_limits;
mod queues;
mod redact;
pub(crate) mod scaling;
mod shared_means;
mod tokens;
mod unread;

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, middleware};
use flota_engine::Registry;
use flota_producer::{
    Producer,
    keys::{Prefix, QueueKeys},
    link::{Link, LinkError},
};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use self::{
    access::Access,
    bulk::Carrier,
    limits::{Limits, Rate},
    problem::Problem,
};
use crate::{services::Services, tokens::Door, view};

pub use self::description::{document, requirements};

/// What the API needs.
pub struct Parts {
    /// Redis.
    pub link: Link,
    /// First part of every key.
    pub prefix: Prefix,
    /// Enqueues.
    pub producer: Producer,
    /// Postgres; without it every request is answered 503, since tokens are there.
    pub pool: Option<PgPool>,
    /// Postgres again, by connections of its own: for dead letters and bulk operations, whose queries may be slow.
    pub letters: Option<PgPool>,
    /// The kinds that may be enqueued.
    pub registry: Registry<Services>,
    /// Queues of the file, each with how many of its jobs one worker runs at once.
    pub queues: BTreeMap<String, usize>,
    /// Requests a second that each token may make.
    pub rate: u32,
    /// Cancelled once this process is to end.
    pub stop: CancellationToken,
}

/// What every handler works with.
struct Api {
    link: Link,
    prefix: Prefix,
    producer: Producer,
    pool: Option<PgPool>,
    letters: Option<PgPool>,
    registry: Registry<Services>,
    queues: BTreeMap<String, usize>,
    door: Door,
    access: Access,
    limits: Limits,
    carrier: Carrier,
}

/// The API as a service. It carries out bulk operations that were asked of it until `stop`.
pub fn router(parts: Parts) -> Router {
    let (routes, document) = description::routes();
    let api = Arc::new(Api {
        door: Door::new(parts.pool.clone()),
        access: Access::of(&document),
        limits: Limits::new(Rate::per_second(parts.rate)),
        carrier: Carrier::start(parts.letters.clone(), parts.stop),
        link: parts.link,
        prefix: parts.prefix,
        producer: parts.producer,
        pool: parts.pool,
        letters: parts.letters,
        registry: parts.registry,
        queues: parts.queues,
    });
    routes
        .route_layer(middleware::from_fn_with_state(api.clone(), access::guard))
        .fallback(async || Problem::no_such_page())
        .method_not_allowed_fallback(async || Problem::no_such_method())
        .layer(middleware::from_fn(answers::finish))
        .layer(middleware::map_request(async |request| unread::allow_unread(request)))
        .with_state(api)
}

impl Api {
    fn keys(&self, queue: &str) -> QueueKeys {
        self.prefix.queue(queue)
    }

    /// Postgres for what is quick, or why there is none.
    fn postgres(&self) -> Result<&PgPool, Problem> {
        self.pool.as_ref().ok_or_else(Problem::no_postgres)
    }

    /// Postgres for dead letters and bulk operations, or why there is none.
    fn letters(&self) -> Result<&PgPool, Problem> {
        self.letters.as_ref().ok_or_else(Problem::no_postgres)
    }

    /// Names of all queues.
    async fn queue_names(&self) -> Result<Vec<String>, LinkError> {
        view::queue_names(&self.link, &self.prefix, self.queues.keys().map(String::as_str)).await
    }

    /// Refuses a queue that nobody has heard of.
    async fn known_queue(&self, name: &str) -> Result<QueueKeys, Problem> {
        view::known_queue(name, &self.queue_names().await?).map_err(Problem::not_found)?;
        Ok(self.keys(name))
    }
}
